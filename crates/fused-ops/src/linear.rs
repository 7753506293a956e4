use burn::tensor::{Tensor, activation::gelu};

/// What follows a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// The exact Gaussian error linear unit, `x Φ(x)` with `erf` (Hendrycks & Gimpel 2016), which
    /// is Hugging Face's `"gelu"`; not the `tanh` approximation.
    Gelu,
}

/// `activation(input · weight + bias)`.
///
/// `input` is `[tokens, in]`, `weight` `[in, out]` (Burn's layout, the transpose of PyTorch's),
/// `bias` `[out]`, the result `[tokens, out]`.
pub fn linear(
    input: Tensor<2>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    activation: Activation,
) -> Tensor<2> {
    #[cfg(feature = "ndarray")]
    if crate::ndarray::takes(&input) {
        return crate::ndarray::linear(input, weight, bias, activation);
    }
    reference(input, weight, bias, activation)
}

/// [`linear`] from Burn primitives.
pub fn reference(
    input: Tensor<2>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    activation: Activation,
) -> Tensor<2> {
    let output = input.matmul(weight) + bias.unsqueeze();
    match activation {
        Activation::Identity => output,
        Activation::Gelu => gelu(output),
    }
}
