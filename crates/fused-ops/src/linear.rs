use burn::tensor::Tensor;

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
    #[cfg(any(feature = "ndarray", feature = "tch"))]
    if crate::extension::takes(&input) {
        return crate::extension::linear(input, weight, bias, activation);
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

/// The exact unit from primitives. Burn's own `gelu` has the same values, but its gradient is that
/// of the `tanh` approximation (0.22.1; found by the property test of [`linear`], which saw it 1.4e-4 off).
fn gelu(input: Tensor<2>) -> Tensor<2> {
    let erf = (input.clone() * std::f64::consts::FRAC_1_SQRT_2).erf();
    input * (erf + 1.0) / 2.0
}
