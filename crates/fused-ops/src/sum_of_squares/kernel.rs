use pulp::Arch;

use crate::kernels::parallel::{CHUNK, for_each_chunk};
use crate::kernels::reduce::dot;
use crate::kernels::simd::vectorized;

/// The operation, which has no arguments other than its tensor.
#[derive(Clone, Debug)]
pub(super) struct SumOfSquares;

/// The sum of squares, in an order that does not depend on the number of threads.
pub(super) fn sum_of_squares(values: &[f32]) -> f32 {
    let arch = Arch::new();
    let mut partial = vec![0.0f32; values.len().div_ceil(CHUNK)];
    for_each_chunk(
        [(&mut partial, 1)],
        || (),
        |(), index, [sum]| {
            let chunk = &values[index * CHUNK..values.len().min((index + 1) * CHUNK)];
            sum[0] = vectorized(
                arch,
                #[inline(always)]
                || dot(chunk, chunk),
            );
        },
    );
    partial.into_iter().map(f64::from).sum::<f64>() as f32
}

/// Fills the gradient of the values from `grad`, that of the sum.
pub(super) fn backward(values: &[f32], grad: f32, grad_values: &mut [f32]) {
    for_each_chunk(
        [(grad_values, CHUNK)],
        || (),
        |(), index, [grad_values]| {
            for (out, value) in grad_values.iter_mut().zip(&values[index * CHUNK..]) {
                *out = 2.0 * grad * value;
            }
        },
    );
}
