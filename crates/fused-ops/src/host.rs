//! The kernels on tensors that lie in host memory as `f32`, whichever backend holds them.

use std::borrow::Cow;

use burn::backend::Backend;
use burn::backend::tensor::{FloatTensor, IntTensor};

use crate::kernels::{adamw, attention, dropout, embedding, norm, span_loss};
use crate::{AdamW, Dropout};

/// A backend whose tensors can be read and filled as slices.
pub(crate) trait Host: Backend {
    /// A tensor's numbers in row-major order, copied only where the tensor is a strided view.
    fn values(tensor: &FloatTensor<Self>) -> Cow<'_, [f32]>;

    /// A tensor's numbers to be changed: in place if it is owned alone, else of a copy.
    fn values_mut(tensor: &mut FloatTensor<Self>) -> &mut [f32];

    /// A tensor to be filled: what it holds before is not said.
    fn unfilled(shape: &[usize]) -> FloatTensor<Self>;

    /// A tensor of row numbers.
    fn ids(tensor: &IntTensor<Self>) -> Vec<usize>;

    /// `[rows, columns]` of a matrix.
    fn dims(tensor: &FloatTensor<Self>) -> [usize; 2];
}

/// New tensors of these shapes; `fill` gives every element a value.
pub(crate) fn filled<B: Host, const N: usize>(
    shapes: [&[usize]; N],
    fill: impl FnOnce([&mut [f32]; N]),
) -> [FloatTensor<B>; N] {
    let mut tensors = shapes.map(B::unfilled);
    fill(tensors.each_mut().map(B::values_mut));
    tensors
}

pub(crate) fn embedding<B: Host>(table: &FloatTensor<B>, ids: &IntTensor<B>) -> FloatTensor<B> {
    let (ids, [_, columns]) = (B::ids(ids), B::dims(table));
    let [output] = filled::<B, 1>([&[ids.len(), columns]], |[output]| {
        embedding::forward(&B::values(table), columns, &ids, output);
    });
    output
}

pub(crate) fn embedding_backward<B: Host>(
    ids: &IntTensor<B>,
    grad: &FloatTensor<B>,
    rows: usize,
) -> FloatTensor<B> {
    let [_, columns] = B::dims(grad);
    let [to_table] = filled::<B, 1>([&[rows, columns]], |[to_table]| {
        embedding::backward(&B::ids(ids), &B::values(grad), columns, to_table);
    });
    to_table
}

pub(crate) fn attention<B: Host>(
    qkv: &FloatTensor<B>,
    settings: &attention::Settings,
) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
    let [tokens, columns] = B::dims(qkv);
    let [output, log_sums] = filled::<B, 2>(
        [&[tokens, columns / 3], &[tokens, settings.num_heads]],
        |[output, log_sums]| {
            let qkv = B::values(qkv);
            let inputs = attention::Inputs::new(&qkv, columns);
            attention::forward(inputs, settings, output, log_sums);
        },
    );
    (output, vec![log_sums])
}

pub(crate) fn attention_backward<B: Host>(
    qkv: &FloatTensor<B>,
    output: &FloatTensor<B>,
    kept: &[FloatTensor<B>],
    grad: &FloatTensor<B>,
    settings: &attention::Settings,
) -> FloatTensor<B> {
    let shape = B::dims(qkv);
    let [gradient] = filled::<B, 1>([&shape], |[gradient]| {
        let qkv = B::values(qkv);
        let saved = attention::Saved {
            inputs: attention::Inputs::new(&qkv, shape[1]),
            output: &B::values(output),
            log_sums: &B::values(&kept[0]),
        };
        attention::backward(&saved, &B::values(grad), settings, gradient);
    });
    gradient
}

pub(crate) fn layer_norm<B: Host>(
    inputs: [&FloatTensor<B>; 4],
    settings: &norm::Settings,
) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
    let shape = B::dims(inputs[0]);
    let [input, residual, gamma, beta] = inputs.map(B::values);
    let inputs = norm::Inputs {
        input: &input,
        residual: &residual,
        gamma: &gamma,
        beta: &beta,
    };
    let [output, normalised, inverse_std] = filled::<B, 3>(
        [&shape, &shape, &shape[..1]],
        |[output, normalised, inverse_std]| {
            let outputs = norm::Outputs {
                output,
                normalised,
                inverse_std,
            };
            norm::forward(&inputs, outputs, settings);
        },
    );
    (output, vec![normalised, inverse_std])
}

pub(crate) fn layer_norm_backward<B: Host>(
    gamma: &FloatTensor<B>,
    kept: &[FloatTensor<B>],
    grad: &FloatTensor<B>,
    settings: &norm::Settings,
) -> [FloatTensor<B>; 4] {
    let shape = B::dims(&kept[0]);
    let saved = norm::Saved {
        normalised: &B::values(&kept[0]),
        inverse_std: &B::values(&kept[1]),
        gamma: &B::values(gamma),
    };
    let columns = &shape[1..];
    filled::<B, 4>([&shape, &shape, columns, columns], |gradients| {
        norm::backward(&saved, &B::values(grad), settings, gradients);
    })
}

/// In place where the tensors are owned alone.
pub(crate) fn adamw_step<B: Host>(
    tensors: [FloatTensor<B>; 3],
    gradient: &FloatTensor<B>,
    constants: &AdamW,
) -> [FloatTensor<B>; 3] {
    let mut tensors = tensors;
    let values = tensors.each_mut().map(B::values_mut);
    adamw::step(values, &B::values(gradient), constants);
    tensors
}

pub(crate) fn sum_of_squares<B: Host>(tensor: &FloatTensor<B>) -> FloatTensor<B> {
    let [sum] = filled::<B, 1>([&[1]], |[sum]| {
        sum[0] = adamw::sum_of_squares(&B::values(tensor));
    });
    sum
}

pub(crate) fn dropout<B: Host>(input: &FloatTensor<B>, dropout: &Dropout) -> FloatTensor<B> {
    let shape = B::dims(input);
    let [output] = filled::<B, 1>([&shape], |[output]| {
        dropout::dropout(&B::values(input), shape[1], dropout, output);
    });
    output
}

pub(crate) fn span_loss<B: Host>(
    logits: &FloatTensor<B>,
    targets: &span_loss::Targets,
) -> FloatTensor<B> {
    let [loss] = filled::<B, 1>([&[1]], |[loss]| {
        loss[0] = span_loss::forward(&B::values(logits), targets);
    });
    loss
}

pub(crate) fn span_loss_backward<B: Host>(
    logits: &FloatTensor<B>,
    grad: &FloatTensor<B>,
    targets: &span_loss::Targets,
) -> FloatTensor<B> {
    let [gradient] = filled::<B, 1>([&B::dims(logits)], |[gradient]| {
        let grad = B::values(grad)[0];
        span_loss::backward(&B::values(logits), grad, targets, gradient);
    });
    gradient
}
