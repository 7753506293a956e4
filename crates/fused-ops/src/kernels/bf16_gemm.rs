//! Matmuls in `bf16` with sums in `f32`, by AVX512-BF16.
//!
//! Both matrices are copied (packed) into the order in which the innermost loop reads them, and rounded on the way. Two
//! numbers that are neighbours along the inner dimension `k` make a *group* of 32 bits:
//!
//! - right matrix: panels of [`COLUMNS`] columns, `[block of k, panel, group, column]`, packed once per matmul by all threads;
//! - left matrix: `[block of k, row, group]`, packed by the task that multiplies these rows.
//!
//! A block of `k` is [`DEPTH`] groups, or what there is of them: a panel of the right matrix then stays in the first-level
//! cache while the rows of a task pass by. Every element of the result is summed in the same order whatever the number of
//! threads.
//!
//! What depends on the processor is a [`Kernel`]: the copy of a [`Block`] and the innermost loop. Tests have a second one
//! in plain Rust, so that packing and loops are tested on processors that lack the instructions.
#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::cell::Cell;
use std::ops::Range;

use super::gemm::{Matrix, Target, Threads, assert_shapes};
use super::parallel::for_each;
use super::tasks::{Epilogue, SharedTarget, TASK_ROWS, Tasks, with_buffer};

/// Rows of a tile: the part of the result that the registers hold.
const ROWS: usize = 12;
/// Columns of a tile and of a panel: two vectors.
const COLUMNS: usize = 2 * LANES;
/// Groups in a block of the inner dimension.
const DEPTH: usize = 192;
/// Groups in a vector.
const LANES: usize = 16;

/// Whether this processor has the instructions.
pub(crate) fn is_available() -> bool {
    Avx512Bf16::is_available()
}

/// A set of instructions.
trait Kernel {
    fn is_available() -> bool;

    /// Writes the rounded groups of a block: a vector for each row or column (`along_k`), or for each group, `stride` groups
    /// apart. Writes [`LANES`] vectors; what the block lacks is zero.
    ///
    /// # Safety
    /// The processor has the instructions, the block lies inside its matrix, one of its strides is 1, and `target` has room.
    unsafe fn pack(block: &Block, along_k: bool, target: *mut u32, stride: usize);

    /// Multiplies `depth` groups of [`ROWS`] packed rows and one packed panel.
    ///
    /// # Safety
    /// The processor has the instructions, `left` and `right` are packed to that depth, and nothing else uses the tile.
    unsafe fn multiply(depth: usize, left: *const u32, right: *const u32, tile: Tile);
}

struct Avx512Bf16;

impl Kernel for Avx512Bf16 {
    fn is_available() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16")
    }

    #[inline]
    unsafe fn pack(block: &Block, along_k: bool, target: *mut u32, stride: usize) {
        // SAFETY: as the caller guarantees.
        unsafe { pack_avx512(block, along_k, target, stride) }
    }

    #[inline]
    unsafe fn multiply(depth: usize, left: *const u32, right: *const u32, tile: Tile) {
        // SAFETY: as the caller guarantees.
        unsafe { multiply_avx512(depth, left, right, tile) }
    }
}

thread_local! {
    /// The packed right matrix of the last matmul on this thread.
    static RIGHT: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
    /// The packed rows of the last task on this thread.
    static LEFT: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
}

/// Packed groups that tasks share. Each task writes elements of its own.
#[derive(Clone, Copy)]
struct SharedGroups(*mut u32);

// SAFETY: dereferencing is unsafe, and whoever does so guarantees that tasks do not overlap.
unsafe impl Sync for SharedGroups {}

impl SharedGroups {
    /// A method, so that a closure captures the struct, which threads may share, and not the pointer.
    fn get(&self) -> *mut u32 {
        self.0
    }
}

/// A right matrix packed once for many matmuls.
pub(crate) struct PackedMatrix {
    groups: Vec<u32>,
    rows: usize,
    columns: usize,
}

