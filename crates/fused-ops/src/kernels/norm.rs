use pulp::Arch;

use super::linear::{ROWS_PER_TASK, add_up};
use super::vector::vectorised;
use super::workers::for_each_chunk;
use crate::Dropout;

/// What a LayerNorm is told besides its tensors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) eps: f32,
    pub(crate) dropout: Option<Dropout>,
}

/// The forward pass's inputs: `[rows, columns]` twice, `[columns]` twice.
pub(crate) struct Inputs<'a> {
    pub(crate) input: &'a [f32],
    pub(crate) residual: &'a [f32],
    pub(crate) gamma: &'a [f32],
    pub(crate) beta: &'a [f32],
}

/// What the forward pass fills.
pub(crate) struct Outputs<'a> {
    pub(crate) output: &'a mut [f32],
    /// `(dropout(input) + residual - mean) / sqrt(variance + eps)`, `[rows, columns]`.
    pub(crate) normalised: &'a mut [f32],
    /// `1 / sqrt(variance + eps)` of each row.
    pub(crate) inverse_std: &'a mut [f32],
}

pub(crate) fn forward(inputs: &Inputs<'_>, outputs: Outputs<'_>, settings: &Settings) {
    let columns = inputs.gamma.len();
    let arch = Arch::new();
    let task = ROWS_PER_TASK * columns;
    for_each_chunk(
        [
            (outputs.output, task),
            (outputs.normalised, task),
            (outputs.inverse_std, ROWS_PER_TASK),
        ],
        || vec![1.0f32; columns],
        |factors, index, [output, normalised, inverse_std]| {
            for (i, inverse) in inverse_std.iter_mut().enumerate() {
                let row = i * columns..(i + 1) * columns;
                let (x, output) = (&mut normalised[row.clone()], &mut output[row]);
                let index = index * ROWS_PER_TASK + i;
                let place = index * columns..(index + 1) * columns;
                let (input, residual) = (&inputs.input[place.clone()], &inputs.residual[place]);
                vectorised(
                    arch,
                    #[inline(always)]
                    || {
                        if let Some(dropout) = &settings.dropout {
                            dropout.fill_row(index as u32, factors);
                        }
                        let sums = input.iter().zip(residual).zip(&*factors);
                        for (x, ((input, residual), factor)) in x.iter_mut().zip(sums) {
                            *x = input.mul_add(*factor, *residual);
                        }
                        let mean = sum(x) / columns as f32;
                        for x in x.iter_mut() {
                            *x -= mean;
                        }
                        let variance = sum_of_products(x, x) / columns as f32;
                        *inverse = 1.0 / (variance + settings.eps).sqrt();
                        for x in x.iter_mut() {
                            *x *= *inverse;
                        }
                        let scale = inputs.gamma.iter().zip(inputs.beta);
                        for ((out, x), (gamma, beta)) in output.iter_mut().zip(&*x).zip(scale) {
                            *out = x.mul_add(*gamma, *beta);
                        }
                    },
                );
            }
        },
    );
}

/// What the backward pass is given, besides the gradient of the output.
pub(crate) struct Saved<'a> {
    pub(crate) normalised: &'a [f32],
    pub(crate) inverse_std: &'a [f32],
    pub(crate) gamma: &'a [f32],
}

/// Gradients of input, residual, gamma and beta.
pub(crate) fn backward(
    saved: &Saved<'_>,
    grad: &[f32],
    settings: &Settings,
    [to_input, to_residual, to_gamma, to_beta]: [&mut [f32]; 4],
) {
    let columns = saved.gamma.len();
    let rows = saved.inverse_std.len();
    let task = ROWS_PER_TASK * columns;
    let arch = Arch::new();
    let partial = rows.div_ceil(ROWS_PER_TASK) * columns;
    let (mut gammas, mut betas) = (vec![0.0f32; partial], vec![0.0f32; partial]);
    for_each_chunk(
        [
            (to_residual, task),
            (to_input, task),
            (&mut gammas, columns),
            (&mut betas, columns),
        ],
        || vec![1.0f32; columns],
        |factors, index, [to_residual, to_input, to_gamma, to_beta]| {
            let first = index * ROWS_PER_TASK;
            for row in first..rows.min(first + ROWS_PER_TASK) {
                let place = row * columns..(row + 1) * columns;
                let (x, grad) = (&saved.normalised[place.clone()], &grad[place]);
                let inverse = saved.inverse_std[row];
                let place = (row - first) * columns..(row - first + 1) * columns;
                let (to_residual, to_input) =
                    (&mut to_residual[place.clone()], &mut to_input[place]);
                vectorised(
                    arch,
                    #[inline(always)]
                    || {
                        for ((sum, grad), x) in to_gamma.iter_mut().zip(grad).zip(x) {
                            *sum = grad.mul_add(*x, *sum);
                        }
                        for (sum, grad) in to_beta.iter_mut().zip(grad) {
                            *sum += grad;
                        }
                        let scaled = grad.iter().zip(saved.gamma);
                        for (out, (grad, gamma)) in to_residual.iter_mut().zip(scaled) {
                            *out = grad * gamma;
                        }
                        let mean = sum(to_residual) / columns as f32;
                        let slope = sum_of_products(to_residual, x) / columns as f32;
                        for (out, x) in to_residual.iter_mut().zip(x) {
                            *out = (*out - mean - x * slope) * inverse;
                        }
                        if let Some(dropout) = &settings.dropout {
                            dropout.fill_row(row as u32, factors);
                        }
                        let kept = to_residual.iter().zip(&*factors);
                        for (out, (grad, factor)) in to_input.iter_mut().zip(kept) {
                            *out = grad * factor;
                        }
                    },
                );
            }
        },
    );
    add_up(&gammas, to_gamma);
    add_up(&betas, to_beta);
}

/// The sum, in 16 lanes so that it can use vector registers and loses less to rounding.
#[inline(always)]
pub(super) fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let chunks = values.chunks_exact(16);
    let tail: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().sum::<f32>() + tail
}

/// The sum of element-wise products, in 16 lanes.
#[inline(always)]
pub(super) fn sum_of_products(left: &[f32], right: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (left_chunks, right_chunks) = (left.chunks_exact(16), right.chunks_exact(16));
    let tails = left_chunks.remainder().iter().zip(right_chunks.remainder());
    let tail: f32 = tails.map(|(a, b)| a * b).sum();
    for (a, b) in left_chunks.zip(right_chunks) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane = a.mul_add(*b, *lane);
        }
    }
    lanes.iter().sum::<f32>() + tail
}
