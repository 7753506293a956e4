use pulp::Arch;

use crate::kernels::parallel::{ROWS_PER_TASK, for_each_chunk};
use crate::kernels::reduce::{dot, sum, sum_rows};
use crate::kernels::simd::vectorized;
use crate::philox::Dropout;

/// LayerNorm arguments other than tensors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerNorm {
    pub(crate) eps: f32,
    pub(crate) dropout: Option<Dropout>,
}

/// The inputs of the forward pass: two `[rows, columns]`, two `[columns]`.
pub(crate) struct Inputs<'a> {
    pub(crate) input: &'a [f32],
    pub(crate) residual: &'a [f32],
    pub(crate) gamma: &'a [f32],
    pub(crate) beta: &'a [f32],
}

/// The outputs of the forward pass.
pub(crate) struct Outputs<'a> {
    /// `[rows, columns]`
    pub(crate) output: &'a mut [f32],
    /// `(dropout(input) + residual - mean) / sqrt(variance + eps)`, `[rows, columns]`.
    pub(crate) normalized: &'a mut [f32],
    /// `1 / sqrt(variance + eps)`, `[rows]`.
    pub(crate) inverse_std: &'a mut [f32],
}

/// Fills the outputs.
pub(crate) fn forward(inputs: &Inputs<'_>, outputs: Outputs<'_>, args: &LayerNorm) {
    let columns = inputs.gamma.len();
    let arch = Arch::new();
    let task = ROWS_PER_TASK * columns;
    for_each_chunk(
        [
            (outputs.output, task),
            (outputs.normalized, task),
            (outputs.inverse_std, ROWS_PER_TASK),
        ],
        || vec![1.0f32; columns],
        |factors, index, [output, normalized, inverse_std]| {
            for (i, inverse) in inverse_std.iter_mut().enumerate() {
                let row = i * columns..(i + 1) * columns;
                let (x, output) = (&mut normalized[row.clone()], &mut output[row]);
                vectorized(
                    arch,
                    #[inline(always)]
                    || {
                        let index = index * ROWS_PER_TASK + i;
                        *inverse = normalize_row(inputs, args, index, factors, x);
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

/// Fills `output`, `[rows, columns]`, where there will be no backward pass.
pub(crate) fn forward_without_saving(inputs: &Inputs<'_>, output: &mut [f32], args: &LayerNorm) {
    let columns = inputs.gamma.len();
    let arch = Arch::new();
    for_each_chunk(
        [(output, ROWS_PER_TASK * columns)],
        || vec![1.0f32; columns],
        |factors, index, [output]| {
            for (i, x) in output.chunks_exact_mut(columns).enumerate() {
                vectorized(
                    arch,
                    #[inline(always)]
                    || {
                        let index = index * ROWS_PER_TASK + i;
                        normalize_row(inputs, args, index, factors, x);
                        let scale = inputs.gamma.iter().zip(inputs.beta);
                        for (x, (gamma, beta)) in x.iter_mut().zip(scale) {
                            *x = x.mul_add(*gamma, *beta);
                        }
                    },
                );
            }
        },
    );
}

/// Fills `x` with a row of `(dropout(input) + residual - mean) / sqrt(variance + eps)`; returns `1 / sqrt(variance + eps)`.
/// `factors` is a buffer for dropout's factors of the row; without dropout it holds ones.
#[inline(always)]
fn normalize_row(
    inputs: &Inputs<'_>,
    args: &LayerNorm,
    index: usize,
    factors: &mut [f32],
    x: &mut [f32],
) -> f32 {
    let columns = x.len();
    let place = index * columns..(index + 1) * columns;
    let (input, residual) = (&inputs.input[place.clone()], &inputs.residual[place]);
    if let Some(dropout) = &args.dropout {
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
    let variance = dot(x, x) / columns as f32;
    let inverse = 1.0 / (variance + args.eps).sqrt();
    for x in x.iter_mut() {
        *x *= inverse;
    }
    inverse
}

/// What the forward pass saves for the backward pass.
pub(crate) struct SavedNorm<'a> {
    pub(crate) normalized: &'a [f32],
    pub(crate) inverse_std: &'a [f32],
    pub(crate) gamma: &'a [f32],
}

/// Fills the gradients of input, residual, gamma and beta.
pub(crate) fn backward(
    saved: &SavedNorm<'_>,
    grad: &[f32],
    args: &LayerNorm,
    [grad_input, grad_residual, grad_gamma, grad_beta]: [&mut [f32]; 4],
) {
    let columns = saved.gamma.len();
    let rows = saved.inverse_std.len();
    let task = ROWS_PER_TASK * columns;
    let arch = Arch::new();
    let partial = rows.div_ceil(ROWS_PER_TASK) * columns;
    let (mut gammas, mut betas) = (vec![0.0f32; partial], vec![0.0f32; partial]);
    for_each_chunk(
        [
            (grad_residual, task),
            (grad_input, task),
            (&mut gammas, columns),
            (&mut betas, columns),
        ],
        || vec![1.0f32; columns],
        |factors, index, [grad_residual, grad_input, grad_gamma, grad_beta]| {
            let first = index * ROWS_PER_TASK;
            for row in first..rows.min(first + ROWS_PER_TASK) {
                let place = row * columns..(row + 1) * columns;
                let (x, grad) = (&saved.normalized[place.clone()], &grad[place]);
                let inverse = saved.inverse_std[row];
                let place = (row - first) * columns..(row - first + 1) * columns;
                let (grad_residual, grad_input) =
                    (&mut grad_residual[place.clone()], &mut grad_input[place]);
                vectorized(
                    arch,
                    #[inline(always)]
                    || {
                        for ((sum, grad), x) in grad_gamma.iter_mut().zip(grad).zip(x) {
                            *sum = grad.mul_add(*x, *sum);
                        }
                        for (sum, grad) in grad_beta.iter_mut().zip(grad) {
                            *sum += grad;
                        }
                        let scaled = grad.iter().zip(saved.gamma);
                        for (out, (grad, gamma)) in grad_residual.iter_mut().zip(scaled) {
                            *out = grad * gamma;
                        }
                        let mean = sum(grad_residual) / columns as f32;
                        let slope = dot(grad_residual, x) / columns as f32;
                        for (out, x) in grad_residual.iter_mut().zip(x) {
                            *out = (*out - mean - x * slope) * inverse;
                        }
                        if let Some(dropout) = &args.dropout {
                            dropout.fill_row(row as u32, factors);
                        }
                        let pairs = grad_residual.iter().zip(&*factors);
                        for (out, (grad, factor)) in grad_input.iter_mut().zip(pairs) {
                            *out = grad * factor;
                        }
                    },
                );
            }
        },
    );
    sum_rows(&gammas, grad_gamma);
    sum_rows(&betas, grad_beta);
}
