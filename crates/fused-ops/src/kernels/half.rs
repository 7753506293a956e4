//! `bf16` in memory as its bits: the upper half of an `f32`.

use pulp::Arch;

use super::linear::{gelu, gelu_backward};
use super::vector::vectorised;

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

/// [`gelu`] of `bf16`, computed in `f32`.
pub(crate) fn gelu_of_half(input: &[u16], output: &mut [u16]) {
    let (mut x, mut y) = ([0.0; AT_ONCE], [0.0; AT_ONCE]);
    for (input, output) in input.chunks(AT_ONCE).zip(output.chunks_mut(AT_ONCE)) {
        let (x, y) = (&mut x[..input.len()], &mut y[..input.len()]);
        widen(input, x);
        gelu(x, y);
        round(y, output);
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
}
