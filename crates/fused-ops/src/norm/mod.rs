//! LayerNorm after dropout and a residual connection.

#[cfg(kernels)]
mod function;
#[cfg(kernels)]
mod kernel;
#[cfg(feature = "tch")]
mod libtorch;

use burn::tensor::Tensor;

use crate::philox::Dropout;

/// `LayerNorm(dropout(input) + residual)` (Ba et al. 2016), the end of every BERT sub-layer.
///
/// `input` and `residual` are `[tokens, hidden_size]`, `gamma` and `beta` `[hidden_size]`. `eps` is added to the
/// population variance.
///
/// # Panics
/// If the shapes do not fit.
pub fn dropout_add_layer_norm(
    input: Tensor<2>,
    residual: Tensor<2>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    eps: f64,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    let [_, columns] = input.dims();
    assert_eq!(input.dims(), residual.dims(), "input, residual");
    for weight in [&gamma, &beta] {
        assert_eq!([columns], weight.dims(), "columns, gamma or beta");
    }
    #[cfg(kernels)]
    if crate::backend::is_supported(&input) {
        let eps = eps as f32;
        let args = kernel::LayerNorm { eps, dropout };
        return crate::backend::apply4(input, residual, gamma, beta, args);
    }
    reference(input, residual, gamma, beta, eps, dropout)
}

/// [`dropout_add_layer_norm`] from Burn primitives.
pub fn reference(
    input: Tensor<2>,
    residual: Tensor<2>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    eps: f64,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    let input = match dropout {
        Some(dropout) => crate::dropout::reference(input, &dropout),
        None => input,
    };
    let sum = input + residual;
    let centered = sum.clone() - sum.mean_dim(1);
    let variance = centered.clone().square().mean_dim(1);
    centered / (variance + eps).sqrt() * gamma.unsqueeze() + beta.unsqueeze()
}
