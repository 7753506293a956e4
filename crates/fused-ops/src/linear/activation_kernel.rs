//! Bias and activation of a linear layer's matmul, and the activation's gradient.

use pulp::Arch;

use super::activation::{Activation, QUICK_GELU};
use crate::kernels::math::{exp, normal};
use crate::kernels::parallel::{CHUNK, for_each_chunk};
use crate::kernels::reduce::add_to;
use crate::kernels::simd::vectorized;

/// Adds the bias to every row of a matmul and applies the activation, on this thread.
///
/// An activation with `output` leaves the sum in `matmul` and its activation in `output`; otherwise the result replaces
/// `matmul`.
pub(super) fn bias_activation(
    matmul: &mut [f32],
    bias: &[f32],
    activation: Activation,
    mut output: Option<&mut [f32]>,
) {
    vectorized(
        Arch::new(),
        #[inline(always)]
        || match activation {
            Activation::Identity => {
                let rows = matmul.chunks_exact_mut(bias.len().max(1));
                rows.for_each(|sums| add_to(sums, bias));
            }
            Activation::Gelu => bias_function(matmul, bias, output.as_deref_mut(), gelu),
            Activation::GeluTanh => bias_function(matmul, bias, output.as_deref_mut(), gelu_tanh),
            Activation::Gelu10 => bias_function(matmul, bias, output.as_deref_mut(), gelu_10),
            Activation::QuickGelu => bias_function(matmul, bias, output.as_deref_mut(), quick_gelu),
            Activation::Relu => bias_function(matmul, bias, output.as_deref_mut(), relu),
            Activation::Silu => bias_function(matmul, bias, output.as_deref_mut(), silu),
            Activation::Tanh => bias_function(matmul, bias, output.as_deref_mut(), tanh),
        },
    );
}

/// [`bias_activation`] with any function.
#[inline(always)]
fn bias_function(
    matmul: &mut [f32],
    bias: &[f32],
    output: Option<&mut [f32]>,
    function: impl Fn(f32) -> f32,
) {
    let width = bias.len().max(1);
    let rows = matmul.chunks_exact_mut(width);
    let Some(output) = output else {
        return rows.for_each(|row| {
            for (x, bias) in row.iter_mut().zip(bias) {
                *x = function(*x + bias);
            }
        });
    };
    for (row, output) in rows.zip(output.chunks_exact_mut(width)) {
        for ((x, out), bias) in row.iter_mut().zip(output).zip(bias) {
            *x += bias;
            *out = function(*x);
        }
    }
}

/// `x Φ(x)` (Hendrycks & Gimpel 2016).
#[inline(always)]
fn gelu(x: f32) -> f32 {
    x * normal(x).0
}

#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    x * tanh_weight(x).0
}

#[inline(always)]
fn gelu_10(x: f32) -> f32 {
    gelu(x).clamp(-10.0, 10.0)
}

#[inline(always)]
fn quick_gelu(x: f32) -> f32 {
    x * sigmoid_weight(x, QUICK_GELU as f32).0
}

#[inline(always)]
fn silu(x: f32) -> f32 {
    x * sigmoid_weight(x, 1.0).0
}

/// NaN stays NaN.
#[inline(always)]
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    2.0f32.mul_add(sigmoid_weight(x, 2.0).0, -1.0)
}

/// `σ(scale x)`, and its slope in `x`.
#[inline(always)]
fn sigmoid_weight(x: f32, scale: f32) -> (f32, f32) {
    let weight = 1.0 / (1.0 + exp(-scale * x));
    (weight, scale * weight * (1.0 - weight))
}

/// `(1 + tanh(u)) / 2` of `u = √(2/π) (x + 0.044715 x³)`, and its slope in `x`.
#[inline(always)]
fn tanh_weight(x: f32) -> (f32, f32) {
    // Twice the factors of `u`: (1 + tanh(u)) / 2 is the logistic function of 2 u.
    const LINEAR: f32 = 1.595_769_2;
    const CUBIC: f32 = LINEAR * 0.044_715;
    let square = x * x;
    let weight = 1.0 / (1.0 + exp(-x * square.mul_add(CUBIC, LINEAR)));
    let slope = square.mul_add(3.0 * CUBIC, LINEAR);
    (weight, weight * (1.0 - weight) * slope)
}

