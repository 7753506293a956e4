//! `bf16` in memory as its bits: the upper half of an `f32`.

use pulp::Arch;

use super::linear::{finish, gelu_backward};
use super::vector::vectorised;
use crate::Activation;

/// Numbers converted at a time for what computes in `f32`.
const AT_ONCE: usize = 256;

/// Rounds to the nearest `bf16`, ties to even.
pub(crate) fn round(values: &[f32], halves: &mut [u16]) {
    vectorised(
        Arch::new(),
        #[inline(always)]
        || {
            for (half, value) in halves.iter_mut().zip(values) {
                let bits = value.to_bits();
                let even = (bits >> 16) & 1;
                let rounded = (bits.wrapping_add(0x7FFF + even) >> 16) as u16;
                // Rounding up would turn some NaNs into infinity.
                *half = if value.is_nan() { 0x7FC0 } else { rounded };
            }
        },
    );
}

/// The `f32`s of the same values.
pub(crate) fn widen(halves: &[u16], values: &mut [f32]) {
    vectorised(
        Arch::new(),
        #[inline(always)]
        || {
            for (value, half) in values.iter_mut().zip(halves) {
                *value = f32::from_bits(u32::from(*half) << 16);
            }
        },
    );
}

/// [`finish`] of a `bf16` product with an `f32` bias, computed in `f32`: without `output`, the
/// result takes the product's place.
pub(crate) fn finish_half(
    product: &mut [u16],
    bias: &[f32],
    activation: Activation,
    mut output: Option<&mut [u16]>,
) {
    let (mut x, mut y) = ([0.0; AT_ONCE], [0.0; AT_ONCE]);
    let mut start = 0;
    for row in product.chunks_exact_mut(bias.len().max(1)) {
        for (halves, bias) in row.chunks_mut(AT_ONCE).zip(bias.chunks(AT_ONCE)) {
            let len = halves.len();
            let (x, y) = (&mut x[..len], &mut y[..len]);
            widen(halves, x);
            match &mut output {
                Some(output) => {
                    finish(x, bias, activation, Some(y));
                    round(y, &mut output[start..start + len]);
                }
                None => finish(x, bias, activation, None),
            }
            round(x, halves);
            start += len;
        }
    }
}

/// [`gelu_backward`] of `bf16`, computed in `f32`.
pub(crate) fn gelu_backward_of_half(input: &[u16], grad: &[u16], output: &mut [u16]) {
    let [mut x, mut g, mut y] = [[0.0; AT_ONCE]; 3];
    let inputs = input.chunks(AT_ONCE).zip(grad.chunks(AT_ONCE));
    for ((input, grad), output) in inputs.zip(output.chunks_mut(AT_ONCE)) {
        let len = input.len();
        let (x, g, y) = (&mut x[..len], &mut g[..len], &mut y[..len]);
        widen(input, x);
        widen(grad, g);
        gelu_backward(x, g, y);
        round(y, output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_nearest_even_and_keeps_what_is_no_number() {
        let cases = [
            (1.0, 0x3F80),
            (-2.5, 0xC020),
            // Half way between two: to the one with an even last bit.
            (f32::from_bits(0x3F80_8000), 0x3F80),
            (f32::from_bits(0x3F81_8000), 0x3F82),
            (f32::from_bits(0x3F80_8001), 0x3F81),
            (f32::MAX, 0x7F80),
            (f32::NEG_INFINITY, 0xFF80),
            (f32::from_bits(0x7F80_0001), 0x7FC0),
        ];
        let values = cases.map(|(value, _)| value);
        let mut halves = [0; 8];
        round(&values, &mut halves);
        assert_eq!(halves, cases.map(|(_, half)| half));
        let mut back = [0.0; 8];
        widen(&halves, &mut back);
        assert_eq!(back[..2], [1.0, -2.5]);
        assert!(back[7].is_nan());
    }

    /// Rows of 600, which take three pieces each, the last a short one.
    #[test]
    fn a_product_is_finished_as_in_f32_up_to_rounding() {
        let bias: Vec<f32> = (0..600).map(|i| (i as f32 * 0.37).sin()).collect();
        let product: Vec<f32> = (0..1800).map(|i| (i as f32 * 0.11).cos()).collect();
        let mut halves = vec![0; 1800];
        round(&product, &mut halves);
        let mut wide = product;
        widen(&halves, &mut wide);
        let rounded = |values: &[f32]| {
            let mut halves = vec![0; 1800];
            round(values, &mut halves);
            halves
        };
        for activation in [Activation::Identity, Activation::Gelu] {
            let (mut expected, mut stands) = (wide.clone(), halves.clone());
            finish(&mut expected, &bias, activation, None);
            finish_half(&mut stands, &bias, activation, None);
            assert_eq!(stands, rounded(&expected), "{activation:?} in place");
        }
        let (mut sums, mut activated) = (wide, vec![0.0; 1800]);
        finish(&mut sums, &bias, Activation::Gelu, Some(&mut activated));
        let mut output = vec![0x7FC0; 1800];
        finish_half(&mut halves, &bias, Activation::Gelu, Some(&mut output));
        assert_eq!((halves, output), (rounded(&sums), rounded(&activated)));
    }
}
