/// A deterministic random generator (xorshift64*).
///
/// ```
/// use test_support::Random;
///
/// let mut random = Random::new(7);
/// assert!(random.below(10) < 10);
/// assert!((-1.0..1.0).contains(&random.uniform()));
/// assert_eq!(Random::new(7).uniforms(3), Random::new(7).uniforms(3));
/// ```
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator whose state is `seed`; 0 counts as 1, because xorshift never leaves 0.
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number in `0..bound`.
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((self.next_u64() >> 16) % bound as u64) as usize
    }

    /// One of several values.
    ///
    /// # Panics
    /// If there is none.
    pub fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// A number in -1..1, a multiple of 2⁻²³.
    pub fn uniform(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// `count` numbers in -1..1.
    pub fn uniforms(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.uniform()).collect()
    }

    /// A number about 0 with standard deviation 1: the sum of three uniform ones.
    pub fn normal(&mut self) -> f32 {
        self.uniform() + self.uniform() + self.uniform()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0x2545F4914F6CDD1D times the state after shifts of 12, 25 and 27, beginning with state 1.
    #[test]
    fn the_first_number_is_xorshift64_stars() {
        assert_eq!(Random::new(1).next_u64(), 0x47e4_ce4b_896c_dd1d);
    }

    #[test]
    fn uniform_numbers_fill_their_range_evenly() {
        let numbers = Random::new(3).uniforms(10_000);
        let mean = numbers.iter().sum::<f32>() / 10_000.0;
        let square = numbers.iter().map(|x| x * x).sum::<f32>() / 10_000.0;
        // Four standard errors: of the mean 0.0058 each, of the mean square 0.003.
        assert!(mean.abs() < 0.024, "{mean}");
        assert!((square - 1.0 / 3.0).abs() < 0.012, "{square}");
    }
}
