use rayon::prelude::*;

/// Identifies a dropout mask.
///
/// In host memory the same key gives the same mask on any backend and any number of threads, in the forward and in the
/// backward pass, and in a resumed run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropoutKey {
    /// The run's seed.
    pub seed: u64,
    /// The rank of the process in a distributed run: ranks draw different masks.
    pub rank: u16,
    /// The micro-batch inside a step with gradient accumulation.
    pub micro_batch: u16,
    /// The optimizer step.
    pub step: u32,
    /// The place in the model: each dropout layer has its own number.
    pub site: u16,
}

/// Inverted dropout with masks from a counter-based generator: Philox4x32 with 7 rounds, which passes BigCrush (Salmon et
/// al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
///
/// The element at `(row, column)` is kept with probability `1 - prob` and then multiplied by `1 / (1 - prob)`. A row is a
/// token; of attention probabilities it is one query of one head.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    key: [u32; 2],
    // The counter's words are (micro-batch and block of columns, row, step, rank and site): no two elements of any two
    // masks of a run share a counter.
    micro_batch: u32,
    step: u32,
    rank_and_site: u32,
    prob: f32,
}

impl Dropout {
    /// `None` if `prob` is 0.
    ///
    /// # Panics
    /// Unless `0 <= prob < 1`.
    pub fn new(prob: f64, key: DropoutKey) -> Option<Self> {
        assert!(
            (0.0..1.0).contains(&prob),
            "dropout probability {prob} is not in 0..1"
        );
        (prob > 0.0).then_some(Self {
            key: [key.seed as u32, (key.seed >> 32) as u32],
            micro_batch: u32::from(key.micro_batch) << 16,
            step: key.step,
            rank_and_site: u32::from(key.rank) << 16 | u32::from(key.site),
            prob: prob as f32,
        })
    }

    /// Elements whose 16 random bits are below this number are dropped: `prob`, rounded to a multiple of 1 / 65536.
    #[inline]
    fn threshold(&self) -> u32 {
        (f64::from(self.prob) * 65_536.0).round() as u32
    }

    /// The factor of a kept element.
    #[inline]
    pub(crate) fn scale(&self) -> f32 {
        1.0 / (1.0 - self.prob)
    }

    /// The probability of dropping an element.
    #[cfg(feature = "tch")]
    pub(crate) fn prob(&self) -> f64 {
        f64::from(self.prob)
    }

    /// The key hashed to one number, to seed another generator.
    #[cfg(feature = "tch")]
    pub(crate) fn seed(&self) -> u64 {
        let counter = [self.micro_batch, 0, self.step, self.rank_and_site];
        let [low, high, ..] = philox4x32(counter, self.key);
        u64::from(high) << 32 | u64::from(low)
    }

    /// Fills `factors` with those of the first elements of a row (0 or the scale), at most 2^19.
    #[inline(always)]
    pub(crate) fn fill_row(&self, row: u32, factors: &mut [f32]) {
        let (threshold, scale) = (self.threshold(), self.scale());
        let factor = |bits: u32| if bits < threshold { 0.0 } else { scale };
        // The compiler vectorizes 16 Philox calls side by side. Call `i` of a block of 128 columns gives columns `i`,
        // `i + 16`, …, `i + 112`: the first four from the lower halves of its four words, the others from the upper ones.
        for (block, chunk) in factors.chunks_mut(128).enumerate() {
            let mut words = [[0u32; 16]; 4];
            for lane in 0..16 {
                let place = self.micro_batch | (block * 16 + lane) as u32;
                let counter = [place, row, self.step, self.rank_and_site];
                let random = philox4x32(counter, self.key);
                for (word, value) in words.iter_mut().zip(random) {
                    word[lane] = value;
                }
            }
            let words = words.as_flattened();
            for (out, bits) in chunk.iter_mut().zip(words) {
                *out = factor(bits & 0xFFFF);
            }
            for (out, bits) in chunk.iter_mut().skip(64).zip(words) {
                *out = factor(bits >> 16);
            }
        }
    }

