//! Matmuls of activations with weights in `int8`, with sums in `i32`.
//!
//! Weights are quantised per output channel, `w ≈ scale q` with `q` in -127..=127, and packed once. Activations are quantised
//! per token, `x ≈ scale (q - zero)` with `q` in 0..=255, in the task that multiplies them. So
//!
//! ```text
//! Σ x w ≈ scale_x scale_w (Σ q_x q_w - zero Σ q_w)
//! ```
//!
//! where the sums are exact, whatever the instructions and the number of threads. Four numbers that are neighbours along the
//! inner dimension make a *group* of 32 bits; weights lie in panels of [`COLUMNS`] columns, `[panel, group, column]`.
#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::cell::Cell;

use pulp::Arch;
use rayon::prelude::*;

use super::gemm::{Matrix, Target, Threads, assert_shapes};
use super::math::ROUND;
use super::simd::vectorized;
use super::tasks::{Epilogue, SharedTarget, TASK_ROWS, Tasks, with_buffer};

/// Columns of a panel: two vectors of AVX-512.
const COLUMNS: usize = 32;

/// The instructions of the innermost loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instructions {
    Avx512Vnni,
    AvxVnni,
    Avx2,
}

impl Instructions {
    /// The fastest first.
    const ALL: [Self; 3] = [Self::Avx512Vnni, Self::AvxVnni, Self::Avx2];

    fn are_available(self) -> bool {
        match self {
            Self::Avx512Vnni => {
                is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")
            }
            Self::AvxVnni => {
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("avxvnni")
            }
            Self::Avx2 => is_x86_feature_detected!("avx2"),
        }
    }

    /// The fastest of this processor.
    pub(crate) fn best() -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.are_available())
    }
}

/// Weights, quantised per output channel and packed.
pub(crate) struct QuantizedMatrix {
    /// `[panel, group, column]`
    groups: Vec<u32>,
    /// Inputs.
    rows: usize,
    /// Outputs.
    columns: usize,
    /// `[columns]`
    scales: Vec<f32>,
    /// The sum of each column's quantised weights.
    sums: Vec<i32>,
}

impl QuantizedMatrix {
    /// Of a matrix `[inputs, outputs]`.
    pub(crate) fn new(matrix: Matrix<'_>) -> Self {
        let (rows, columns) = (matrix.rows, matrix.columns);
        let depth = rows.div_ceil(4);
        let mut groups = vec![0u32; columns.div_ceil(COLUMNS) * depth * COLUMNS];
        let (mut scales, mut sums) = (vec![0.0; columns], vec![0; columns]);
        groups
            .par_chunks_mut((depth * COLUMNS).max(1))
            .zip(scales.par_chunks_mut(COLUMNS))
            .zip(sums.par_chunks_mut(COLUMNS))
            .enumerate()
            .for_each(|(panel, ((groups, scales), sums))| {
                for (index, (scale, sum)) in scales.iter_mut().zip(sums).enumerate() {
                    // SAFETY: row and column lie inside the matrix.
                    let weight = |row| unsafe { *matrix.at(row, panel * COLUMNS + index) };
                    let largest = (0..rows).map(|row| weight(row).abs()).fold(0.0, f32::max);
                    // NaN goes on into every output of the column.
                    let is_nan = (0..rows).any(|row| weight(row).is_nan());
                    *scale = if is_nan { f32::NAN } else { largest / 127.0 };
                    let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
                    for row in 0..rows {
                        let quantized = (weight(row) * inverse).round_ties_even() as i8;
                        *sum += i32::from(quantized);
                        let bits = u32::from(quantized.cast_unsigned()) << (8 * (row % 4));
                        groups[row / 4 * COLUMNS + index] |= bits;
                    }
                }
            });
        Self {
            groups,
            rows,
            columns,
            scales,
            sums,
        }
    }
}

/// `x ≈ scale (q - zero)` of one token.
#[derive(Clone, Copy, Default)]
struct Quantization {
    scale: f32,
    zero: i32,
}

