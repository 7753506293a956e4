//! The kernels as a Burn backend extension: what a backend must bring, the dispatch among those
//! that bring it, and the backward passes.
#![allow(deprecated)] // Burn would rather have other backends than these two.

mod backward;
mod dispatch;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::ops::{Backward, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, TensorMetadata, backend_extension};

use crate::kernels::{attention, norm, span_loss};
use crate::{Activation, AdamW, Dropout};
use backward::{
    AttentionBackward, AttentionState, DropoutBackward, EmbeddingBackward, EmbeddingState,
    LayerNormBackward, LayerNormState, LinearBackward, LinearState, SpanLossBackward,
    SpanLossState,
};
pub(crate) use dispatch::{
    adamw_step, attention, dropout, dropout_add_layer_norm, embedding, linear, span_loss,
    sum_of_squares, takes,
};

/// Forward passes that keep what their backward passes need, on tensors of one backend.
pub(crate) trait Kernels: Backend {
    /// Rows of a table.
    fn embedding_rows(table: &FloatTensor<Self>, ids: &IntTensor<Self>) -> FloatTensor<Self>;

    /// The gradient of a table of so many rows.
    fn embedding_gradient(
        ids: &IntTensor<Self>,
        grad: FloatTensor<Self>,
        rows: usize,
    ) -> FloatTensor<Self>;

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

    /// The output of query, key and value side by side, and what the backward pass needs besides both.
    fn attention_forward(
        qkv: &FloatTensor<Self>,
        settings: &attention::Settings,
    ) -> (FloatTensor<Self>, Vec<FloatTensor<Self>>);

    /// The gradient of query, key and value side by side.
    fn attention_backward(
        qkv: &FloatTensor<Self>,
        output: &FloatTensor<Self>,
        kept: &[FloatTensor<Self>],
        grad: FloatTensor<Self>,
        settings: &attention::Settings,
    ) -> FloatTensor<Self>;

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

    /// Dropout of a matrix, which is its own backward pass.
    fn dropout(input: &FloatTensor<Self>, dropout: &Dropout) -> FloatTensor<Self>;

    /// The summed span loss, `[1]`.
    fn span_loss(logits: &FloatTensor<Self>, targets: &span_loss::Targets) -> FloatTensor<Self>;

    /// The gradient of the logits; `grad` is the loss's.
    fn span_loss_backward(
        logits: &FloatTensor<Self>,
        grad: FloatTensor<Self>,
        targets: &span_loss::Targets,
    ) -> FloatTensor<Self>;
}

#[backend_extension(NdArray: cfg(feature = "ndarray"), LibTorch: cfg(feature = "tch"), Autodiff)]
pub(crate) trait FusedBackend: Backend {
    fn fused_embedding(table: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self>;

    fn fused_linear(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self>;

    fn fused_attention(qkv: FloatTensor<Self>, settings: attention::Settings) -> FloatTensor<Self>;

    fn fused_layer_norm(
        input: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        settings: norm::Settings,
    ) -> FloatTensor<Self>;

    fn fused_dropout(input: FloatTensor<Self>, dropout: Dropout) -> FloatTensor<Self>;

    fn fused_span_loss(logits: FloatTensor<Self>, targets: span_loss::Targets)
    -> FloatTensor<Self>;
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
    fn fused_embedding(table: FloatTensor<B>, ids: IntTensor<B>) -> FloatTensor<B> {
        B::embedding_rows(&table, &ids)
    }

    fn fused_linear(
        input: FloatTensor<B>,
        weight: FloatTensor<B>,
        bias: FloatTensor<B>,
        activation: Activation,
    ) -> FloatTensor<B> {
        B::linear_forward(&input, &weight, &bias, activation, false).0
    }

    fn fused_attention(qkv: FloatTensor<B>, settings: attention::Settings) -> FloatTensor<B> {
        B::attention_forward(&qkv, &settings).0
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

    fn fused_dropout(input: FloatTensor<B>, dropout: Dropout) -> FloatTensor<B> {
        B::dropout(&input, &dropout)
    }

    fn fused_span_loss(logits: FloatTensor<B>, targets: span_loss::Targets) -> FloatTensor<B> {
        B::span_loss(&logits, &targets)
    }
}

impl<B: Kernels, C: CheckpointStrategy> FusedBackend for Autodiff<B, C> {
    fn fused_embedding(table: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        let operation = EmbeddingBackward
            .prepare::<C>([table.node()])
            .compute_bound();
        let table = table.into_primitive();
        let output = B::embedding_rows(&table, &ids);
        match operation.stateful() {
            OpsKind::UnTracked(prep) => prep.finish(output),
            OpsKind::Tracked(prep) => {
                let rows = table.shape()[0];
                prep.finish(EmbeddingState { ids, rows }, output)
            }
        }
    }

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

    fn fused_attention(qkv: FloatTensor<Self>, settings: attention::Settings) -> FloatTensor<Self> {
        let operation = AttentionBackward.prepare::<C>([qkv.node()]).compute_bound();
        let qkv = qkv.into_primitive();
        let (output, kept) = B::attention_forward(&qkv, &settings);
        match operation.stateful() {
            OpsKind::UnTracked(prep) => prep.finish(output),
            OpsKind::Tracked(prep) => {
                let state = AttentionState {
                    qkv,
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

    fn fused_dropout(input: FloatTensor<Self>, dropout: Dropout) -> FloatTensor<Self> {
        let operation = DropoutBackward.prepare::<C>([input.node()]).compute_bound();
        let output = B::dropout(&input.into_primitive(), &dropout);
        match operation.stateful() {
            OpsKind::UnTracked(prep) => prep.finish(output),
            OpsKind::Tracked(prep) => prep.finish(dropout, output),
        }
    }

    fn fused_span_loss(
        logits: FloatTensor<Self>,
        targets: span_loss::Targets,
    ) -> FloatTensor<Self> {
        let operation = SpanLossBackward
            .prepare::<C>([logits.node()])
            .compute_bound();
        let logits = logits.into_primitive();
        let loss = B::span_loss(&logits, &targets);
        match operation.stateful() {
            OpsKind::UnTracked(prep) => prep.finish(loss),
            OpsKind::Tracked(prep) => prep.finish(SpanLossState { logits, targets }, loss),
        }
    }
}