    /// The factors of a `[rows, columns]` matrix, in row-major order.
    pub(crate) fn matrix(&self, rows: usize, columns: usize) -> Vec<f32> {
        let mut factors = vec![0.0; rows * columns];
        factors
            .par_chunks_mut(columns.max(1))
            .enumerate()
            .for_each(|(row, out)| self.fill_row(row as u32, out));
        factors
    }
}

/// The row of the mask that belongs to one query of one head of attention.
#[inline]
pub(crate) fn attention_row(token: usize, head: usize, num_heads: usize) -> u32 {
    (token * num_heads + head) as u32
}

/// Philox4x32 with 7 rounds: four random words from a counter and a key.
#[inline(always)]
fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
    const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
    for _ in 0..7 {
        let low = u64::from(counter[0]) * u64::from(MULTIPLIERS[0]);
        let high = u64::from(counter[2]) * u64::from(MULTIPLIERS[1]);
        counter = [
            (high >> 32) as u32 ^ counter[1] ^ key[0],
            high as u32,
            (low >> 32) as u32 ^ counter[3] ^ key[1],
            low as u32,
        ];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: DropoutKey = DropoutKey {
        seed: 7,
        rank: 0,
        micro_batch: 0,
        step: 3,
        site: 5,
    };

    /// From Random123's kat_vectors, philox4x32 with 7 rounds.
    #[test]
    fn philox_matches_its_known_answers() {
        assert_eq!(
            philox4x32([0; 4], [0; 2]),
            [0x5f6f_b709, 0x0d89_3f64, 0x4f12_1f81, 0x4f73_0a48]
        );
        assert_eq!(
            philox4x32([u32::MAX; 4], [u32::MAX; 2]),
            [0x5207_ddc2, 0x4516_5e59, 0x4d8e_e751, 0x8c52_f662]
        );
    }

    #[test]
    fn drops_the_share_asked_for_and_scales_the_rest() {
        let dropout = Dropout::new(0.1, KEY).unwrap();
        let factors = dropout.matrix(500, 384);
        let dropped = factors.iter().filter(|f| **f == 0.0).count() as f64 / factors.len() as f64;
        // Standard deviation of the share: sqrt(0.1 * 0.9 / 192000) = 0.0007.
        assert!((dropped - 0.1).abs() < 0.0035, "dropped {dropped}");
        let kept = factors.iter().find(|f| **f != 0.0).unwrap();
        assert_eq!(*kept, 1.0 / 0.9f32);
        assert!(Dropout::new(0.0, KEY).is_none());
    }

    #[test]
    fn every_field_of_the_key_and_the_row_change_the_mask() {
        let mask = |key: DropoutKey| Dropout::new(0.5, key).unwrap().matrix(8, 64);
        let base = mask(KEY);
        assert_eq!(base, mask(KEY));
        for other in [
            DropoutKey { seed: 8, ..KEY },
            DropoutKey {
                seed: 7 | 1 << 40,
                ..KEY
            },
            DropoutKey { rank: 1, ..KEY },
            DropoutKey {
                micro_batch: 1,
                ..KEY
            },
            DropoutKey { step: 4, ..KEY },
            DropoutKey { site: 6, ..KEY },
        ] {
            let agreeing = base
                .iter()
                .zip(mask(other))
                .filter(|(a, b)| **a == *b)
                .count();
            // 512 fair coins: mean 256, standard deviation 11.
            assert!(
                (agreeing as i64 - 256).abs() < 60,
                "{other:?}: {agreeing} of 512 agree"
            );
        }
        let (first, second) = (&base[..64], &base[64..128]);
        assert_ne!(first, second, "rows must differ");
    }

    #[test]
    fn a_shorter_row_is_a_prefix_of_a_longer_one() {
        let dropout = Dropout::new(0.3, KEY).unwrap();
        let (mut short, mut long) = (vec![0.0; 150], vec![0.0; 384]);
        dropout.fill_row(11, &mut short);
        dropout.fill_row(11, &mut long);
        assert_eq!(short, long[..150]);
    }
}