impl PackedMatrix {
    /// # Panics
    /// If the processor lacks the instructions.
    pub(crate) fn new(matrix: Matrix<'_>) -> Self {
        let mut groups = vec![0; packed_len(&matrix)];
        pack::<Avx512Bf16>(&matrix, &mut groups, Threads::All);
        Self {
            groups,
            rows: matrix.rows,
            columns: matrix.columns,
        }
    }
}

/// `target = left · right`, or `target += left · right` if the target accumulates, both matrices rounded to `bf16`.
///
/// # Panics
/// If the processor lacks the instructions, the inner dimensions differ or the result reaches outside the target.
pub(crate) fn gemm_bf16(
    target: Target<'_>,
    left: Matrix<'_>,
    right: Matrix<'_>,
    threads: Threads,
    epilogue: Option<Epilogue<'_>>,
) {
    gemm_with::<Avx512Bf16>(target, left, right, threads, epilogue);
}

fn gemm_with<K: Kernel>(
    target: Target<'_>,
    left: Matrix<'_>,
    right: Matrix<'_>,
    threads: Threads,
    epilogue: Option<Epilogue<'_>>,
) {
    assert_shapes(&target, &left, [right.rows, right.columns]);
    with_buffer(&RIGHT, packed_len(&right), |groups| {
        pack::<K>(&right, groups, threads);
        multiply::<K>(target, left, groups, right.columns, threads, epilogue);
    });
}

/// [`gemm_bf16`] on all threads, with a matrix that is packed already.
pub(crate) fn gemm_bf16_packed(
    target: Target<'_>,
    left: Matrix<'_>,
    right: &PackedMatrix,
    epilogue: Option<Epilogue<'_>>,
) {
    assert_shapes(&target, &left, [right.rows, right.columns]);
    let (groups, columns) = (&right.groups, right.columns);
    multiply::<Avx512Bf16>(target, left, groups, columns, Threads::All, epilogue);
}

/// Groups in a block of an inner dimension `k`. Blocks of a small `k` are smaller, so that its panels lie close together.
fn block_depth(k: usize) -> usize {
    k.div_ceil(2).next_multiple_of(LANES).min(DEPTH)
}

fn packed_len(matrix: &Matrix<'_>) -> usize {
    let panels = matrix.columns.div_ceil(COLUMNS);
    matrix.rows.div_ceil(2 * DEPTH) * panels * block_depth(matrix.rows) * COLUMNS
}

/// Packs a right matrix as `[block of k, panel, group, column]`.
fn pack<K: Kernel>(matrix: &Matrix<'_>, groups: &mut [u32], threads: Threads) {
    assert!(K::is_available(), "a processor with the instructions");
    assert_eq!(groups.len(), packed_len(matrix), "the packed matrix");
    let panels = matrix.columns.div_ceil(COLUMNS);
    let size = block_depth(matrix.rows) * COLUMNS;
    let packed = SharedGroups(groups.as_mut_ptr());
    let task = |index: usize| {
        // SAFETY: block and panel lie inside the matrix, and each task writes a panel of its own.
        unsafe {
            let target = packed.get().add(index * size);
            pack_panel::<K>(matrix, index / panels, index % panels, target);
        }
    };
    let tasks = groups.len() / size.max(1);
    match threads {
        Threads::One => (0..tasks).for_each(task),
        Threads::All => for_each(tasks, || (), |(), index| task(index)),
    }
}

