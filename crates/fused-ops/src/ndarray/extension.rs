//! The kernels as a Burn backend extension: forward on NdArray, backward through its autodiff.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::ops::{Backward, OpsKind};
use burn::backend::ndarray::NdArrayTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, NdArray, backend_extension};

use super::backward::{
    AttentionBackward, AttentionState, LayerNormBackward, LayerNormState, LinearBackward,
    LinearState,
};
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