/// Quantises one token; `target` has a whole number of groups, and what the token lacks is 0 there.
#[inline(always)]
fn quantize_row(row: &[f32], target: &mut [u8]) -> Quantization {
    let (mut low, mut high, mut invalid) = ([0.0f32; 16], [0.0f32; 16], [0.0f32; 16]);
    let chunks = row.chunks_exact(16);
    let mut tail = [0.0; 16];
    tail[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    for chunk in chunks.chain([&tail[..]]) {
        for lane in 0..16 {
            low[lane] = low[lane].min(chunk[lane]);
            high[lane] = high[lane].max(chunk[lane]);
            // 0, or NaN where the number is infinite or NaN, which must not get lost.
            invalid[lane] += chunk[lane] * 0.0;
        }
    }
    let low = low.into_iter().fold(0.0, f32::min);
    let high = high.into_iter().fold(0.0, f32::max);
    let scale = (high - low) / 255.0;
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    let zero = (-low * inverse).round_ties_even();
    for (quantized, x) in target.iter_mut().zip(row) {
        let rounded = x.mul_add(inverse, zero).clamp(0.0, 255.0) + ROUND;
        *quantized = rounded.to_bits() as u8;
    }
    target[row.len()..].fill(0);
    Quantization {
        scale: scale + invalid.iter().sum::<f32>(),
        zero: zero as i32,
    }
}

thread_local! {
    /// Quantised tokens of the last task on this thread.
    static LEFT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// `target = left · right` on all threads, with `left` quantised per row, then `epilogue`.
///
/// # Panics
/// If the processor lacks the instructions, the inner dimensions differ, rows of `left` are not contiguous or the result
/// reaches outside the target.
pub(crate) fn gemm_int8(
    instructions: Instructions,
    target: Target<'_>,
    left: Matrix<'_>,
    right: &QuantizedMatrix,
    epilogue: Option<Epilogue<'_>>,
) {
    assert!(instructions.are_available(), "{instructions:?}");
    assert_shapes(&target, &left, [right.rows, right.columns]);
    assert!(left.column_stride == 1 && !target.accumulate);
    let depth = right.rows.div_ceil(4);
    let panels = right.columns.div_ceil(COLUMNS);
    let output = SharedTarget::new(&target);
    Tasks::new(left.rows, panels, Threads::All).run(|rows, panels| {
        let columns = panels.start * COLUMNS..right.columns.min(panels.end * COLUMNS);
        with_buffer(&LEFT, TASK_ROWS * depth * 4, |buffer| {
            let mut quantizations = [Quantization::default(); TASK_ROWS];
            vectorized(
                Arch::new(),
                #[inline(always)]
                || {
                    let targets = buffer.chunks_exact_mut((depth * 4).max(1));
                    for ((row, target), quantization) in
                        rows.clone().zip(targets).zip(&mut quantizations)
                    {
                        // SAFETY: the row lies inside the matrix, and its elements are contiguous.
                        let row =
                            unsafe { std::slice::from_raw_parts(left.at(row, 0), left.columns) };
                        *quantization = quantize_row(row, target);
                    }
                },
            );
            for panel in panels {
                let mut sums = [0i32; TASK_ROWS * COLUMNS];
                let weights = &right.groups[panel * depth * COLUMNS..(panel + 1) * depth * COLUMNS];
                // SAFETY: the instructions are there, `buffer` has `TASK_ROWS` rows, and `weights` is a panel.
                unsafe {
                    multiply_panel(instructions, rows.len(), depth, buffer, weights, &mut sums);
                }
                let columns = panel * COLUMNS..right.columns.min((panel + 1) * COLUMNS);
                let (scales, offsets) =
                    (&right.scales[columns.clone()], &right.sums[columns.clone()]);
                vectorized(
                    Arch::new(),
                    #[inline(always)]
                    || {
                        for (index, row) in rows.clone().enumerate() {
                            // SAFETY: the task's own part of the target.
                            let output = unsafe { output.row(row, columns.clone()) };
                            let (sums, Quantization { scale, zero }) =
                                (&sums[index * COLUMNS..], quantizations[index]);
                            let weights = scales.iter().zip(offsets);
                            for ((out, sum), (of_column, offset)) in
                                output.iter_mut().zip(sums).zip(weights)
                            {
                                *out = scale * of_column * (sum - zero * offset) as f32;
                            }
                        }
                    },
                );
            }
        });
        if let Some(epilogue) = epilogue {
            for row in rows {
                // SAFETY: as above.
                let output = unsafe { output.row(row, columns.clone()) };
                epilogue(row, columns.clone(), output);
            }
        }
    });
}

/// Fills the first `rows` rows of `sums`, `[TASK_ROWS, COLUMNS]`, with the product of those of `left` and a panel. Rows that
/// fill the last tile are read and written too.
///
/// # Safety
/// The processor has the instructions, `rows` is at most `TASK_ROWS`, `left` has `TASK_ROWS` rows of `depth` groups, and
/// `panel` has `depth` times `COLUMNS` groups.
unsafe fn multiply_panel(
    instructions: Instructions,
    rows: usize,
    depth: usize,
    left: &[u8],
    panel: &[u32],
    sums: &mut [i32; TASK_ROWS * COLUMNS],
) {
    let left = left.as_ptr().cast::<i32>();
    let panel = panel.as_ptr().cast::<i32>();
    // As many rows of two vectors as there are registers for. `TASK_ROWS` is a multiple of each, so tiles end inside.
    let (tile_rows, tile_columns): (usize, usize) = match instructions {
        Instructions::Avx512Vnni => (12, 32),
        Instructions::AvxVnni => (6, 16),
        Instructions::Avx2 => (4, 16),
    };
    for row in (0..rows).step_by(tile_rows) {
        for column in (0..COLUMNS).step_by(tile_columns) {
            // SAFETY: the tile's rows lie below `TASK_ROWS`; the rest is as the caller guarantees.
            unsafe {
                let left = left.add(row * depth);
                let panel = panel.add(column);
                let sums = sums[row * COLUMNS + column..].as_mut_ptr();
                match instructions {
                    Instructions::Avx512Vnni => tile_avx512vnni(depth, left, panel, sums),
                    Instructions::AvxVnni => tile_avxvnni(depth, left, panel, sums),
                    Instructions::Avx2 => tile_avx2(depth, left, panel, sums),
                }
            }
        }
    }
}

/// Multiplies `$rows` rows of `depth` groups with two vectors of columns of a panel.
macro_rules! tile {
    ($name:ident, $features:literal, $rows:literal, $vector:ty, $lanes:literal, $zero:ident, $set:ident, $load:ident, $store:ident, $dot:expr) => {
        /// # Safety
        /// The processor has the instructions; the tile's rows, columns and sums lie inside what the pointers point at.
        /// `left` need not be aligned, because it points at bytes.
        #[target_feature(enable = $features)]
        unsafe fn $name(depth: usize, left: *const i32, panel: *const i32, target: *mut i32) {
            let mut sums = [[$zero(); 2]; $rows];
            for k in 0..depth {
                // SAFETY: `k` is below the depth, and no read needs alignment.
                unsafe {
                    let weights = [0, $lanes]
                        .map(|column| $load(panel.add(k * COLUMNS + column).cast::<$vector>()));
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let tokens = $set(left.add(row * depth + k).read_unaligned());
                        sums[0] = $dot(sums[0], tokens, weights[0]);
                        sums[1] = $dot(sums[1], tokens, weights[1]);
                    }
                }
            }
            for (row, sums) in sums.iter().enumerate() {
                for (half, sum) in sums.iter().enumerate() {
                    // SAFETY: inside the target.
                    unsafe {
                        $store(
                            target.add(row * COLUMNS + half * $lanes).cast::<$vector>(),
                            *sum,
                        );
                    }
                }
            }
        }
    };
}

tile!(
    tile_avx512vnni,
    "avx512f,avx512vnni",
    12,
    __m512i,
    16,
    _mm512_setzero_si512,
    _mm512_set1_epi32,
    _mm512_loadu_si512,
    _mm512_storeu_si512,
    _mm512_dpbusd_epi32
);
tile!(
    tile_avxvnni,
    "avx2,avxvnni",
    6,
    __m256i,
    8,
    _mm256_setzero_si256,
    _mm256_set1_epi32,
    _mm256_loadu_si256,
    _mm256_storeu_si256,
    _mm256_dpbusd_avx_epi32
);
tile!(
    tile_avx2,
    "avx2",
    4,
    __m256i,
    8,
    _mm256_setzero_si256,
    _mm256_set1_epi32,
    _mm256_loadu_si256,
    _mm256_storeu_si256,
    dot_avx2
);

/// Sums of four products of unsigned and signed bytes. `_mm256_maddubs_epi16` would saturate, so bytes become 16 bits first.
#[inline]
#[target_feature(enable = "avx2")]
fn dot_avx2(sums: __m256i, tokens: __m256i, weights: __m256i) -> __m256i {
    let even = _mm256_madd_epi16(
        _mm256_and_si256(tokens, _mm256_set1_epi16(0xFF)),
        _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(weights)),
    );
    let odd = _mm256_madd_epi16(
        _mm256_srli_epi16::<8>(tokens),
        _mm256_srai_epi16::<8>(weights),
    );
    _mm256_add_epi32(sums, _mm256_add_epi32(even, odd))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(seed: f32, len: usize) -> Vec<f32> {
        (0..len).map(|i| (i as f32 * 0.7 + seed).sin()).collect()
    }

    /// The definition at the head of this file, in `f64` and without packing.
    fn reference(left: &[f32], right: &[f32], [rows, columns, depth]: [usize; 3]) -> Vec<f32> {
        let mut result = Vec::new();
        for row in 0..rows {
            let x = &left[row * depth..(row + 1) * depth];
            let low = x.iter().copied().fold(0.0, f32::min);
            let scale = (x.iter().copied().fold(0.0, f32::max) - low) / 255.0;
            let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            let zero = (-low * inverse).round_ties_even();
            for column in 0..columns {
                let w = |k: usize| right[k * columns + column];
                let largest = (0..depth).map(|k| w(k).abs()).fold(0.0, f32::max);
                let inverse_w = if largest > 0.0 { 127.0 / largest } else { 0.0 };
                let sum: i64 = (0..depth)
                    .map(|k| {
                        let x = x[k]
                            .mul_add(inverse, zero)
                            .clamp(0.0, 255.0)
                            .round_ties_even();
                        let w = (w(k) * inverse_w).round_ties_even();
                        (x as i64 - zero as i64) * w as i64
                    })
                    .sum();
                result.push((f64::from(scale) * f64::from(largest / 127.0) * sum as f64) as f32);
            }
        }
        result
    }

    fn product(
        instructions: Instructions,
        left: &[f32],
        right: &[f32],
        [rows, columns, depth]: [usize; 3],
    ) -> Vec<f32> {
        let weights = QuantizedMatrix::new(Matrix::new(right, depth, columns, columns));
        let mut result = vec![f32::NAN; rows * columns];
        let left = Matrix::new(left, rows, depth, depth);
        gemm_int8(
            instructions,
            Target::new(&mut result, columns),
            left,
            &weights,
            None,
        );
        result
    }

    fn available() -> Vec<Instructions> {
        Instructions::ALL
            .into_iter()
            .filter(|kind| kind.are_available())
            .collect()
    }

    fn distance(left: &[f32], right: &[f32]) -> f32 {
        assert_eq!(left.len(), right.len());
        let differences = left.iter().zip(right).map(|(a, b)| (a - b).abs());
        differences.fold(0.0, f32::max)
    }

    #[test]
    fn every_kind_of_instructions_equals_the_reference() {
        assert_eq!(available().first().copied(), Instructions::best());
        for shape in [
            [1, 1, 1],
            [5, 3, 7],
            [13, 33, 64],
            [100, 45, 130],
            [97, 96, 1027],
        ] {
            let [rows, columns, depth] = shape;
            let left = numbers(0.3, rows * depth);
            let right = numbers(1.0, depth * columns);
            let expected = reference(&left, &right, shape);
            for kind in available() {
                // The sums are exact; three roundings of `f32` follow.
                let result = product(kind, &left, &right, shape);
                let tolerance = 1e-6 * expected.iter().fold(1.0f32, |max, x| max.max(x.abs()));
                assert!(
                    distance(&result, &expected) <= tolerance,
                    "{kind:?} {shape:?}"
                );
            }
        }
    }

    /// The largest activations and weights: 16 bits overflow, 32 do not.
    #[test]
    fn large_sums_do_not_saturate() {
        let shape = [2, 40, 3072];
        let (left, right) = (vec![1.0; 2 * 3072], vec![-2.0; 3072 * 40]);
        for kind in available() {
            let result = product(kind, &left, &right, shape);
            assert!(distance(&result, &[-6144.0; 80]) < 0.01, "{kind:?}");
        }
    }

    #[test]
    fn the_rounding_to_8_bits_is_small_and_shows() {
        let shape = [50, 40, 384];
        let (left, right) = (numbers(0.3, 50 * 384), numbers(1.0, 384 * 40));
        let mut exact = vec![0.0; 50 * 40];
        crate::kernels::gemm::gemm(
            Target::new(&mut exact, 40),
            Matrix::new(&left, 50, 384, 384),
            Matrix::new(&right, 384, 40, 40),
            Threads::One,
        );
        for kind in available() {
            let difference = distance(&product(kind, &left, &right, shape), &exact);
            assert!((1e-3..0.3).contains(&difference), "{kind:?}: {difference}");
        }
    }

    #[test]
    fn nan_and_infinity_reach_the_result() {
        for wrong in [f32::NAN, f32::INFINITY] {
            for kind in available() {
                let (mut left, right) = (numbers(0.3, 3 * 20), numbers(1.0, 20 * 5));
                left[25] = wrong;
                let result = product(kind, &left, &right, [3, 5, 20]);
                assert!(result[..5].iter().all(|x| x.is_finite()));
                assert!(result[5..10].iter().all(|x| !x.is_finite()), "{kind:?}");
                let (left, mut right) = (numbers(0.3, 3 * 20), numbers(1.0, 20 * 5));
                right[7] = wrong;
                let result = product(kind, &left, &right, [3, 5, 20]);
                assert!(!result[2].is_finite() && result[3].is_finite(), "{kind:?}");
            }
        }
    }
}
