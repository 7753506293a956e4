use pulp::Arch;

use super::math::normal;
use super::vector::vectorised;
use super::workers::for_each_chunk;
use crate::Activation;
#[cfg(feature = "ndarray")]
pub(crate) use products::{backward, forward};

/// Rows that one task takes; partial sums over rows are added up in this grouping whatever the
/// number of threads, so that results do not depend on it.
pub(super) const ROWS_PER_TASK: usize = 64;

/// The products of a linear layer, for backends that bring no better ones.
#[cfg(feature = "ndarray")]
mod products {
    use super::{ROWS_PER_TASK, finish};
    use crate::Activation;
    use crate::kernels::gemm::{Matrix, Target, Threads, multiply};
    use crate::kernels::workers::for_each_chunk;

    /// `activation(input [rows, in] · weight [in, out] + bias)` to `output [rows, out]`, and what
    /// GELU was given to `given`, where that is asked for.
    pub(crate) fn forward(
        [input, weight, bias]: [&[f32]; 3],
        activation: Activation,
        output: &mut [f32],
        given: Option<&mut [f32]>,
    ) {
        let (outputs, inputs) = (bias.len(), weight.len() / bias.len().max(1));
        let rows = output.len() / outputs.max(1);
        let block = ROWS_PER_TASK * outputs.max(1);
        let product = |target: &mut [f32]| {
            multiply(
                Target::new(target, outputs),
                false,
                Matrix::new(input, rows, inputs, inputs),
                Matrix::new(weight, inputs, outputs, outputs),
                Threads::All,
            );
        };
        let Some(given) = given else {
            product(output);
            return for_each_chunk(
                [(output, block)],
                || (),
                |(), _, [output]| finish(output, bias, activation, None),
            );
        };
        product(given);
        for_each_chunk(
            [(given, block), (output, block)],
            || (),
            |(), _, [given, output]| finish(given, bias, activation, Some(output)),
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

/// Adds a row to `sums`, number by number.
#[inline(always)]
fn add_to(sums: &mut [f32], row: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += value;
    }
}

/// What comes after a linear layer's product, on this thread: adds the bias to every row and
/// activates the sum, into `output` (of GELU alone) or else where it stands.
pub(crate) fn finish(
    product: &mut [f32],
    bias: &[f32],
    activation: Activation,
    mut output: Option<&mut [f32]>,
) {
    let width = bias.len().max(1);
    vectorised(
        Arch::new(),
        #[inline(always)]
        || {
            let rows = product.chunks_exact_mut(width);
            match (activation, &mut output) {
                (Activation::Identity, _) => rows.for_each(|sums| add_to(sums, bias)),
                (Activation::Gelu, None) => rows.for_each(|row| {
                    for (x, bias) in row.iter_mut().zip(bias) {
                        *x = gelu(*x + bias);
                    }
                }),
                (Activation::Gelu, Some(output)) => {
                    for (row, output) in rows.zip(output.chunks_exact_mut(width)) {
                        for ((x, out), bias) in row.iter_mut().zip(output).zip(bias) {
                            *x += bias;
                            *out = gelu(*x);
                        }
                    }
                }
            }
        },
    );
}

/// `x Φ(x)` (Hendrycks & Gimpel 2016).
#[inline(always)]
fn gelu(x: f32) -> f32 {
    x * normal(x).0
}

/// The gradient of what GELU was given, `grad (Φ(x) + x φ(x))`, on this thread.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_finished_in_place_or_into_another_buffer() {
        let (product, bias) = ([1.0, -2.0, 0.5, 3.0], [0.5, 2.0]);
        let (sums, activated) = ([1.5, 0.0, 1.0, 5.0], [1.5, 0.0, 1.0, 5.0].map(gelu));
        let mut stands = product;
        finish(&mut stands, &bias, Activation::Identity, None);
        assert_eq!(stands, sums);
        stands = product;
        finish(&mut stands, &bias, Activation::Gelu, None);
        assert_eq!(stands, activated);
        let mut output = [f32::NAN; 4];
        stands = product;
        finish(&mut stands, &bias, Activation::Gelu, Some(&mut output));
        assert_eq!((stands, output), (sums, activated));
        assert!((activated[2] - 0.841_344_7).abs() < 1e-6 && activated[3] < sums[3]);
    }
}
