//! What architectures add to scaled dot-product attention.

use burn::tensor::Tensor;

/// What an encoder adds to scaled dot-product attention. The default is nothing.
#[derive(Clone, Debug, Default)]
pub struct AttentionTerms {
    /// Rotates queries and keys by their positions.
    pub rotary: Option<RotaryEmbedding>,
    /// A query attends to the keys at most this many tokens away, on either side.
    pub window: Option<usize>,
    /// Scores that depend on the distance between query and key.
    pub relative: Option<RelativeTerm>,
}

/// Rotary position embedding (Su et al. 2021): the pair of columns `i` and `i + head_size / 2` of the query or key at
/// position `p` is rotated by the angle `p / theta^(2 i / head_size)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RotaryEmbedding {
    /// The base of the wavelengths.
    pub theta: f64,
}

impl RotaryEmbedding {
    /// Cosines and sines, `[len, head_size / 2]` each. Angles are rounded to `f32`, as transformers rounds them.
    pub(super) fn cos_sin(self, len: usize, head_size: usize) -> [Vec<f32>; 2] {
        let frequencies: Vec<f32> = (0..head_size / 2)
            .map(|i| 1.0 / (self.theta as f32).powf((2 * i) as f32 / head_size as f32))
            .collect();
        let angles = (0..len).flat_map(|position| {
            let angle = move |frequency: &f32| position as f32 * frequency;
            frequencies.iter().map(angle)
        });
        let sin_cos = |angle: f32| {
            let (sin, cos) = f64::from(angle).sin_cos();
            (sin as f32, cos as f32)
        };
        let (sin, cos) = angles.map(sin_cos).unzip();
        [cos, sin]
    }
}

/// Scores from a learned table with a row for each bucket of distances.
#[derive(Clone, Debug)]
pub struct RelativeTerm {
    /// `[rows, columns]`; [`RelativeKind`] says what is in it.
    pub table: Tensor<2>,
    /// How the table enters the scores.
    pub kind: RelativeKind,
    /// Which distances share a row.
    pub buckets: RelativeBuckets,
}

/// How a table enters the scores of query `i` and key `j`, whose bucket is `b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelativeKind {
    /// The table is `[rows, num_heads]`: `table[b, head]` is added to the scaled score (Raffel et al. 2020).
    Bias,
    /// The disentangled attention of DeBERTa (He et al. 2021, section 3.1). The table has queries and keys of positions
    /// side by side, or one of them: `[rows, hidden_size]` for each, heads side by side. Their dot products are added to
    /// that of query and key, and all are scaled by `1 / sqrt(head_size · n)`, where `n` is the number of dot products.
    Disentangled {
        /// Position-to-content: the query of position `b` with key `j`.
        p2c: bool,
        /// Content-to-position: query `i` with the key of position `b`.
        c2p: bool,
    },
}

impl RelativeKind {
    /// The columns of the table.
    pub(super) fn columns(self, num_heads: usize, hidden_size: usize) -> usize {
        match self {
            Self::Bias => num_heads,
            Self::Disentangled { p2c, c2p } => hidden_size * (usize::from(p2c) + usize::from(c2p)),
        }
    }

    /// The number of dot products in a score.
    pub(super) fn num_products(self) -> usize {
        match self {
            Self::Bias => 1,
            Self::Disentangled { p2c, c2p } => 1 + usize::from(p2c) + usize::from(c2p),
        }
    }
}

/// The row of a table for the distance between query and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelativeBuckets {
    /// The buckets of T5 and MPNet in both directions (Raffel et al. 2020, section 2.1). Of each half of the rows, one half
    /// serves a distance each, the other shares the distances up to `max_distance` logarithmically.
    T5 {
        /// Rows of the table; at least 4.
        num_buckets: usize,
        /// From here on, distances share the last row; more than `num_buckets / 4`.
        max_distance: usize,
    },
    /// The buckets of DeBERTa-v2 and v3, transformers' `make_log_bucket_position`: rows up to `position_buckets / 2` serve
    /// a distance each, the others share those up to `max_position` logarithmically.
    Log {
        /// Half of the table's rows; at least 2.
        position_buckets: usize,
        /// From here on, distances share a row; more than `position_buckets / 2 + 1`.
        max_position: usize,
    },
    /// A row for each distance of fewer than `max_position` tokens on either side: DeBERTa without buckets.
    Linear {
        /// Half of the table's rows.
        max_position: usize,
    },
}

impl RelativeBuckets {
    /// Rows of the table.
    pub fn rows(self) -> usize {
        match self {
            Self::T5 { num_buckets, .. } => num_buckets,
            Self::Log {
                position_buckets: half,
                ..
            }
            | Self::Linear { max_position: half } => 2 * half,
        }
    }

