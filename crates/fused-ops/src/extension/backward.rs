//! The backward passes, as Burn's autodiff calls them: state saved forward, gradients registered.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::tensor::{FloatTensor, IntTensor};

use super::Kernels;
use crate::Dropout;
use crate::kernels::{attention, norm, span_loss};

#[derive(Debug)]
pub(super) struct EmbeddingBackward;

#[derive(Clone, Debug)]
pub(super) struct EmbeddingState<I> {
    pub(super) ids: I,
    /// Of the table.
    pub(super) rows: usize,
}

impl<B: Kernels> Backward<B, 1> for EmbeddingBackward {
    type State = EmbeddingState<IntTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let gradients = [B::embedding_gradient(&ops.state.ids, grad, ops.state.rows)];
        let parents = ops.parents.map(|node| node.map(|node| node.id));
        register::<B, 1>(grads, parents, gradients);
    }
}

#[derive(Debug)]
pub(super) struct LinearBackward;

#[derive(Clone, Debug)]
pub(super) struct LinearState<F> {
    pub(super) input: F,
    pub(super) weight: F,
    /// The input of the activation, where there is one.
    pub(super) activated: Option<F>,
}

impl<B: Kernels> Backward<B, 3> for LinearBackward {
    type State = LinearState<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let state = ops.state;
        let grad = grads.consume::<B>(&ops.node);
        let gradients =
            B::linear_backward(&state.input, &state.weight, state.activated.as_ref(), grad);
        let parents = ops.parents.map(|node| node.map(|node| node.id));
        register::<B, 3>(grads, parents, gradients);
    }
}

#[derive(Debug)]
pub(super) struct AttentionBackward;

#[derive(Clone, Debug)]
pub(super) struct AttentionState<F> {
    pub(super) qkv: F,
    pub(super) output: F,
    pub(super) kept: Vec<F>,
    pub(super) settings: attention::Settings,
}

impl<B: Kernels> Backward<B, 1> for AttentionBackward {
    type State = AttentionState<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let state = ops.state;
        let grad = grads.consume::<B>(&ops.node);
        let gradients = [B::attention_backward(
            &state.qkv,
            &state.output,
            &state.kept,
            grad,
            &state.settings,
        )];
        let parents = ops.parents.map(|node| node.map(|node| node.id));
        register::<B, 1>(grads, parents, gradients);
    }
}

#[derive(Debug)]
pub(super) struct LayerNormBackward;

#[derive(Clone, Debug)]
pub(super) struct LayerNormState<F> {
    pub(super) gamma: F,
    pub(super) kept: Vec<F>,
    pub(super) settings: norm::Settings,
}

impl<B: Kernels> Backward<B, 4> for LayerNormBackward {
    type State = LayerNormState<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let state = ops.state;
        let grad = grads.consume::<B>(&ops.node);
        let gradients = B::layer_norm_backward(&state.gamma, &state.kept, grad, &state.settings);
        let parents = ops.parents.map(|node| node.map(|node| node.id));
        register::<B, 4>(grads, parents, gradients);
    }
}

#[derive(Debug)]
pub(super) struct DropoutBackward;

impl<B: Kernels> Backward<B, 1> for DropoutBackward {
    type State = Dropout;

    fn backward(self, ops: Ops<Dropout, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let gradients = [B::dropout(&grad, &ops.state)];
        let parents = ops.parents.map(|node| node.map(|node| node.id));
        register::<B, 1>(grads, parents, gradients);
    }
}

#[derive(Debug)]
pub(super) struct SpanLossBackward;

#[derive(Clone, Debug)]
pub(super) struct SpanLossState<F> {
    pub(super) logits: F,
    pub(super) targets: span_loss::Targets,
}

impl<B: Kernels> Backward<B, 1> for SpanLossBackward {
    type State = SpanLossState<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let state = ops.state;
        let gradients = [B::span_loss_backward(&state.logits, grad, &state.targets)];
        let parents = ops.parents.map(|node| node.map(|node| node.id));
        register::<B, 1>(grads, parents, gradients);
    }
}

/// Adds each parent's gradient to what it has, where it wants one.
fn register<B: Kernels, const N: usize>(
    grads: &mut Gradients,
    parents: [Option<NodeId>; N],
    gradients: [FloatTensor<B>; N],
) {
    for (node, gradient) in parents.into_iter().zip(gradients) {
        if let Some(node) = node {
            grads.register::<B>(node, gradient);
        }
    }
}