/// The matmul with a packed right matrix.
fn multiply<K: Kernel>(
    target: Target<'_>,
    left: Matrix<'_>,
    right: &[u32],
    columns: usize,
    threads: Threads,
    epilogue: Option<Epilogue<'_>>,
) {
    assert!(K::is_available(), "a processor with the instructions");
    let blocks = left.columns.div_ceil(2 * DEPTH);
    let panels = columns.div_ceil(COLUMNS);
    let depth = block_depth(left.columns);
    assert_eq!(right.len(), blocks * panels * depth * COLUMNS);
    let (output, accumulate) = (SharedTarget::new(&target), target.accumulate);
    Tasks::new(left.rows, panels, threads).run(|rows, panels_of_task| {
        let columns_of_task =
            panels_of_task.start * COLUMNS..columns.min(panels_of_task.end * COLUMNS);
        let task = RowTask {
            left: &left,
            first_row: rows.start,
            rows: rows.len(),
            panels: panels_of_task,
            num_panels: panels,
            columns,
            accumulate,
        };
        // SAFETY: the result's elements lie inside the target, and each task has rows or columns of its own. Without an
        // inner dimension nothing else writes them.
        let row_of_task = |row: usize| unsafe { output.row(row, columns_of_task.clone()) };
        if blocks == 0 && !accumulate {
            rows.clone().for_each(|row| row_of_task(row).fill(0.0));
        }
        with_buffer(&LEFT, blocks * TASK_ROWS * DEPTH, |buffer| {
            // SAFETY: the panels are packed, the instructions are there, and the rest as above.
            unsafe {
                task.pack::<K>(blocks, buffer.as_mut_ptr());
                let first = output.at(rows.start);
                task.multiply::<K>(buffer.as_ptr(), right.as_ptr(), first, target.row_stride);
            }
        });
        if let Some(epilogue) = epilogue {
            rows.for_each(|row| epilogue(row, columns_of_task.clone(), row_of_task(row)));
        }
    });
}

/// The product of some rows of the left matrix and some panels of the right one.
struct RowTask<'a> {
    left: &'a Matrix<'a>,
    first_row: usize,
    rows: usize,
    panels: Range<usize>,
    /// Panels of the whole right matrix.
    num_panels: usize,
    /// Columns of the whole right matrix.
    columns: usize,
    /// Adds to the target.
    accumulate: bool,
}

impl RowTask<'_> {
    /// Writes the rows as `[block, TASK_ROWS, DEPTH]`; rows up to a multiple of [`LANES`] are zero.
    ///
    /// # Safety
    /// The processor has the instructions, and `target` has room for `blocks` blocks.
    unsafe fn pack<K: Kernel>(&self, blocks: usize, target: *mut u32) {
        let matrix = self.left;
        for block in 0..blocks {
            let ks = block * 2 * DEPTH..matrix.columns.min((block + 1) * 2 * DEPTH);
            for row in (0..self.rows).step_by(LANES) {
                for k in ks.clone().step_by(2 * LANES) {
                    let source = Block {
                        // SAFETY: row and `k` lie inside the matrix.
                        data: unsafe { matrix.at(self.first_row + row, k) },
                        k_stride: matrix.column_stride,
                        other_stride: matrix.row_stride,
                        ks: (ks.end - k).min(2 * LANES),
                        others: (self.rows - row).min(LANES),
                    };
                    let group = (k - ks.start) / 2;
                    // SAFETY: the block lies inside the matrix, and its copy inside `target`.
                    unsafe {
                        let target = target.add((block * TASK_ROWS + row) * DEPTH + group);
                        K::pack(&source, true, target, DEPTH);
                    }
                }
            }
        }
    }

    /// # Safety
    /// The processor has the instructions, `left` and `right` are packed, and `output` points at the task's first row,
    /// whose elements belong to this task alone.
    unsafe fn multiply<K: Kernel>(
        &self,
        left: *const u32,
        right: *const u32,
        output: *mut f32,
        stride: usize,
    ) {
        let groups = self.left.columns.div_ceil(2);
        let size = block_depth(self.left.columns) * COLUMNS;
        for panel in self.panels.clone() {
            for block in 0..groups.div_ceil(DEPTH) {
                for row in (0..self.rows).step_by(ROWS) {
                    // SAFETY: the offsets lie inside the packed matrices, and the tile inside the task's rows and panels.
                    unsafe {
                        K::multiply(
                            DEPTH.min(groups - block * DEPTH),
                            left.add((block * TASK_ROWS + row) * DEPTH),
                            right.add((block * self.num_panels + panel) * size),
                            Tile {
                                data: output.add(row * stride + panel * COLUMNS),
                                stride,
                                rows: (self.rows - row).min(ROWS),
                                columns: (self.columns - panel * COLUMNS).min(COLUMNS),
                                accumulate: block > 0 || self.accumulate,
                            },
                        );
                    }
                }
            }
        }
    }
}

