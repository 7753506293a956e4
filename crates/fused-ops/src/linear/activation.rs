/// The activation after a linear layer, by Hugging Face's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// None.
    Identity,
    /// `"gelu"`: the exact Gaussian error linear unit, `x Φ(x)` (Hendrycks & Gimpel 2016), not the `tanh` approximation.
    Gelu,
    /// `"gelu_new"` and `"gelu_pytorch_tanh"`: the `tanh` approximation of [`Activation::Gelu`] (the same paper, section 2).
    GeluTanh,
    /// `"gelu_10"`: [`Activation::Gelu`], at most 10 (Wu et al. 2020).
    Gelu10,
    /// `"quick_gelu"`: `x σ(1.702 x)`.
    QuickGelu,
    /// `"relu"`: `max(x, 0)`.
    Relu,
    /// `"silu"` and `"swish"`: `x σ(x)`.
    Silu,
    /// `"tanh"`.
    Tanh,
}

/// The factor in [`Activation::QuickGelu`].
pub(super) const QUICK_GELU: f64 = 1.702;
