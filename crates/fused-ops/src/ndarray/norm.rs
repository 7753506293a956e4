use pulp::Arch;
use rayon::prelude::*;

use super::linear::{ROWS_PER_TASK, add_up};
use crate::Dropout;

/// What a LayerNorm is told besides its tensors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) eps: f32,
    pub(super) dropout: Option<Dropout>,
}

/// The result of the forward pass, and what the backward pass needs of it.
pub(super) struct Forward {
    pub(super) output: Vec<f32>,
    /// `(dropout(input) + residual - mean) / sqrt(variance + eps)`, `[rows, columns]`.
    pub(super) normalised: Vec<f32>,
    /// `1 / sqrt(variance + eps)` of each row.
    pub(super) inverse_std: Vec<f32>,
}

pub(super) fn forward(
    input: &[f32],
    residual: &[f32],
    gamma: &[f32],
    beta: &[f32],
    settings: &Settings,
) -> Forward {
    let columns = gamma.len();
    let rows = input.len() / columns;
    let mut output = vec![0.0; input.len()];
    let mut normalised = residual.to_vec();
    let mut inverse_std = vec![0.0; rows];
    let arch = Arch::new();
    let task = ROWS_PER_TASK * columns;
    (
        output.par_chunks_mut(task),
        normalised.par_chunks_mut(task),
        inverse_std.par_chunks_mut(ROWS_PER_TASK),
        input.par_chunks(task),
    )
        .into_par_iter()
        .enumerate()
        .for_each(|(index, (output, normalised, inverse_std, input))| {
            let mut factors = vec![1.0f32; columns];
            for (i, inverse) in inverse_std.iter_mut().enumerate() {
                let row = i * columns..(i + 1) * columns;
                let (input, x) = (&input[row.clone()], &mut normalised[row.clone()]);
                let output = &mut output[row];
                arch.dispatch(
                    #[inline(always)]
                    || {
                        if let Some(dropout) = &settings.dropout {
                            dropout.fill_row((index * ROWS_PER_TASK + i) as u32, &mut factors);
                        }
                        for ((x, input), factor) in x.iter_mut().zip(input).zip(&factors) {
                            *x += input * factor;
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
                        let scale = gamma.iter().zip(beta);
                        for ((out, x), (gamma, beta)) in output.iter_mut().zip(&*x).zip(scale) {
                            *out = x * gamma + beta;
                        }
                    },
                );
            }
        });
    Forward {
        output,
        normalised,
        inverse_std,
    }
}

/// Gradients of input, residual, gamma and beta.
pub(super) fn backward(
    normalised: &[f32],
    inverse_std: &[f32],
    gamma: &[f32],
    grad: &[f32],
    settings: &Settings,
) -> [Vec<f32>; 4] {
    let columns = gamma.len();
    let task = ROWS_PER_TASK * columns;
    let mut grad_residual = vec![0.0f32; grad.len()];
    let mut grad_input = vec![0.0f32; grad.len()];
    let arch = Arch::new();
    let partial: Vec<(Vec<f32>, Vec<f32>)> = (
        grad_residual.par_chunks_mut(task),
        grad_input.par_chunks_mut(task),
        normalised.par_chunks(task),
        inverse_std.par_chunks(ROWS_PER_TASK),
        grad.par_chunks(task),
    )
        .into_par_iter()
        .enumerate()
        .map(
            |(index, (grad_residual, grad_input, normalised, inverse_std, grad))| {
                let (mut grad_gamma, mut grad_beta) =
                    (vec![0.0f32; columns], vec![0.0f32; columns]);
                let mut factors = vec![1.0f32; columns];
                for (i, inverse) in inverse_std.iter().enumerate() {
                    let row = i * columns..(i + 1) * columns;
                    let (x, grad) = (&normalised[row.clone()], &grad[row.clone()]);
                    let (to_residual, to_input) =
                        (&mut grad_residual[row.clone()], &mut grad_input[row]);
                    arch.dispatch(
                        #[inline(always)]
                        || {
                            for ((sum, grad), x) in grad_gamma.iter_mut().zip(grad).zip(x) {
                                *sum += grad * x;
                            }
                            for (sum, grad) in grad_beta.iter_mut().zip(grad) {
                                *sum += grad;
                            }
                            for ((out, grad), gamma) in to_residual.iter_mut().zip(grad).zip(gamma)
                            {
                                *out = grad * gamma;
                            }
                            let mean = sum(to_residual) / columns as f32;
                            let slope = sum_of_products(to_residual, x) / columns as f32;
                            for (out, x) in to_residual.iter_mut().zip(x) {
                                *out = (*out - mean - x * slope) * inverse;
                            }
                            if let Some(dropout) = &settings.dropout {
                                dropout.fill_row((index * ROWS_PER_TASK + i) as u32, &mut factors);
                            }
                            let kept = to_residual.iter().zip(&factors);
                            for (out, (grad, factor)) in to_input.iter_mut().zip(kept) {
                                *out = grad * factor;
                            }
                        },
                    );
                }
                (grad_gamma, grad_beta)
            },
        )
        .collect();
    let (gammas, betas) = partial.into_iter().unzip();
    [
        grad_input,
        grad_residual,
        add_up(gammas, columns),
        add_up(betas, columns),
    ]
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
            *lane += a * b;
        }
    }
    lanes.iter().sum::<f32>() + tail
}
