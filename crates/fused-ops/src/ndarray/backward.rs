//! The backward passes, as Burn's autodiff calls them: state saved forward, gradients registered.

use burn::backend::NdArray;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::ndarray::NdArrayTensor;

use super::storage::{dims, tensor, values};
use super::{attention, linear, norm};

#[derive(Debug)]
pub(super) struct LinearBackward;

#[derive(Clone, Debug)]
pub(super) struct LinearState {
    pub(super) input: NdArrayTensor,
    pub(super) weight: NdArrayTensor,
    /// The input of the activation, where there is one.
    pub(super) linear: Option<NdArrayTensor>,
}

impl Backward<NdArray, 3> for LinearBackward {
    type State = LinearState;

    fn backward(self, ops: Ops<LinearState, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let LinearState {
            input,
            weight,
            linear,
        } = ops.state;
        let grad = grads.consume::<NdArray>(&ops.node);
        let grad = match &linear {
            None => values(&grad),
            Some(linear) => linear::gelu_backward(&values(linear), &values(&grad)).into(),
        };
        let [rows, inputs] = dims(&input);
        let outputs = dims(&weight)[1];
        let [to_input, to_weight, to_bias] =
            linear::backward(&values(&input), &values(&weight), &grad, rows, outputs);
        let gradients = [
            tensor(to_input, &[rows, inputs]),
            tensor(to_weight, &[inputs, outputs]),
            tensor(to_bias, &[outputs]),
        ];
        register(
            grads,
            ops.parents.map(|node| node.map(|node| node.id)),
            gradients,
        );
    }
}

#[derive(Debug)]
pub(super) struct AttentionBackward;

#[derive(Clone, Debug)]
pub(super) struct AttentionState {
    pub(super) query: NdArrayTensor,
    pub(super) key: NdArrayTensor,
    pub(super) value: NdArrayTensor,
    pub(super) output: NdArrayTensor,
    pub(super) log_sums: NdArrayTensor,
    pub(super) settings: attention::Settings,
}

impl Backward<NdArray, 3> for AttentionBackward {
    type State = AttentionState;

    fn backward(self, ops: Ops<AttentionState, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let state = ops.state;
        let grad = grads.consume::<NdArray>(&ops.node);
        let shape = dims(&grad);
        let saved = attention::Saved {
            query: &values(&state.query),
            key: &values(&state.key),
            value: &values(&state.value),
            output: &values(&state.output),
            log_sums: &values(&state.log_sums),
        };
        let gradients = attention::backward(&saved, &values(&grad), shape[1], &state.settings);
        register(
            grads,
            ops.parents.map(|node| node.map(|node| node.id)),
            gradients.map(|gradient| tensor(gradient, &shape)),
        );
    }
}

#[derive(Debug)]
pub(super) struct LayerNormBackward;

#[derive(Clone, Debug)]
pub(super) struct LayerNormState {
    pub(super) normalised: NdArrayTensor,
    pub(super) inverse_std: NdArrayTensor,
    pub(super) gamma: NdArrayTensor,
    pub(super) settings: norm::Settings,
}

impl Backward<NdArray, 4> for LayerNormBackward {
    type State = LayerNormState;

    fn backward(self, ops: Ops<LayerNormState, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let LayerNormState {
            normalised,
            inverse_std,
            gamma,
            settings,
        } = ops.state;
        let grad = grads.consume::<NdArray>(&ops.node);
        let shape = dims(&grad);
        let [to_input, to_residual, to_gamma, to_beta] = norm::backward(
            &values(&normalised),
            &values(&inverse_std),
            &values(&gamma),
            &values(&grad),
            &settings,
        );
        let columns = [shape[1]];
        let gradients = [
            tensor(to_input, &shape),
            tensor(to_residual, &shape),
            tensor(to_gamma, &columns),
            tensor(to_beta, &columns),
        ];
        register(
            grads,
            ops.parents.map(|node| node.map(|node| node.id)),
            gradients,
        );
    }
}

/// Adds each parent's gradient to what it has, where it wants one.
fn register<const N: usize>(
    grads: &mut Gradients,
    parents: [Option<NodeId>; N],
    gradients: [NdArrayTensor; N],
) {
    for (node, gradient) in parents.into_iter().zip(gradients) {
        if let Some(node) = node {
            grads.register::<NdArray>(node, gradient);
        }
    }
}