/// Writes one panel of one block as `[group, column]`; columns that the matrix lacks are unspecified.
///
/// # Safety
/// The processor has the instructions, the panel lies inside the matrix, and `target` has room for it.
unsafe fn pack_panel<K: Kernel>(matrix: &Matrix<'_>, block: usize, panel: usize, target: *mut u32) {
    let ks = block * 2 * DEPTH..matrix.rows.min((block + 1) * 2 * DEPTH);
    let columns = panel * COLUMNS..matrix.columns.min((panel + 1) * COLUMNS);
    for column in columns.clone().step_by(LANES) {
        for k in ks.clone().step_by(2 * LANES) {
            let source = Block {
                // SAFETY: `k` and column lie inside the matrix.
                data: unsafe { matrix.at(k, column) },
                k_stride: matrix.row_stride,
                other_stride: matrix.column_stride,
                ks: (ks.end - k).min(2 * LANES),
                others: (columns.end - column).min(LANES),
            };
            // SAFETY: the block lies inside the matrix, and its copy inside `target`.
            unsafe {
                let target = target.add((k - ks.start) / 2 * COLUMNS + column - columns.start);
                K::pack(&source, false, target, COLUMNS);
            }
        }
    }
}

/// At most 16 groups of `k` of at most 16 rows or columns of a matrix.
struct Block {
    data: *const f32,
    k_stride: usize,
    other_stride: usize,
    /// 1 to 32.
    ks: usize,
    /// 1 to 16.
    others: usize,
}

/// [`Kernel::pack`] of [`Avx512Bf16`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn pack_avx512(block: &Block, along_k: bool, target: *mut u32, stride: usize) {
    let mut vectors = [_mm512_setzero_si512(); LANES];
    let is_along_k = block.k_stride == 1;
    for (index, vector) in vectors.iter_mut().enumerate() {
        // SAFETY: the masks keep reads inside the matrix.
        unsafe {
            if is_along_k && index < block.others {
                let row = block.data.add(index * block.other_stride);
                let low = _mm512_maskz_loadu_ps(mask(block.ks), row);
                let high = mask(block.ks.saturating_sub(LANES));
                let high = _mm512_maskz_loadu_ps(high, row.wrapping_add(LANES));
                *vector = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
            } else if !is_along_k && 2 * index < block.ks {
                let row = block.data.add(2 * index * block.k_stride);
                let even = _mm512_maskz_loadu_ps(mask(block.others), row);
                let others = if 2 * index + 1 < block.ks {
                    block.others
                } else {
                    0
                };
                let odd = _mm512_maskz_loadu_ps(mask(others), row.wrapping_add(block.k_stride));
                *vector = groups(even, odd);
            }
        }
    }
    if is_along_k != along_k {
        vectors = transpose(vectors);
    }
    for (index, vector) in vectors.into_iter().enumerate() {
        // SAFETY: `target` has room.
        unsafe { _mm512_storeu_si512(target.add(index * stride).cast(), vector) };
    }
}

/// The first `n` lanes, all of them from 16 on.
fn mask(n: usize) -> __mmask16 {
    if n >= LANES { !0 } else { (1 << n) - 1 }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn groups(even: __m512, odd: __m512) -> __m512i {
    let [even, odd] = [even, odd].map(|numbers| {
        // SAFETY: both types are 256 bits.
        let halves =
            unsafe { std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(numbers)) };
        _mm512_cvtepu16_epi32(halves)
    });
    _mm512_or_si512(even, _mm512_slli_epi32::<16>(odd))
}

