//! Sums, in an order that does not depend on the number of threads.

use pulp::Arch;

use super::parallel::{ROWS_PER_TASK, for_each_chunk};
use super::simd::vectorized;

/// The sum, in 16 lanes: that uses vector registers and loses less to rounding.
#[inline(always)]
pub(crate) fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let chunks = values.chunks_exact(16);
    let tail: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().sum::<f32>() + tail
}

/// The dot product, in 16 lanes.
#[inline(always)]
pub(crate) fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (left_chunks, right_chunks) = (left.chunks_exact(16), right.chunks_exact(16));
    let tails = left_chunks.remainder().iter().zip(right_chunks.remainder());
    let tail: f32 = tails.map(|(a, b)| a * b).sum();
    for (a, b) in left_chunks.zip(right_chunks) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane = a.mul_add(*b, *lane);
        }
    }
    lanes.iter().sum::<f32>() + tail
}

/// The sum of each column of a `[rows, columns]` matrix; `sums` is `[columns]`.
pub(crate) fn column_sums(matrix: &[f32], sums: &mut [f32]) {
    let columns = sums.len();
    let task = ROWS_PER_TASK * columns;
    let mut partial = vec![0.0f32; matrix.len().div_ceil(task.max(1)) * columns];
    for_each_chunk(
        [(&mut partial, columns)],
        || (),
        |(), index, [sums]| {
            let rows = &matrix[index * task..matrix.len().min((index + 1) * task)];
            add_rows(rows, sums);
        },
    );
    sum_rows(&partial, sums);
}

/// The sum of the rows of a matrix, in their order, on this thread; `total` is one row.
pub(crate) fn sum_rows(rows: &[f32], total: &mut [f32]) {
    total.fill(0.0);
    add_rows(rows, total);
}

/// Adds every row of a matrix to `sums`, in their order, on this thread.
pub(crate) fn add_rows(rows: &[f32], sums: &mut [f32]) {
    vectorized(
        Arch::new(),
        #[inline(always)]
        || {
            for row in rows.chunks_exact(sums.len().max(1)) {
                add_to(sums, row);
            }
        },
    );
}

/// Adds a row to `sums`, element by element.
#[inline(always)]
pub(crate) fn add_to(sums: &mut [f32], row: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += value;
    }
}
