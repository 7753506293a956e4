//! From Burn's tensors to the extension's operations and back.

use burn::backend::{Dispatch, DispatchDevice};
use burn::tensor::{DType, Int, Tensor};

use super::{FusedBackend, OptimizerBackend};
use crate::kernels::{attention, norm, span_loss};
use crate::{Activation, AdamW, CuSeqlens, Dropout};

/// Whether a tensor is one that the kernels take, with autodiff or without.
pub(crate) fn takes<const D: usize>(tensor: &Tensor<D>) -> bool {
    let device = tensor.device().without_autodiff();
    match device.as_dispatch() {
        #[cfg(feature = "ndarray")]
        DispatchDevice::NdArray(_) => tensor.dtype() == DType::F32,
        #[cfg(feature = "tch")]
        DispatchDevice::LibTorch(device) => crate::libtorch::takes(device, tensor.dtype()),
        #[allow(unreachable_patterns)] // Burn has the backends that this build has.
        _ => false,
    }
}

pub(crate) fn embedding(table: Tensor<2>, ids: Tensor<1, Int>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as FusedBackend>::fused_embedding(
        table.into_dispatch(),
        ids.into_dispatch(),
    ))
}

pub(crate) fn linear(
    input: Tensor<2>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    activation: Activation,
) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as FusedBackend>::fused_linear(
        input.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        activation,
    ))
}

pub(crate) fn attention(
    qkv: Tensor<2>,
    lengths: &CuSeqlens,
    num_heads: usize,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as FusedBackend>::fused_attention(
        qkv.into_dispatch(),
        attention::Settings {
            lengths: lengths.clone(),
            num_heads,
            dropout,
        },
    ))
}

pub(crate) fn dropout_add_layer_norm(
    input: Tensor<2>,
    residual: Tensor<2>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    eps: f64,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as FusedBackend>::fused_layer_norm(
        input.into_dispatch(),
        residual.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        norm::Settings {
            eps: eps as f32,
            dropout,
        },
    ))
}

/// One AdamW step, in place where the tensors are owned alone.
pub(crate) fn adamw_step<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    (first, second): (Tensor<D>, Tensor<D>),
    adamw: &AdamW,
) -> (Tensor<D>, (Tensor<D>, Tensor<D>)) {
    let (parameter, first, second) = <Dispatch as OptimizerBackend>::fused_adamw(
        parameter.into_dispatch(),
        gradient.into_dispatch(),
        first.into_dispatch(),
        second.into_dispatch(),
        *adamw,
    );
    let [parameter, first, second] = [parameter, first, second].map(Tensor::from_dispatch);
    (parameter, (first, second))
}

pub(crate) fn sum_of_squares<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as OptimizerBackend>::fused_sum_of_squares(
        tensor.into_dispatch(),
    ))
}

pub(crate) fn dropout(input: Tensor<2>, dropout: &Dropout) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as FusedBackend>::fused_dropout(
        input.into_dispatch(),
        *dropout,
    ))
}

pub(crate) fn span_loss(
    logits: Tensor<2>,
    lengths: &CuSeqlens,
    start_positions: &[usize],
    end_positions: &[usize],
) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as FusedBackend>::fused_span_loss(
        logits.into_dispatch(),
        span_loss::Targets {
            lengths: lengths.clone(),
            positions: start_positions
                .iter()
                .copied()
                .zip(end_positions.iter().copied())
                .collect(),
        },
    ))
}