/// Of a 16 x 16 matrix.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    // Pairs of rows, then fours: `fours[4 i + c]` holds column `c + 4 j` of rows `4 i` to `4 i + 3` in its lane `j` of 128 bits.
    let (mut pairs, mut fours, mut columns) = (rows, rows, rows);
    for i in (0..LANES).step_by(2) {
        pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    for i in (0..LANES).step_by(4) {
        for j in 0..2 {
            fours[i + 2 * j] = _mm512_unpacklo_epi64(pairs[i + j], pairs[i + j + 2]);
            fours[i + 2 * j + 1] = _mm512_unpackhi_epi64(pairs[i + j], pairs[i + j + 2]);
        }
    }
    for c in 0..4 {
        let even = |x, y| _mm512_shuffle_i32x4::<0b10_00_10_00>(x, y);
        let odd = |x, y| _mm512_shuffle_i32x4::<0b11_01_11_01>(x, y);
        let (upper, lower) = ((fours[c], fours[4 + c]), (fours[8 + c], fours[12 + c]));
        let (evens, odds) = (
            (even(upper.0, upper.1), even(lower.0, lower.1)),
            (odd(upper.0, upper.1), odd(lower.0, lower.1)),
        );
        columns[c] = even(evens.0, evens.1);
        columns[4 + c] = even(odds.0, odds.1);
        columns[8 + c] = odd(evens.0, evens.1);
        columns[12 + c] = odd(odds.0, odds.1);
    }
    columns
}

/// A part of the result.
struct Tile {
    data: *mut f32,
    stride: usize,
    /// At most [`ROWS`].
    rows: usize,
    /// At most [`COLUMNS`].
    columns: usize,
    /// Adds to what is there.
    accumulate: bool,
}

