//! Burn's modules through the operations of `fused-ops`.

use burn::nn::{Embedding, LayerNorm, Linear};
use burn::tensor::{Int, Tensor};
use fused_ops::{Activation, Dropout};

/// Rows of the table: `[tokens]` to `[tokens, width]`.
pub(super) fn embedding(module: &Embedding, ids: &Tensor<1, Int>) -> Tensor<2> {
    fused_ops::embedding(module.weight.val(), ids.clone())
}

/// `activation(input · weight + bias)`.
pub(super) fn linear(module: &Linear, input: Tensor<2>, activation: Activation) -> Tensor<2> {
    fused_ops::linear(input, module.weight.val(), bias(module), activation)
}

/// Zeros for a layer without a bias.
pub(super) fn bias(module: &Linear) -> Tensor<1> {
    match &module.bias {
        Some(bias) => bias.val(),
        None => {
            let weight = module.weight.val();
            Tensor::zeros([weight.dims()[1]], (&weight.device(), weight.dtype()))
        }
    }
}

/// `LayerNorm(input)`.
pub(super) fn layer_norm(module: &LayerNorm, input: Tensor<2>, eps: f64) -> Tensor<2> {
    let zeros = input.zeros_like();
    dropout_add_layer_norm(module, input, zeros, eps, None)
}

/// `LayerNorm(dropout(input) + residual)`.
pub(super) fn dropout_add_layer_norm(
    module: &LayerNorm,
    input: Tensor<2>,
    residual: Tensor<2>,
    eps: f64,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    let gamma = module.gamma.val();
    let beta = module.beta.as_ref().map(|beta| beta.val());
    let beta = beta.unwrap_or_else(|| gamma.zeros_like());
    fused_ops::dropout_add_layer_norm(input, residual, gamma, beta, eps, dropout)
}

pub(super) fn dropout(input: Tensor<2>, dropout: Option<Dropout>) -> Tensor<2> {
    match dropout {
        Some(dropout) => fused_ops::dropout(input, &dropout),
        None => input,
    }
}
