/// The activation after a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// None.
    Identity,
    /// The exact Gaussian error linear unit, `x Φ(x)` (Hendrycks & Gimpel 2016): Hugging Face's `"gelu"`, not the `tanh`
    /// approximation.
    Gelu,
    /// The `tanh` approximation of [`Activation::Gelu`] (the same paper, section 2): Hugging Face's `"gelu_new"`, and
    /// `"gelu_pytorch_tanh"`.
    GeluTanh,
}
