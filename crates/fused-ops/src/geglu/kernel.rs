use pulp::Arch;

use crate::kernels::math::normal;
use crate::kernels::parallel::{ROWS_PER_TASK, for_each_chunk};
use crate::kernels::simd::vectorized;

/// The gated linear unit, which has no arguments.
#[derive(Clone, Debug)]
pub(super) struct Geglu;

/// Fills `output`, `[rows, width]`, from `input`, `[rows, 2 * width]`.
pub(super) fn forward(input: &[f32], width: usize, output: &mut [f32]) {
    let arch = Arch::new();
    for_each_chunk(
        [(output, ROWS_PER_TASK * width)],
        || (),
        |(), index, [output]| {
            let input = input[index * ROWS_PER_TASK * 2 * width..].chunks_exact(2 * width);
            for (output, input) in output.chunks_exact_mut(width).zip(input) {
                let (gated, gates) = input.split_at(width);
                vectorized(
                    arch,
                    #[inline(always)]
                    || {
                        for (out, (x, gate)) in output.iter_mut().zip(gated.iter().zip(gates)) {
                            *out = x * normal(*x).0 * gate;
                        }
                    },
                );
            }
        },
    );
}

/// Fills the gradient of the input, `[rows, 2 * width]`, from `grad`, that of the output.
pub(super) fn backward(input: &[f32], width: usize, grad: &[f32], grad_input: &mut [f32]) {
    let arch = Arch::new();
    for_each_chunk(
        [(grad_input, ROWS_PER_TASK * 2 * width)],
        || (),
        |(), index, [grad_input]| {
            let first = index * ROWS_PER_TASK * width;
            let rows = input[2 * first..].chunks_exact(2 * width);
            let rows = rows.zip(grad[first..].chunks_exact(width));
            for (grad_input, (input, grad)) in grad_input.chunks_exact_mut(2 * width).zip(rows) {
                let (gated, gates) = input.split_at(width);
                let (grad_gated, grad_gates) = grad_input.split_at_mut(width);
                vectorized(
                    arch,
                    #[inline(always)]
                    || {
                        let grads = grad_gated.iter_mut().zip(grad_gates.iter_mut());
                        let inputs = gated.iter().zip(gates).zip(grad);
                        for ((grad_x, grad_gate), ((x, gate), grad)) in grads.zip(inputs) {
                            let (cdf, density) = normal(*x);
                            *grad_x = grad * gate * x.mul_add(density, cdf);
                            *grad_gate = grad * x * cdf;
                        }
                    },
                );
            }
        },
    );
}
