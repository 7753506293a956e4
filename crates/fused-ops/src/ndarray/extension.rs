//! The kernels as a Burn backend extension: forward on NdArray, backward through its autodiff.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ndarray::NdArrayTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, NdArray, backend_extension};

use super::storage::{dims, tensor, values};
use super::{attention, linear, norm};
use crate::Activation;

#[backend_extension(NdArray, Autodiff)]
pub(super) trait FusedBackend: Backend {
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

/// The linear output before its activation.
fn linear_forward(input: &NdArrayTensor, weight: &NdArrayTensor, bias: &NdArrayTensor) -> Vec<f32> {
    linear::forward(
        &values(input),
        &values(weight),
        &values(bias),
        dims(input)[0],
    )
}

fn linear_shape(input: &NdArrayTensor, weight: &NdArrayTensor) -> [usize; 2] {
    [dims(input)[0], dims(weight)[1]]
}

impl FusedBackend for NdArray {
    fn fused_linear(
        input: NdArrayTensor,
        weight: NdArrayTensor,
        bias: NdArrayTensor,
        activation: Activation,
    ) -> NdArrayTensor {
        let linear = linear_forward(&input, &weight, &bias);
        let output = match activation {
            Activation::Identity => linear,
            Activation::Gelu => linear::gelu(&linear),
        };
        tensor(output, &linear_shape(&input, &weight))
    }

    fn fused_attention(
        query: NdArrayTensor,
        key: NdArrayTensor,
        value: NdArrayTensor,
        settings: attention::Settings,
    ) -> NdArrayTensor {
        let shape = dims(&query);
        let inputs = [&query, &key, &value].map(values);
        let (output, _) =
            attention::forward(&inputs[0], &inputs[1], &inputs[2], shape[1], &settings);
        tensor(output, &shape)
    }

    fn fused_layer_norm(
        input: NdArrayTensor,
        residual: NdArrayTensor,
        gamma: NdArrayTensor,
        beta: NdArrayTensor,
        settings: norm::Settings,
    ) -> NdArrayTensor {
        let [input_values, residual, gamma, beta] = [&input, &residual, &gamma, &beta].map(values);
        let forward = norm::forward(&input_values, &residual, &gamma, &beta, &settings);
        tensor(forward.output, &dims(&input))
    }
}

#[derive(Debug)]
struct LinearBackward;

#[derive(Clone, Debug)]
struct LinearState {
    input: NdArrayTensor,
    weight: NdArrayTensor,
    /// The input of the activation, where there is one.
    linear: Option<NdArrayTensor>,
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
        for (node, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = node {
                grads.register::<NdArray>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct AttentionBackward;

#[derive(Clone, Debug)]
struct AttentionState {
    query: NdArrayTensor,
    key: NdArrayTensor,
    value: NdArrayTensor,
    output: NdArrayTensor,
    log_sums: NdArrayTensor,
    settings: attention::Settings,
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
        for (node, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = node {
                grads.register::<NdArray>(node.id, tensor(gradient, &shape));
            }
        }
    }
}

#[derive(Debug)]
struct LayerNormBackward;

#[derive(Clone, Debug)]
struct LayerNormState {
    normalised: NdArrayTensor,
    inverse_std: NdArrayTensor,
    gamma: NdArrayTensor,
    settings: norm::Settings,
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
        for (node, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = node {
                grads.register::<NdArray>(node.id, gradient);
            }
        }
    }
}

impl<C: CheckpointStrategy> FusedBackend for Autodiff<NdArray, C> {
    fn fused_linear(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let nodes = [input.node(), weight.node(), bias.node()];
        let [input, weight, bias] = [input, weight, bias].map(|t| t.into_primitive());
        match LinearBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::UnTracked(prep) => {
                prep.finish(NdArray::fused_linear(input, weight, bias, activation))
            }
            OpsKind::Tracked(prep) => {
                let shape = linear_shape(&input, &weight);
                let linear = linear_forward(&input, &weight, &bias);
                let (linear, output) = match activation {
                    Activation::Identity => (None, linear),
                    Activation::Gelu => {
                        let output = linear::gelu(&linear);
                        (Some(tensor(linear, &shape)), output)
                    }
                };
                prep.finish(
                    LinearState {
                        input,
                        weight,
                        linear,
                    },
                    tensor(output, &shape),
                )
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
        let [query, key, value] = [query, key, value].map(|t| t.into_primitive());
        match AttentionBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::UnTracked(prep) => {
                prep.finish(NdArray::fused_attention(query, key, value, settings))
            }
            OpsKind::Tracked(prep) => {
                let shape = dims(&query);
                let (output, log_sums) = {
                    let inputs = [&query, &key, &value].map(values);
                    attention::forward(&inputs[0], &inputs[1], &inputs[2], shape[1], &settings)
                };
                let output = tensor(output, &shape);
                let log_sums = tensor(log_sums, &[shape[0], settings.num_heads]);
                let state = AttentionState {
                    query,
                    key,
                    value,
                    output: output.clone(),
                    log_sums,
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
        let [input, residual, gamma, beta] =
            [input, residual, gamma, beta].map(|t| t.into_primitive());
        match LayerNormBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::UnTracked(prep) => prep.finish(NdArray::fused_layer_norm(
                input, residual, gamma, beta, settings,
            )),
            OpsKind::Tracked(prep) => {
                let shape = dims(&input);
                let forward = {
                    let [input, residual, gamma, beta] =
                        [&input, &residual, &gamma, &beta].map(values);
                    norm::forward(&input, &residual, &gamma, &beta, &settings)
                };
                let state = LayerNormState {
                    normalised: tensor(forward.normalised, &shape),
                    inverse_std: tensor(forward.inverse_std, &[shape[0]]),
                    gamma,
                    settings,
                };
                prep.finish(state, tensor(forward.output, &shape))
            }
        }
    }
}
