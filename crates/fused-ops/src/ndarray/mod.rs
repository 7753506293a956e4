//! Kernels for Burn's NdArray backend: forward and hand-written backward, on all cores.
//!
//! `extension` and `backward` tie the kernels to Burn and its autodiff, `storage` opens its tensors;
//! the other modules know slices only.
#![allow(deprecated)] // Burn prefers its Flex backend; NdArray is the one this project runs on.

mod adamw;
mod attention;
mod backward;
mod extension;
mod gemm;
mod linear;
mod math;
mod norm;
mod storage;

use burn::backend::{Dispatch, DispatchDevice};
use burn::tensor::{DType, Tensor};

use crate::{Activation, Dropout, PackedLengths};
use extension::FusedBackend;

pub(crate) use adamw::{adamw_step, sum_of_squares};

/// Whether a tensor is one that the kernels take: `f32` on NdArray, with autodiff or without.
pub(crate) fn takes<const D: usize>(tensor: &Tensor<D>) -> bool {
    let device = tensor.device().without_autodiff();
    tensor.dtype() == DType::F32 && matches!(device.as_dispatch(), DispatchDevice::NdArray(_))
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
    query: Tensor<2>,
    key: Tensor<2>,
    value: Tensor<2>,
    lengths: &PackedLengths,
    num_heads: usize,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as FusedBackend>::fused_attention(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
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
