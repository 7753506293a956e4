//! The random order of examples and batches. It must never change for a given seed.
//!
//! Words: SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"). Shuffle:
//! Fisher–Yates from the last element down. Indices: multiply-and-shift with rejection, which has no bias (Lemire 2019,
//! "Fast random integer generation in an interval").

pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator for one of a seed's independent streams, for example an epoch.
    pub(crate) fn stream(seed: u64, stream: u64) -> Self {
        let first = Self(seed).next_u64();
        Self(first ^ Self(stream ^ 0x5351_7541_4444_6174).next_u64())
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A uniform number below `bound`; 0 if `bound` is 0.
    fn below(&mut self, bound: u64) -> u64 {
        let threshold = bound.wrapping_neg().checked_rem(bound).unwrap_or(0);
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let chosen = self.below(last as u64 + 1) as usize;
            items.swap(last, chosen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published first outputs for seed 1234567 (Rosetta Code, "Pseudo-random numbers/Splitmix64").
    #[test]
    fn words_equal_the_published_ones() {
        let mut rng = SplitMix64::new(1_234_567);
        let words: Vec<u64> = (0..3).map(|_| rng.next_u64()).collect();
        assert_eq!(
            words,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn the_order_for_a_seed_is_pinned() {
        let mut order: Vec<usize> = (0..10).collect();
        SplitMix64::stream(7, 1).shuffle(&mut order);
        assert_eq!(order, [1, 0, 2, 6, 5, 3, 8, 9, 7, 4]);
    }

    #[test]
    fn every_order_of_three_is_equally_likely() {
        let mut counts = std::collections::BTreeMap::new();
        for stream in 0..6000 {
            let mut order = [0, 1, 2];
            SplitMix64::stream(0, stream).shuffle(&mut order);
            *counts.entry(order).or_insert(0) += 1;
        }
        // Each count is binomial with mean 1000 and standard deviation 29; 150 is five of those.
        assert_eq!(counts.len(), 6);
        assert!(
            counts
                .values()
                .all(|&count: &i32| (count - 1000).abs() < 150),
            "{counts:?}"
        );
    }
}
