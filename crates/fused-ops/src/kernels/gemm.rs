//! A safe wrapper of the `gemm` crate, whose function takes raw pointers.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;

use gemm::Parallelism;

use super::parallel::SharedBuffer;
use crate::precision::Precision;

/// A strided `f32` matrix inside a slice.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: *const f32,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
    lifetime: PhantomData<&'a [f32]>,
}

impl<'a> Matrix<'a> {
    /// `[rows, columns]` in row-major order; a row starts every `row_stride` elements.
    ///
    /// # Panics
    /// If the matrix reaches outside the slice.
    pub(crate) fn new(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(
            fits(data.len(), rows, columns, row_stride),
            "matrix outside its slice"
        );
        Self {
            data: data.as_ptr(),
            rows,
            columns,
            row_stride,
            column_stride: 1,
            lifetime: PhantomData,
        }
    }

    /// # Safety
    /// Row and column lie inside the matrix.
    pub(super) unsafe fn at(&self, row: usize, column: usize) -> *const f32 {
        // SAFETY: by `new`, every element of the matrix lies inside its slice.
        unsafe {
            self.data
                .add(row * self.row_stride + column * self.column_stride)
        }
    }

    /// Some of the rows.
    ///
    /// # Panics
    /// If the matrix has fewer.
    pub(crate) fn rows(self, rows: Range<usize>) -> Self {
        assert!(
            rows.start <= rows.end && rows.end <= self.rows,
            "rows outside their matrix"
        );
        // SAFETY: every element of the range lies inside the matrix; no rows, no offset.
        let data = match rows.len() {
            0 => self.data,
            _ => unsafe { self.data.add(rows.start * self.row_stride) },
        };
        Self {
            data,
            rows: rows.len(),
            ..self
        }
    }

    /// The transpose, without a copy.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// Whether a matrix lies inside a slice of `len` elements and its rows do not overlap.
fn fits(len: usize, rows: usize, columns: usize, row_stride: usize) -> bool {
    if rows == 0 || columns == 0 {
        return columns <= row_stride;
    }
    let end = (rows - 1)
        .checked_mul(row_stride)
        .and_then(|start| start.checked_add(columns));
    columns <= row_stride && end.is_some_and(|end| end <= len)
}

/// Where a matmul writes: a row starts every `row_stride` elements.
pub(crate) struct Target<'a> {
    pub(super) data: *mut f32,
    pub(super) row_stride: usize,
    lifetime: PhantomData<&'a mut [f32]>,
    len: usize,
    pub(super) accumulate: bool,
}

impl<'a> Target<'a> {
    /// A target that begins with the slice.
    pub(crate) fn new(data: &'a mut [f32], row_stride: usize) -> Self {
        let len = data.len();
        Self {
            data: data.as_mut_ptr(),
            row_stride,
            lifetime: PhantomData,
            len,
            accumulate: false,
        }
    }

    /// A target to which the product is added.
    pub(crate) fn accumulate(self, accumulate: bool) -> Self {
        Self { accumulate, ..self }
    }
}

impl SharedBuffer<'_> {
    /// A target that begins at `offset`.
    ///
    /// # Safety
    /// While the target lives, nothing else may read or write the elements that a matmul into it writes.
    pub(crate) unsafe fn target(&self, offset: usize, row_stride: usize) -> Target<'_> {
        assert!(offset <= self.len, "target outside its buffer");
        Target {
            // SAFETY: the assertion keeps the pointer inside the allocation or one past its end.
            data: unsafe { self.data.add(offset) },
            row_stride,
            lifetime: PhantomData,
            len: self.len - offset,
            accumulate: false,
        }
    }
}

// SAFETY: a matrix is a shared borrow of its slice.
unsafe impl Sync for Matrix<'_> {}

/// Threads of one matmul: `One` inside a task of [`super::parallel`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    One,
    All,
}

/// # Panics
/// If the inner dimensions differ or the result reaches outside the target.
pub(super) fn assert_shapes(target: &Target<'_>, left: &Matrix<'_>, [rows, columns]: [usize; 2]) {
    assert_eq!(left.columns, rows, "inner dimensions");
    assert!(
        fits(target.len, left.rows, columns, target.row_stride),
        "matmul outside its target"
    );
}

