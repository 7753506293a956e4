//! One row of attention: from scores to probabilities, and back.

use super::math::exp;
use super::norm::sum;

/// Turns a row of unscaled scores into dropped-out probabilities; returns the logarithm of the
/// sum of exponentials of the scaled scores.
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

/// For one query: `row` from unscaled scores to dropped-out probabilities, `grad_row` from the
/// gradient of those to the gradient of the unscaled scores. `delta` is the inner product of the
/// output and its gradient, which equals that of the probabilities and theirs.
#[inline(always)]
pub(super) fn softmax_row_backward(
    row: &mut [f32],
    grad_row: &mut [f32],
    factors: &[f32],
    log_sum: f32,
    delta: f32,
    scale: f32,
) {
    for ((value, grad), factor) in row.iter_mut().zip(grad_row).zip(factors) {
        let probability = exp(value.mul_add(scale, -log_sum));
        *grad = probability * grad.mul_add(*factor, -delta) * scale;
        *value = probability * factor;
    }
}
