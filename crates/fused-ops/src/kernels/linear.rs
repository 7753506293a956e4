use pulp::Arch;

use super::math::normal;
use super::vector::vectorised;
use super::workers::for_each_chunk;
#[cfg(feature = "ndarray")]
pub(crate) use products::{backward, forward};

/// Rows that one task takes; partial sums over rows are added up in this grouping whatever the
/// number of threads, so that results do not depend on it.
pub(super) const ROWS_PER_TASK: usize = 64;

/// The products of a linear layer, for backends that bring no better ones.
#[cfg(feature = "ndarray")]
mod products {
    use super::ROWS_PER_TASK;
    use crate::kernels::gemm::{Matrix, Target, Threads, multiply};
    use crate::kernels::workers::for_each_chunk;

    /// `input [rows, in] · weight [in, out] + bias` to `output [rows, out]`.
    pub(crate) fn forward(input: &[f32], weight: &[f32], bias: &[f32], output: &mut [f32]) {
        let (outputs, inputs) = (bias.len(), weight.len() / bias.len().max(1));
        let rows = output.len() / outputs.max(1);
        for_each_chunk(
            [(output, ROWS_PER_TASK * outputs.max(1))],
            || (),
            |(), _, [output]| {
                for row in output.chunks_exact_mut(outputs) {
                    row.copy_from_slice(bias);
                }
            },
        );
        multiply(
            Target::new(output, outputs),
            true,
            Matrix::new(input, rows, inputs, inputs),
            Matrix::new(weight, inputs, outputs, outputs),
            Threads::All,
        );
    }

    /// Gradients of input and weight from the gradient of the output, `[rows, outputs]`.
    pub(crate) fn backward(
        input: &[f32],
        weight: &[f32],
        grad: &[f32],
        outputs: usize,
        [to_input, to_weight]: [&mut [f32]; 2],
    ) {
        let (inputs, rows) = (weight.len() / outputs.max(1), grad.len() / outputs.max(1));
        let grad = Matrix::new(grad, rows, outputs, outputs);
        multiply(
            Target::new(to_input, inputs),
            false,
            grad,
            Matrix::new(weight, inputs, outputs, outputs).transposed(),
            Threads::All,
        );
        multiply(
            Target::new(to_weight, outputs),
            false,
            Matrix::new(input, rows, inputs, inputs).transposed(),
            grad,
            Threads::All,
        );
    }
}

/// The sum of each column of a `[rows, columns]` matrix.
pub(crate) fn column_sums(matrix: &[f32], sums: &mut [f32]) {
    let columns = sums.len();
    let task = ROWS_PER_TASK * columns;
    let mut partial = vec![0.0f32; matrix.len().div_ceil(task.max(1)) * columns];
    for_each_chunk(
        [(&mut partial, columns.max(1))],
        || (),
        |(), index, [sums]| {
            let rows = &matrix[index * task..matrix.len().min((index + 1) * task)];
            add_rows(rows, sums);
        },
    );
    add_up(&partial, sums);
}

/// Adds partial sums, one after the other, in their order.
pub(crate) fn add_up(partial: &[f32], total: &mut [f32]) {
    total.fill(0.0);
    add_rows(partial, total);
}

/// Adds every row of a matrix to `sums`, number by number.
pub(crate) fn add_rows(rows: &[f32], sums: &mut [f32]) {
    vectorised(
        Arch::new(),
        #[inline(always)]
        || {
            for row in rows.chunks_exact(sums.len().max(1)) {
                add_to(sums, row);
            }
        },
    );
}

/// Adds a row to every row of a matrix.
#[cfg(feature = "tch")]
pub(crate) fn add_row(matrix: &mut [f32], row: &[f32]) {
    vectorised(
        Arch::new(),
        #[inline(always)]
        || {
            for sums in matrix.chunks_exact_mut(row.len().max(1)) {
                add_to(sums, row);
            }
        },
    );
}

/// Adds a row to `sums`, number by number.
#[inline(always)]
fn add_to(sums: &mut [f32], row: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += value;
    }
}

/// `x Φ(x)` of every element, on this thread.
pub(crate) fn gelu(input: &[f32], output: &mut [f32]) {
    vectorised(
        Arch::new(),
        #[inline(always)]
        || {
            for (out, x) in output.iter_mut().zip(input) {
                *out = x * normal(*x).0;
            }
        },
    );
}

/// The same where it stands.
#[cfg(feature = "ndarray")]
pub(crate) fn gelu_in_place(values: &mut [f32]) {
    vectorised(
        Arch::new(),
        #[inline(always)]
        || {
            for x in values.iter_mut() {
                *x *= normal(*x).0;
            }
        },
    );
}

/// The gradient of the input of [`gelu`], `grad (Φ(x) + x φ(x))`, on this thread.
pub(crate) fn gelu_backward(input: &[f32], grad: &[f32], output: &mut [f32]) {
    vectorised(
        Arch::new(),
        #[inline(always)]
        || {
            for (out, (x, grad)) in output.iter_mut().zip(input.iter().zip(grad)) {
                let (cdf, density) = normal(*x);
                *out = grad * x.mul_add(density, cdf);
            }
        },
    );
}