/// [`activation_backward`] on all threads.
pub(super) fn activation_backward_parallel(
    activation: Activation,
    input: &[f32],
    grad: &[f32],
    output: &mut [f32],
) {
    for_each_chunk(
        [(output, CHUNK)],
        || (),
        |(), index, [output]| {
            let start = index * CHUNK;
            activation_backward(activation, &input[start..], &grad[start..], output);
        },
    );
}

/// The gradient of the activation's input, on this thread.
pub(super) fn activation_backward(
    activation: Activation,
    input: &[f32],
    grad: &[f32],
    output: &mut [f32],
) {
    vectorized(
        Arch::new(),
        #[inline(always)]
        || match activation {
            Activation::Identity => output.copy_from_slice(grad),
            Activation::Gelu => weight_backward(input, grad, output, normal),
            Activation::GeluTanh => weight_backward(input, grad, output, tanh_weight),
            Activation::Gelu10 => slope_backward(input, grad, output, |x| {
                if gelu(x) > 10.0 {
                    0.0
                } else {
                    weight_slope(x, normal(x))
                }
            }),
            Activation::QuickGelu => {
                weight_backward(input, grad, output, |x| {
                    sigmoid_weight(x, QUICK_GELU as f32)
                });
            }
            Activation::Relu => {
                slope_backward(input, grad, output, |x| if x > 0.0 { 1.0 } else { 0.0 });
            }
            Activation::Silu => weight_backward(input, grad, output, |x| sigmoid_weight(x, 1.0)),
            // tanh(x) is 2 σ(2 x) - 1.
            Activation::Tanh => {
                slope_backward(input, grad, output, |x| 2.0 * sigmoid_weight(x, 2.0).1);
            }
        },
    );
}

/// [`activation_backward`] of `x w(x)`; `weight` gives `w(x)` and its slope.
#[inline(always)]
fn weight_backward(
    input: &[f32],
    grad: &[f32],
    output: &mut [f32],
    weight: impl Fn(f32) -> (f32, f32),
) {
    slope_backward(input, grad, output, |x| weight_slope(x, weight(x)));
}

/// The slope of `x w(x)` from `w(x)` and its slope.
#[inline(always)]
fn weight_slope(x: f32, (weight, slope): (f32, f32)) -> f32 {
    x.mul_add(slope, weight)
}

/// [`activation_backward`] of an activation with this slope.
#[inline(always)]
fn slope_backward(input: &[f32], grad: &[f32], output: &mut [f32], slope: impl Fn(f32) -> f32) {
    for (out, (x, grad)) in output.iter_mut().zip(input.iter().zip(grad)) {
        *out = grad * slope(*x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bias_activation_works_in_place_and_into_another_buffer() {
        let (matmul, bias) = ([1.0, -2.0, 0.5, 3.0], [0.5, 2.0]);
        let (sums, activated) = ([1.5, 0.0, 1.0, 5.0], [1.5, 0.0, 1.0, 5.0].map(gelu));
        let mut in_place = matmul;
        bias_activation(&mut in_place, &bias, Activation::Identity, None);
        assert_eq!(in_place, sums);
        in_place = matmul;
        bias_activation(&mut in_place, &bias, Activation::Gelu, None);
        assert_eq!(in_place, activated);
        let mut output = [f32::NAN; 4];
        in_place = matmul;
        bias_activation(&mut in_place, &bias, Activation::Gelu, Some(&mut output));
        assert_eq!((in_place, output), (sums, activated));
        assert!((activated[2] - 0.841_344_7).abs() < 1e-6 && activated[3] < sums[3]);
    }
}
