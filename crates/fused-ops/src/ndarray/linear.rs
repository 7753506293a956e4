use pulp::Arch;
use rayon::prelude::*;

use super::gemm::{Matrix, Target, Threads, multiply};
use super::math::normal;

/// Rows that one task takes; partial sums over rows are added up in this grouping whatever the
/// number of threads, so that results do not depend on it.
pub(super) const ROWS_PER_TASK: usize = 64;

/// `input [rows, in] · weight [in, out] + bias`, `[rows, out]`.
pub(super) fn forward(input: &[f32], weight: &[f32], bias: &[f32], rows: usize) -> Vec<f32> {
    let (outputs, inputs) = (bias.len(), weight.len() / bias.len().max(1));
    let mut out = Vec::with_capacity(rows * outputs);
    for _ in 0..rows {
        out.extend_from_slice(bias);
    }
    multiply(
        Target::new(&mut out, outputs),
        true,
        Matrix::new(input, rows, inputs, inputs),
        Matrix::new(weight, inputs, outputs, outputs),
        Threads::All,
    );
    out
}

/// Gradients of input, weight and bias from the gradient of the output.
pub(super) fn backward(
    input: &[f32],
    weight: &[f32],
    grad: &[f32],
    rows: usize,
    outputs: usize,
) -> [Vec<f32>; 3] {
    let inputs = weight.len() / outputs.max(1);
    let grad_matrix = Matrix::new(grad, rows, outputs, outputs);
    let mut grad_input = vec![0.0; rows * inputs];
    multiply(
        Target::new(&mut grad_input, inputs),
        false,
        grad_matrix,
        Matrix::new(weight, inputs, outputs, outputs).transposed(),
        Threads::All,
    );
    let mut grad_weight = vec![0.0; weight.len()];
    multiply(
        Target::new(&mut grad_weight, outputs),
        false,
        Matrix::new(input, rows, inputs, inputs).transposed(),
        grad_matrix,
        Threads::All,
    );
    [grad_input, grad_weight, column_sums(grad, outputs)]
}

/// The sum of each column of a `[rows, columns]` matrix.
pub(super) fn column_sums(matrix: &[f32], columns: usize) -> Vec<f32> {
    let partial: Vec<Vec<f32>> = matrix
        .par_chunks(ROWS_PER_TASK * columns.max(1))
        .map(|rows| {
            let mut sums = vec![0.0f32; columns];
            for row in rows.chunks_exact(columns) {
                add_to(&mut sums, row);
            }
            sums
        })
        .collect();
    add_up(partial, columns)
}

/// Adds partial sums in their order.
pub(super) fn add_up(partial: Vec<Vec<f32>>, columns: usize) -> Vec<f32> {
    let mut total = vec![0.0f32; columns];
    for sums in partial {
        add_to(&mut total, &sums);
    }
    total
}

fn add_to(sums: &mut [f32], row: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += value;
    }
}

/// `x Φ(x)` of every element.
pub(super) fn gelu(input: &[f32]) -> Vec<f32> {
    let mut out = input.to_vec();
    let arch = Arch::new();
    out.par_chunks_mut(1 << 14).for_each(|chunk| {
        arch.dispatch(
            #[inline(always)]
            || {
                for value in chunk.iter_mut() {
                    *value *= normal(*value).0;
                }
            },
        );
    });
    out
}

/// The gradient of the input of [`gelu`]: `grad (Φ(x) + x φ(x))`.
pub(super) fn gelu_backward(input: &[f32], grad: &[f32]) -> Vec<f32> {
    let mut out = grad.to_vec();
    let arch = Arch::new();
    out.par_chunks_mut(1 << 14)
        .zip(input.par_chunks(1 << 14))
        .for_each(|(chunk, input)| {
            arch.dispatch(
                #[inline(always)]
                || {
                    for (grad, x) in chunk.iter_mut().zip(input) {
                        let (cdf, density) = normal(*x);
                        *grad *= cdf + x * density;
                    }
                },
            );
        });
    out
}
