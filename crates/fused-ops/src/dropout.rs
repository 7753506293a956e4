use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

/// What a dropout mask depends on, besides the element's place.
///
/// The same key gives the same mask on any backend and any number of threads, in the forward pass
/// and when it is computed again in the backward pass; a resumed run that counts its steps on
/// draws the masks that it would have drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropoutKey {
    /// The run's seed.
    pub seed: u64,
    /// The process in a distributed run, so that ranks draw different masks.
    pub rank: u16,
    /// The micro-batch in a step with gradient accumulation.
    pub micro_batch: u16,
    /// The optimizer step.
    pub step: u32,
    /// The place in the model: every dropout of a forward pass has its own.
    pub site: u16,
}

/// Inverted dropout with masks from a counter-based generator (Philox4x32 with 7 rounds, which pass all tests of
/// BigCrush; Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
///
/// An element at `(row, column)` is kept with probability `1 - prob` and then multiplied by
/// `1 / (1 - prob)`. Rows are tokens; for attention probabilities a row is one query of one head.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    key: [u32; 2],
    // The counter's words are (micro-batch and block of columns, row, step, rank and site): each
    // part of the key and each place has bits of its own, so no two elements share a counter.
    micro_batch: u32,
    step: u32,
    rank_and_site: u32,
    prob: f32,
}

impl Dropout {
    /// `None` when nothing would be dropped.
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

    /// Elements whose 16 random bits are below this are dropped: `prob` to 1 / 131072.
    #[inline]
    fn threshold(&self) -> u32 {
        (f64::from(self.prob) * 65_536.0).round() as u32
    }

    /// The factor of a kept element.
    #[inline]
    pub(crate) fn scale(&self) -> f32 {
        1.0 / (1.0 - self.prob)
    }

    /// The probability to be dropped.
    #[cfg(feature = "tch")]
    pub(crate) fn prob(&self) -> f64 {
        f64::from(self.prob)
    }

    /// The whole key in one number, for generators that are seeded with one.
    #[cfg(feature = "tch")]
    pub(crate) fn seed(&self) -> u64 {
        let counter = [self.micro_batch, 0, self.step, self.rank_and_site];
        let [low, high, ..] = philox4x32(counter, self.key);
        u64::from(high) << 32 | u64::from(low)
    }

    /// Writes the factors (0 or the scale) of the first elements of a row, at most 2^19 of them.
    #[inline(always)]
    pub(crate) fn fill_row(&self, row: u32, factors: &mut [f32]) {
        let (threshold, scale) = (self.threshold(), self.scale());
        let factor = |bits: u32| if bits < threshold { 0.0 } else { scale };
        // Blocks of 16 Philox calls side by side, so that the compiler can use vector registers;
        // call `i` of a block gives columns `i`, `i + 16`, …, `i + 112` of its 128: the first four from
        // the lower halves of its four words, the others from the upper ones.
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

    /// The factors of a `[rows, columns]` matrix as a tensor.
    pub(crate) fn factors(&self, [rows, columns]: [usize; 2], device: &Device) -> Tensor<2> {
        Tensor::from_data(
            TensorData::new(self.matrix(rows, columns), [rows, columns]),
            device,
        )
    }
}

/// Applies dropout to a matrix, `[rows, columns]`.
pub fn dropout(input: Tensor<2>, dropout: &Dropout) -> Tensor<2> {
    #[cfg(any(feature = "ndarray", feature = "tch"))]
    if crate::extension::takes(&input) {
        return crate::extension::dropout(input, dropout);
    }
    reference(input, dropout)
}

/// [`dropout`] from Burn primitives.
pub fn reference(input: Tensor<2>, dropout: &Dropout) -> Tensor<2> {
    let (factors, dtype) = (
        dropout.factors(input.dims(), &input.device()),
        input.dtype(),
    );
    input * factors.cast(dtype)
}

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

    /// Known answers of the generator's authors (Random123, kat_vectors, philox4x32 7 rounds).
    #[test]
    fn philox_gives_its_authors_known_answers() {
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
    fn keeps_the_share_it_should_and_scales_it() {
        let dropout = Dropout::new(0.1, KEY).unwrap();
        let factors = dropout.matrix(500, 384);
        let dropped = factors.iter().filter(|f| **f == 0.0).count() as f64 / factors.len() as f64;
        // Standard deviation of the share: sqrt(0.1 * 0.9 / 192000) = 0.0007.
        assert!((dropped - 0.1).abs() < 0.0035, "share dropped: {dropped}");
        let kept = factors.iter().find(|f| **f != 0.0).unwrap();
        assert_eq!(*kept, 1.0 / 0.9f32);
        assert!(Dropout::new(0.0, KEY).is_none());
    }

    #[test]
    fn every_part_of_the_key_and_the_place_changes_the_mask() {
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
    fn a_row_does_not_depend_on_how_much_of_it_is_asked_for() {
        let dropout = Dropout::new(0.3, KEY).unwrap();
        let (mut short, mut long) = (vec![0.0; 150], vec![0.0; 384]);
        dropout.fill_row(11, &mut short);
        dropout.fill_row(11, &mut long);
        assert_eq!(short, long[..150]);
    }
}
