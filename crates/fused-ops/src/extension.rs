//! The kernels as a Burn backend extension: what a backend must bring, the dispatch among those
//! that bring it, and the backward passes.
#![allow(deprecated)] // Burn would rather have other backends than these two.

mod backward;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::ops::{Backward, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, DispatchDevice, backend_extension};
use burn::tensor::{DType, Tensor};

use crate::kernels::{attention, norm};
use crate::{Activation, AdamW, Dropout, PackedLengths};
use backward::{
    AttentionBackward, AttentionState, LayerNormBackward, LayerNormState, LinearBackward,
    LinearState,
};

/// Forward passes that keep what their backward passes need, on tensors of one backend.
pub(crate) trait Kernels: Backend {
    /// The output, and what the activation was given if there is one and `keep` asks for it.
    fn linear_forward(
        input: &FloatTensor<Self>,
        weight: &FloatTensor<Self>,
        bias: &FloatTensor<Self>,
        activation: Activation,
        keep: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>);

    /// Gradients of input, weight and bias.
    fn linear_backward(
        input: &FloatTensor<Self>,
        weight: &FloatTensor<Self>,
        activated: Option<&FloatTensor<Self>>,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3];

    /// The output, and what the backward pass needs besides it and the inputs.
    fn attention_forward(
        inputs: [&FloatTensor<Self>; 3],
        settings: &attention::Settings,
    ) -> (FloatTensor<Self>, Vec<FloatTensor<Self>>);

    /// Gradients of query, key and value.
    fn attention_backward(
        inputs: [&FloatTensor<Self>; 3],
        output: &FloatTensor<Self>,
        kept: &[FloatTensor<Self>],
        grad: FloatTensor<Self>,
        settings: &attention::Settings,
    ) -> [FloatTensor<Self>; 3];

    /// The output of input, residual, gamma and beta, and what the backward pass needs besides
    /// gamma.
    fn layer_norm_forward(
        inputs: [&FloatTensor<Self>; 4],
        settings: &norm::Settings,
    ) -> (FloatTensor<Self>, Vec<FloatTensor<Self>>);

    /// Gradients of input, residual, gamma and beta.
    fn layer_norm_backward(
        gamma: &FloatTensor<Self>,
        kept: &[FloatTensor<Self>],
        grad: FloatTensor<Self>,
        settings: &norm::Settings,
    ) -> [FloatTensor<Self>; 4];
}

#[backend_extension(NdArray: cfg(feature = "ndarray"), LibTorch: cfg(feature = "tch"), Autodiff)]
pub(crate) trait FusedBackend: Backend {
    fn fused_linear(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self>;

    fn fused_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        settings: attention::Settings,
    ) -> FloatTensor<Self>;

    fn fused_layer_norm(
        input: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        settings: norm::Settings,
    ) -> FloatTensor<Self>;
}

/// What an optimizer does, on tensors without autodiff.
#[backend_extension(NdArray: cfg(feature = "ndarray"), LibTorch: cfg(feature = "tch"))]
pub(crate) trait OptimizerBackend: Backend {
    /// The new parameter, first and second moment, in the memory of the old ones where these are
    /// owned alone.
    fn fused_adamw(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        adamw: AdamW,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// `[1]`.
    fn fused_sum_of_squares(tensor: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl<B: Kernels> FusedBackend for B {
    fn fused_linear(
        input: FloatTensor<B>,
        weight: FloatTensor<B>,
        bias: FloatTensor<B>,
        activation: Activation,
    ) -> FloatTensor<B> {
        B::linear_forward(&input, &weight, &bias, activation, false).0
    }

    fn fused_attention(
        query: FloatTensor<B>,
        key: FloatTensor<B>,
        value: FloatTensor<B>,
        settings: attention::Settings,
    ) -> FloatTensor<B> {
        B::attention_forward([&query, &key, &value], &settings).0
    }

    fn fused_layer_norm(
        input: FloatTensor<B>,
        residual: FloatTensor<B>,
        gamma: FloatTensor<B>,
        beta: FloatTensor<B>,
        settings: norm::Settings,
    ) -> FloatTensor<B> {
        B::layer_norm_forward([&input, &residual, &gamma, &beta], &settings).0
    }
}

impl<B: Kernels, C: CheckpointStrategy> FusedBackend for Autodiff<B, C> {
    fn fused_linear(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let nodes = [input.node(), weight.node(), bias.node()];
        let [input, weight, bias] = [input, weight, bias].map(|t| t.into_primitive());
        let operation = LinearBackward.prepare::<C>(nodes).compute_bound();
        match operation.stateful() {
            OpsKind::UnTracked(prep) => {
                prep.finish(B::fused_linear(input, weight, bias, activation))
            }
            OpsKind::Tracked(prep) => {
                let (output, activated) =
                    B::linear_forward(&input, &weight, &bias, activation, true);
                let state = LinearState {
                    input,
                    weight,
                    activated,
                };
                prep.finish(state, output)
            }
        }
    }

    fn fused_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        settings: attention::Settings,
    ) -> FloatTensor<Self> {
        let nodes = [query.node(), key.node(), value.node()];
        let inputs = [query, key, value].map(|t| t.into_primitive());
        let operation = AttentionBackward.prepare::<C>(nodes).compute_bound();
        let (output, kept) = B::attention_forward(inputs.each_ref(), &settings);
        match operation.stateful() {
            OpsKind::UnTracked(prep) => prep.finish(output),
            OpsKind::Tracked(prep) => {
                let state = AttentionState {
                    inputs,
                    output: output.clone(),
                    kept,
                    settings,
                };
                prep.finish(state, output)
            }
        }
    }

    fn fused_layer_norm(
        input: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        settings: norm::Settings,
    ) -> FloatTensor<Self> {
        let nodes = [input.node(), residual.node(), gamma.node(), beta.node()];
        let inputs = [input, residual, gamma, beta].map(|t| t.into_primitive());
        let operation = LayerNormBackward.prepare::<C>(nodes).compute_bound();
        let (output, kept) = B::layer_norm_forward(inputs.each_ref(), &settings);
        let [_, _, gamma, _] = inputs;
        match operation.stateful() {
            OpsKind::UnTracked(prep) => prep.finish(output),
            OpsKind::Tracked(prep) => {
                let state = LayerNormState {
                    gamma,
                    kept,
                    settings,
                };
                prep.finish(state, output)
            }
        }
    }
}

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
