//! The softmax of one row of attention scores, forward and backward.

use crate::kernels::math::exp;
use crate::kernels::reduce::sum;

/// Turns a row of unscaled scores into probabilities after dropout. Returns the log-sum-exp of the scaled scores.
#[inline(always)]
pub(super) fn softmax_row(row: &mut [f32], scale: f32, factors: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let chunks = row.chunks_exact(16);
    let tail = chunks
        .remainder()
        .iter()
        .copied()
        .fold(f32::NEG_INFINITY, f32::max);
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    let max = lanes.into_iter().fold(tail, f32::max) * scale;
    for value in row.iter_mut() {
        *value = exp(value.mul_add(scale, -max));
    }
    let total = sum(row);
    let inverse = 1.0 / total;
    for (value, factor) in row.iter_mut().zip(factors) {
        *value *= inverse * factor;
    }
    max + total.ln()
}

/// Turns `row` from unscaled scores into probabilities after dropout, and `grad_row` from their gradient into that of the
/// unscaled scores.
///
/// `delta` is the dot product of the query's output and its gradient, which equals that of its probabilities and theirs.
#[inline(always)]
pub(super) fn softmax_row_backward(
    row: &mut [f32],
    grad_row: &mut [f32],
    factors: &[f32],
    lse: f32,
    delta: f32,
    scale: f32,
) {
    for ((value, grad), factor) in row.iter_mut().zip(grad_row).zip(factors) {
        let probability = exp(value.mul_add(scale, -lse));
        *grad = probability * grad.mul_add(*factor, -delta) * scale;
        *value = probability * factor;
    }
}
