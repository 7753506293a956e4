//! `bf16` as its bits, the upper half of an `f32`.

use pulp::Arch;

use super::simd::vectorized;

/// Rounds to the nearest `bf16`, ties to even.
pub(crate) fn from_f32(values: &[f32], halves: &mut [u16]) {
    vectorized(
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

/// The same values as `f32`.
pub(crate) fn to_f32(halves: &[u16], values: &mut [f32]) {
    vectorized(
        Arch::new(),
        #[inline(always)]
        || {
            for (value, half) in values.iter_mut().zip(halves) {
                *value = f32::from_bits(u32::from(*half) << 16);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_nearest_even_and_keeps_nan() {
        let cases = [
            (1.0, 0x3F80),
            (-2.5, 0xC020),
            // Halfway between two: to the one with an even last bit.
            (f32::from_bits(0x3F80_8000), 0x3F80),
            (f32::from_bits(0x3F81_8000), 0x3F82),
            (f32::from_bits(0x3F80_8001), 0x3F81),
            (f32::MAX, 0x7F80),
            (f32::NEG_INFINITY, 0xFF80),
            (f32::from_bits(0x7F80_0001), 0x7FC0),
        ];
        let values = cases.map(|(value, _)| value);
        let mut halves = [0; 8];
        from_f32(&values, &mut halves);
        assert_eq!(halves, cases.map(|(_, half)| half));
        let mut back = [0.0; 8];
        to_f32(&halves, &mut back);
        assert_eq!(back[..2], [1.0, -2.5]);
        assert!(back[7].is_nan());
    }
}