/// [`gemm`] in a precision; in `f32` where the processor lacks the instructions, and in place of `int8`, which has weights
/// alone.
pub(crate) fn gemm_in(
    precision: Precision,
    target: Target<'_>,
    left: Matrix<'_>,
    right: Matrix<'_>,
    threads: Threads,
) {
    match precision {
        #[cfg(target_arch = "x86_64")]
        Precision::Bf16 if super::bf16_gemm::is_available() => {
            super::bf16_gemm::gemm_bf16(target, left, right, threads, None);
        }
        _ => gemm(target, left, right, threads),
    }
}

/// `target = left · right`, or `target += left · right` if the target accumulates.
///
/// # Panics
/// If the inner dimensions differ or the result reaches outside the target.
pub(crate) fn gemm(target: Target<'_>, left: Matrix<'_>, right: Matrix<'_>, threads: Threads) {
    assert_shapes(&target, &left, [right.rows, right.columns]);
    let parallelism = match threads {
        Threads::One => Parallelism::None,
        Threads::All => Parallelism::Rayon(0),
    };
    // SAFETY: by `Matrix::new` and the assertions above, every element lies inside its slice. `Target` borrows its
    // elements exclusively, so the inputs do not overlap them.
    unsafe {
        gemm::gemm(
            left.rows,
            right.columns,
            left.columns,
            target.data,
            1,
            target.row_stride as isize,
            target.accumulate,
            left.data,
            left.column_stride as isize,
            left.row_stride as isize,
            right.data,
            right.column_stride as isize,
            right.row_stride as isize,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// Copies numbers to the first column of a target.
///
/// # Panics
/// If the column reaches outside the target.
pub(crate) fn copy_to_column(target: Target<'_>, column: &[f32]) {
    // A matmul with 1 needs no more unsafe code.
    let column = Matrix::new(column, column.len(), 1, 1);
    gemm(target, column, Matrix::new(&[1.0], 1, 1, 1), Threads::One);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_to_column_leaves_other_columns() {
        let mut out = [7.0; 6];
        copy_to_column(Target::new(&mut out[1..], 2), &[1.0, -2.0]);
        assert_eq!(out, [7.0, 1.0, 7.0, -2.0, 7.0, 7.0]);
    }

    #[test]
    fn gemm_takes_strided_and_transposed_matrices() {
        // [2, 3] with rows of 4, times the transpose of [2, 3].
        let left = [1.0, 2.0, 3.0, 9.0, 4.0, 5.0, 6.0, 9.0];
        let right = [1.0, 0.0, 2.0, 0.0, 1.0, 1.0];
        let (left, right) = (Matrix::new(&left, 2, 3, 4), Matrix::new(&right, 2, 3, 3));
        for threads in [Threads::One, Threads::All] {
            let mut out = vec![10.0; 6];
            gemm(Target::new(&mut out, 3), left, right.transposed(), threads);
            assert_eq!(out, [7.0, 5.0, 10.0, 16.0, 11.0, 10.0]);
        }
    }

    #[test]
    fn gemm_adds_some_rows_to_its_target() {
        let (left, right) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 0.0, 2.0, 1.0]);
        let left = Matrix::new(&left, 3, 2, 2).rows(1..3);
        let mut out = [10.0; 4];
        let target = Target::new(&mut out, 2).accumulate(true);
        gemm(target, left, Matrix::new(&right, 2, 2, 2), Threads::One);
        assert_eq!(out, [21.0, 14.0, 27.0, 16.0]);
    }

    #[test]
    #[should_panic(expected = "rows outside their matrix")]
    fn more_rows_than_a_matrix_has_panic() {
        let _ = Matrix::new(&[0.0; 6], 3, 2, 2).rows(1..4);
    }

    #[test]
    #[should_panic(expected = "matrix outside its slice")]
    fn a_matrix_longer_than_its_slice_panics() {
        Matrix::new(&[0.0; 7], 2, 4, 4);
    }

    #[test]
    #[should_panic(expected = "matrix outside its slice")]
    fn a_matrix_whose_size_overflows_panics() {
        Matrix::new(&[0.0; 7], usize::MAX / 2, 4, 4);
    }
}
