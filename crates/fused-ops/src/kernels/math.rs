//! Functions of one number, written so that the compiler vectorizes loops over them.
//!
//! `mul_add` is one instruction inside [`super::simd::vectorized`] if the processor has it.

/// 1.5 · 2^23: added to a number below 2^22, it rounds the number to the nearest integer and leaves that in the lowest bits.
pub(super) const ROUND: f32 = 12_582_912.0;

/// `e^x` for `x` up to 88, to about 2 units in the last place; 0 below -87.
///
/// Splits `x` into `n ln 2 + r`: a polynomial gives `e^r`, the exponent bits give `2^n`.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // ln 2 in two parts. The first has few bits, so `n` times it is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = x.clamp(-87.0, 88.0);
    let rounded = clamped.mul_add(LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, clamped));
    // Taylor's series to the seventh power: |r| <= ln 2 / 2, remainder below 1e-8.
    let mut p: f32 = 1.0 / 5040.0;
    p = p.mul_add(r, 1.0 / 720.0);
    p = p.mul_add(r, 1.0 / 120.0);
    p = p.mul_add(r, 1.0 / 24.0);
    p = p.mul_add(r, 1.0 / 6.0);
    p = p.mul_add(r, 0.5);
    p = p.mul_add(r, 1.0);
    p = p.mul_add(r, 1.0);
    // A cast of `n` checks its range, which would keep the loop from being vectorized.
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    if x < -87.0 { 0.0 } else { p * power }
}

/// `(Φ(x), φ(x))`, the distribution function and the density of the standard normal distribution.
///
/// Φ uses Abramowitz & Stegun's formula 7.1.26 for erf (absolute error below 1.5e-7), which shares its exponential
/// with φ.
#[inline(always)]
pub(crate) fn normal(x: f32) -> (f32, f32) {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / z.mul_add(0.327_591_1, 1.0);
    let gauss = exp(-z * z);
    let mut p: f32 = 1.061_405_4;
    p = p.mul_add(t, -1.453_152);
    p = p.mul_add(t, 1.421_413_7);
    p = p.mul_add(t, -0.284_496_74);
    p = p.mul_add(t, 0.254_829_6);
    // The upper tail, 1 - Φ(|x|).
    let tail = 0.5 * p * t * gauss;
    let cdf = if x < 0.0 { tail } else { 1.0 - tail };
    const INV_SQRT_TAU: f32 = 0.398_942_3;
    (cdf, INV_SQRT_TAU * gauss)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_matches_the_standard_library() {
        for i in -86_999..80_000 {
            let x = i as f32 * 1e-3;
            let exact = f64::from(x).exp();
            let relative = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(relative < 4e-7, "exp({x}): relative error {relative}");
        }
        assert_eq!(
            (exp(-1e30), exp(f32::NEG_INFINITY), exp(0.0)),
            (0.0, 0.0, 1.0)
        );
    }

    #[test]
    fn normal_matches_tables_and_its_density_is_its_slope() {
        // From tables of the normal distribution, to 9 decimals.
        for (x, cdf) in [
            (0.0, 0.5),
            (0.5, 0.691_462_461),
            (1.0, 0.841_344_746),
            (2.0, 0.977_249_868),
            (-1.0, 0.158_655_254),
            (-3.0, 0.001_349_898),
        ] {
            assert!((f64::from(normal(x as f32).0) - cdf).abs() < 2e-7, "Φ({x})");
        }
        // The density is the slope of the distribution function.
        for i in -40..=40 {
            let x = i as f32 * 0.1;
            let slope = (normal(x + 0.01).0 - normal(x - 0.01).0) / 0.02;
            assert!((slope - normal(x).1).abs() < 5e-5, "φ({x})");
        }
    }
}
