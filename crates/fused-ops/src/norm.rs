use burn::tensor::Tensor;

use crate::Dropout;

/// `LayerNorm(dropout(input) + residual)` (Ba et al. 2016), the end of every BERT sub-layer.
///
/// `input` and `residual` are `[tokens, hidden_size]`, `gamma` and `beta` `[hidden_size]`. The
/// variance is the population's, `eps` is added to it.
pub fn dropout_add_layer_norm(
    input: Tensor<2>,
    residual: Tensor<2>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    eps: f64,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    #[cfg(any(feature = "ndarray", feature = "tch"))]
    if crate::extension::takes(&input) {
        return crate::extension::dropout_add_layer_norm(
            input, residual, gamma, beta, eps, dropout,
        );
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
    let centred = sum.clone() - sum.mean_dim(1);
    let variance = centred.clone().square().mean_dim(1);
    centred / (variance + eps).sqrt() * gamma.unsqueeze() + beta.unsqueeze()
}
