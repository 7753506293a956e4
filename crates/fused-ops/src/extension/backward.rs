//! The backward passes, as Burn's autodiff calls them: state saved forward, gradients registered.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::tensor::{FloatTensor, IntTensor};

use super::Kernels;
use crate::Dropout;
use crate::kernels::{attention, norm, span_loss};

/// Takes the gradient of an operation's output, and adds what `backward` makes of it to what each input
/// has, where it wants one.
fn register<B: Kernels, S, const N: usize>(
    ops: Ops<S, N>,
    grads: &mut Gradients,
    backward: impl FnOnce(S, FloatTensor<B>) -> [FloatTensor<B>; N],
) {
    let grad = grads.consume::<B>(&ops.node);
    let gradients = backward(ops.state, grad);
    for (node, gradient) in ops.parents.into_iter().zip(gradients) {
        if let Some(node) = node {
            grads.register::<B>(node.id, gradient);
        }
    }
}

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
        register::<B, _, 1>(ops, grads, |state, grad| {
            [B::embedding_gradient(&state.ids, grad, state.rows)]
        });
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
        register::<B, _, 3>(ops, grads, |state, grad| {
            B::linear_backward(&state.input, &state.weight, state.activated.as_ref(), grad)
        });
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
        register::<B, _, 1>(ops, grads, |state, grad| {
            let AttentionState {
                qkv,
                output,
                kept,
                settings,
            } = state;
            [B::attention_backward(&qkv, &output, &kept, grad, &settings)]
        });
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
        register::<B, _, 4>(ops, grads, |state, grad| {
            B::layer_norm_backward(&state.gamma, &state.kept, grad, &state.settings)
        });
    }
}

#[derive(Debug)]
pub(super) struct DropoutBackward;

impl<B: Kernels> Backward<B, 1> for DropoutBackward {
    type State = Dropout;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        register::<B, _, 1>(ops, grads, |dropout, grad| [B::dropout(&grad, &dropout)]);
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
        register::<B, _, 1>(ops, grads, |state, grad| {
            [B::span_loss_backward(&state.logits, grad, &state.targets)]
        });
    }
}