/// [`Kernel::multiply`] of [`Avx512Bf16`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn multiply_avx512(depth: usize, left: *const u32, right: *const u32, tile: Tile) {
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    for k in 0..depth {
        // SAFETY: `k` is below the packed depth; both types of a transmute are 512 bits.
        unsafe {
            let right = [0, LANES].map(|column| {
                let groups = _mm512_loadu_si512(right.add(k * COLUMNS + column).cast());
                std::mem::transmute::<__m512i, __m512bh>(groups)
            });
            for (row, sums) in sums.iter_mut().enumerate() {
                let group = _mm512_set1_epi32((*left.add(row * DEPTH + k)).cast_signed());
                let group = std::mem::transmute::<__m512i, __m512bh>(group);
                sums[0] = _mm512_dpbf16_ps(sums[0], group, right[0]);
                sums[1] = _mm512_dpbf16_ps(sums[1], group, right[1]);
            }
        }
    }
    let masks = [mask(tile.columns), mask(tile.columns.saturating_sub(LANES))];
    // A constant number of rows keeps the sums in registers.
    for (row, sums) in sums.iter().enumerate() {
        if row < tile.rows {
            for (half, sum) in sums.iter().enumerate() {
                // SAFETY: the masks keep reads and writes inside the tile.
                unsafe {
                    let target = tile.data.wrapping_add(row * tile.stride + half * LANES);
                    let mut sum = *sum;
                    if tile.accumulate {
                        sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(masks[half], target));
                    }
                    _mm512_mask_storeu_ps(target, masks[half], sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gemm::gemm;

    fn rounded(x: f32) -> f32 {
        let bits = x.to_bits();
        f32::from_bits((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF_0000)
    }

    /// What the instructions do, in plain Rust.
    struct Scalar;

    impl Kernel for Scalar {
        fn is_available() -> bool {
            true
        }

        unsafe fn pack(block: &Block, along_k: bool, target: *mut u32, stride: usize) {
            let half = |k: usize, other: usize| {
                if k >= block.ks || other >= block.others {
                    return 0;
                }
                // SAFETY: the block lies inside its matrix.
                let number = unsafe {
                    *block
                        .data
                        .add(k * block.k_stride + other * block.other_stride)
                };
                rounded(number).to_bits() >> 16
            };
            for other in 0..LANES {
                for group in 0..LANES {
                    let (vector, lane) = if along_k {
                        (other, group)
                    } else {
                        (group, other)
                    };
                    let bits = half(2 * group, other) | half(2 * group + 1, other) << 16;
                    // SAFETY: `target` has room.
                    unsafe { *target.add(vector * stride + lane) = bits };
                }
            }
        }

        unsafe fn multiply(depth: usize, left: *const u32, right: *const u32, tile: Tile) {
            let numbers = |bits: u32| [bits << 16, bits & 0xFFFF_0000].map(f32::from_bits);
            for row in 0..tile.rows {
                for column in 0..tile.columns {
                    // SAFETY: as the caller guarantees.
                    unsafe {
                        let target = tile.data.add(row * tile.stride + column);
                        let mut sum = if tile.accumulate { *target } else { 0.0 };
                        for k in 0..depth {
                            let left = numbers(*left.add(row * DEPTH + k));
                            let right = numbers(*right.add(k * COLUMNS + column));
                            sum += left[0] * right[0] + left[1] * right[1];
                        }
                        *target = sum;
                    }
                }
            }
        }
    }

    fn numbers(seed: f32, len: usize) -> Vec<f32> {
        (0..len).map(|i| (i as f32 * 0.7 + seed).sin()).collect()
    }

    /// The largest difference of a kernel and the `f32` matmul of `left` and `right` mapped by `round`.
    fn distance<K: Kernel>(
        [rows, columns, depth]: [usize; 3],
        transposed: [bool; 2],
        threads: Threads,
        round: fn(f32) -> f32,
    ) -> f32 {
        let (left, right) = (numbers(0.0, rows * depth), numbers(1.0, depth * columns));
        let product = |left: &[f32], right: &[f32], is_bf16: bool| {
            let left = if transposed[0] {
                Matrix::new(left, depth, rows, rows).transposed()
            } else {
                Matrix::new(left, rows, depth, depth)
            };
            let right = if transposed[1] {
                Matrix::new(right, columns, depth, depth).transposed()
            } else {
                Matrix::new(right, depth, columns, columns)
            };
            // A gap between the rows must stay as it is.
            let mut result = vec![7.0; rows * (columns + 3)];
            let target = Target::new(&mut result, columns + 3);
            if is_bf16 {
                gemm_with::<K>(target, left, right, threads, None);
            } else {
                gemm(target, left, right, threads);
            }
            assert!(
                result
                    .chunks(columns + 3)
                    .all(|row| row[columns..] == [7.0; 3])
            );
            result
        };
        let bf16 = product(&left, &right, true);
        let [left, right] =
            [left, right].map(|values| values.into_iter().map(round).collect::<Vec<_>>());
        let exact = product(&left, &right, false);
        bf16.iter()
            .zip(exact)
            .map(|(x, y)| (x - y).abs())
            .fold(0.0, f32::max)
    }

    fn check<K: Kernel>() {
        let shapes = [
            [1, 1, 1],
            [5, 3, 7],
            [12, 32, 384],
            [100, 45, 33],
            [13, 64, 401],
            [100, 33, 769],
            [97, 200, 2],
        ];
        for shape in shapes {
            for transposed in [[false, false], [true, false], [false, true], [true, true]] {
                for threads in [Threads::One, Threads::All] {
                    // Sums of products below 1, in another order.
                    let difference = distance::<K>(shape, transposed, threads, rounded);
                    let tolerance = 1e-6 * shape[2].max(20) as f32;
                    assert!(
                        difference < tolerance,
                        "{shape:?} {transposed:?}: {difference}"
                    );
                }
            }
        }
        let unrounded = distance::<K>([100, 45, 33], [false, false], Threads::All, |x| x);
        assert!(
            unrounded > 1e-3,
            "the comparison must see the rounding: {unrounded}"
        );
        // Without an inner dimension.
        let zeros = distance::<K>([3, 4, 0], [false, false], Threads::All, rounded);
        assert_eq!(zeros, 0.0);
    }

    #[test]
    fn equals_the_f32_matmul_of_rounded_matrices() {
        if is_available() {
            check::<Avx512Bf16>();
        }
        assert_eq!(is_available(), crate::Precision::Bf16.is_available());
    }

    #[test]
    fn packing_and_loops_are_right_without_the_instructions() {
        check::<Scalar>();
    }
}
