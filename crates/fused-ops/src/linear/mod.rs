//! A linear layer with its activation.

mod activation;
#[cfg(kernels)]
mod activation_kernel;
#[cfg(feature = "tch")]
mod bf16;
#[cfg(kernels)]
mod function;
#[cfg(kernels)]
mod kernel;
#[cfg(feature = "tch")]
mod libtorch;

use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{DType, Tensor};

use crate::concat::concat_weights;
use crate::upload::runs_asynchronously;

use activation::QUICK_GELU;

pub use activation::Activation;

/// `activation(input · weight + bias)`.
///
/// `input` is `[tokens, in]`, `weight` `[in, out]` (Burn's layout, the transpose of PyTorch's),
/// `bias` `[out]`, the result `[tokens, out]`.
///
/// # Panics
/// If the shapes do not fit.
pub fn linear(
    input: Tensor<2>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    activation: Activation,
) -> Tensor<2> {
    let ([_, columns], [rows, outputs]) = (input.dims(), weight.dims());
    assert_eq!(columns, rows, "columns of the input, rows of the weight");
    assert_eq!([outputs], bias.dims(), "columns of the weight, bias");
    #[cfg(kernels)]
    if crate::backend::is_supported(&input) {
        return crate::backend::apply3(input, weight, bias, kernel::Linear::new(activation));
    }
    reference(input, weight, bias, activation)
}

/// Three linear layers of one input as one matmul: their outputs side by side, `[tokens, 3 * out]`.
///
/// The weights are `[in, out]` each, the biases `[out]`.
pub fn linear_side_by_side(
    input: Tensor<2>,
    weights: [Tensor<2>; 3],
    biases: [Tensor<1>; 3],
) -> Tensor<2> {
    // Kernels on the CPU add biases in `f32`.
    let bias_dtype = if runs_asynchronously(&input.device()) {
        input.dtype()
    } else {
        DType::F32
    };
    let weight = concat_weights(weights, input.dtype());
    let bias = concat_weights(biases.map(Tensor::unsqueeze), bias_dtype);
    linear(input, weight, bias.squeeze_dim(0), Activation::Identity)
}

/// [`linear`] from Burn primitives.
pub fn reference(
    input: Tensor<2>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    activation: Activation,
) -> Tensor<2> {
    activate(input.matmul(weight) + bias.unsqueeze(), activation)
}

/// The activation by itself, from Burn primitives: where something stands between it and a linear layer.
pub fn activate(input: Tensor<2>, activation: Activation) -> Tensor<2> {
    match activation {
        Activation::Identity => input,
        Activation::Gelu => gelu(input),
        Activation::GeluTanh => gelu_tanh(input),
        Activation::Gelu10 => gelu(input).clamp(-10.0, 10.0),
        Activation::QuickGelu => input.clone() * sigmoid(input * QUICK_GELU),
        Activation::Relu => relu(input),
        Activation::Silu => input.clone() * sigmoid(input),
        Activation::Tanh => input.tanh(),
    }
}

/// The exact GELU from primitives. The gradient of Burn 0.22.1's own `gelu` is that of the `tanh` approximation, 1.4e-4
/// off.
pub(crate) fn gelu(input: Tensor<2>) -> Tensor<2> {
    let erf = (input.clone() * std::f64::consts::FRAC_1_SQRT_2).erf();
    input * (erf + 1.0) / 2.0
}

fn gelu_tanh(input: Tensor<2>) -> Tensor<2> {
    let cubic = input.clone().powi_scalar(3) * 0.044_715;
    let scale = (2.0 / std::f64::consts::PI).sqrt();
    let tanh = ((input.clone() + cubic) * scale).tanh();
    input * (tanh + 1.0) / 2.0
}