    /// The row for the query's position minus the key's. Arithmetic is in `f32`, as transformers'.
    pub fn row(self, distance: isize) -> usize {
        let size = distance.unsigned_abs();
        match self {
            Self::T5 {
                num_buckets,
                max_distance,
            } => {
                let half = num_buckets / 2;
                let exact = half / 2;
                let far = size as f32 / exact as f32;
                let scale = (max_distance as f32 / exact as f32).ln();
                let row = if size < exact {
                    size
                } else {
                    let above = far.ln() / scale * (half - exact) as f32;
                    (exact + above as usize).min(half - 1)
                };
                row + if distance < 0 { half } else { 0 }
            }
            Self::Log {
                position_buckets,
                max_position,
            } => {
                let mid = position_buckets / 2;
                let bucket = if size <= mid {
                    size
                } else {
                    let far = (size as f32 / mid as f32).ln();
                    let scale = ((max_position - 1) as f32 / mid as f32).ln();
                    (far / scale * (mid - 1) as f32).ceil() as usize + mid
                };
                centered(bucket, distance, position_buckets)
            }
            Self::Linear { max_position } => centered(size, distance, max_position),
        }
    }

    /// The rows of the distances from `len - 1` down to `1 - len`: the row for query `i` and key `j` is at
    /// `len - 1 + j - i`.
    pub(super) fn rows_by_offset(self, len: usize) -> Vec<usize> {
        let last = len.max(1) as isize - 1;
        (-last..=last).map(|offset| self.row(-offset)).collect()
    }
}

/// A signed bucket as a row of a table with `half` rows on each side.
fn centered(bucket: usize, distance: isize, half: usize) -> usize {
    if distance < 0 {
        half.saturating_sub(bucket)
    } else {
        (half + bucket).min(2 * half - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distances where the row changes, with the new row.
    fn steps(buckets: RelativeBuckets, distances: std::ops::Range<isize>) -> Vec<(isize, usize)> {
        let mut last = None;
        distances
            .map(|distance| (distance, buckets.row(distance)))
            .filter(|(_, row)| last.replace(*row) != Some(*row))
            .collect()
    }

    /// From transformers 5.23: `MPNetEncoder.relative_position_bucket` of the negated distances.
    #[test]
    fn rows_of_t5_match_transformers() {
        let buckets = RelativeBuckets::T5 {
            num_buckets: 32,
            max_distance: 128,
        };
        let expected = [
            (-200, 31),
            (-90, 30),
            (-63, 29),
            (-45, 28),
            (-31, 27),
            (-22, 26),
            (-15, 25),
            (-11, 24),
            (-7, 23),
            (-6, 22),
            (-5, 21),
            (-4, 20),
            (-3, 19),
            (-2, 18),
            (-1, 17),
            (0, 0),
            (1, 1),
            (2, 2),
            (3, 3),
            (4, 4),
            (5, 5),
            (6, 6),
            (7, 7),
            (8, 8),
            (12, 9),
            (16, 10),
            (23, 11),
            (32, 12),
            (46, 13),
            (64, 14),
            (91, 15),
        ];
        assert_eq!(steps(buckets, -200..200), expected);
        // Negative control: another distance moves the steps.
        let other = RelativeBuckets::T5 {
            num_buckets: 32,
            max_distance: 64,
        };
        assert_ne!(steps(other, -200..200), expected);
    }

    /// From transformers 5.23: `make_log_bucket_position(distance, 256, 512) + 256`, the sum of rows times distances of
    /// -511 to 511, and some rows.
    #[test]
    fn rows_of_log_match_transformers() {
        let buckets = RelativeBuckets::Log {
            position_buckets: 256,
            max_position: 512,
        };
        for (distance, row) in [
            (-511, 1),
            (-400, 23),
            (-300, 49),
            (-200, 87),
            (-150, 113),
            (-129, 127),
            (-128, 128),
            (-127, 129),
            (-1, 255),
            (0, 256),
            (1, 257),
            (127, 383),
            (128, 384),
            (129, 385),
            (130, 386),
            (131, 387),
            (140, 393),
            (200, 425),
            (256, 448),
            (300, 463),
            (400, 489),
            (511, 511),
        ] {
            assert_eq!(buckets.row(distance), row, "{distance}");
        }
        let sum = |buckets: RelativeBuckets| -> isize {
            (-511..512)
                .map(|distance| buckets.row(distance) as isize * distance)
                .sum()
        };
        assert_eq!(sum(buckets), 54914426);
        let other = RelativeBuckets::Log {
            position_buckets: 256,
            max_position: 256,
        };
        assert_ne!(sum(other), sum(buckets));
    }
}
