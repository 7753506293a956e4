//! The one door to the `gemm` crate, whose functions take raw pointers.
#![allow(unsafe_code)]

use std::marker::PhantomData;

use gemm::Parallelism;

use super::workers::SharedBuffer;

/// A strided `f32` matrix inside a slice.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    data: *const f32,
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
    lifetime: PhantomData<&'a [f32]>,
}

impl<'a> Matrix<'a> {
    /// `rows × columns` in row-major order, a new row every `row_stride` numbers.
    ///
    /// # Panics
    /// If the slice is too short for it.
    pub(super) fn new(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
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

    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

fn fits(len: usize, rows: usize, columns: usize, row_stride: usize) -> bool {
    columns <= row_stride && (rows == 0 || columns == 0 || (rows - 1) * row_stride + columns <= len)
}

/// Where a product goes: rows of `columns` numbers, a new one every `row_stride`.
pub(super) struct Target<'a> {
    data: *mut f32,
    row_stride: usize,
    lifetime: PhantomData<&'a mut [f32]>,
    len: usize,
}

impl<'a> Target<'a> {
    pub(super) fn new(data: &'a mut [f32], row_stride: usize) -> Self {
        let len = data.len();
        Self {
            data: data.as_mut_ptr(),
            row_stride,
            lifetime: PhantomData,
            len,
        }
    }
}

impl SharedBuffer<'_> {
    /// The part that begins at `offset`.
    ///
    /// # Safety
    /// While the target lives, no other thread may read or write the elements that a product into
    /// it touches: `columns` numbers of each of its rows.
    pub(super) unsafe fn target(&self, offset: usize, row_stride: usize) -> Target<'_> {
        assert!(offset <= self.len, "target outside its buffer");
        Target {
            // SAFETY: within or one past the end of the allocation, by the assertion.
            data: unsafe { self.data.add(offset) },
            row_stride,
            lifetime: PhantomData,
            len: self.len - offset,
        }
    }
}

/// Whether a product may use all threads; inside a task of ours it may not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Threads {
    One,
    All,
}

/// `target = left · right`, or `target += left · right` with `add`.
///
/// # Panics
/// If the shapes do not fit.
pub(super) fn multiply(
    target: Target<'_>,
    add: bool,
    left: Matrix<'_>,
    right: Matrix<'_>,
    threads: Threads,
) {
    assert_eq!(left.columns, right.rows, "inner dimensions");
    assert!(
        fits(target.len, left.rows, right.columns, target.row_stride),
        "product outside its target"
    );
    let parallelism = match threads {
        Threads::One => Parallelism::None,
        Threads::All => Parallelism::Rayon(0),
    };
    // SAFETY: `Matrix::new` and the assertions above checked that every element addressed lies
    // inside its slice, and `Target` holds its elements exclusively, so nothing overlaps.
    unsafe {
        gemm::gemm(
            left.rows,
            right.columns,
            left.columns,
            target.data,
            1,
            target.row_stride as isize,
            add,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplies_strided_and_transposed_matrices() {
        // 2 × 3 inside rows of 4, times the transpose of a 2 × 3.
        let left = [1.0, 2.0, 3.0, 9.0, 4.0, 5.0, 6.0, 9.0];
        let right = [1.0, 0.0, 2.0, 0.0, 1.0, 1.0];
        let (left, right) = (Matrix::new(&left, 2, 3, 4), Matrix::new(&right, 2, 3, 3));
        let mut out = vec![10.0; 6];
        multiply(
            Target::new(&mut out, 3),
            false,
            left,
            right.transposed(),
            Threads::One,
        );
        assert_eq!(out, [7.0, 5.0, 10.0, 16.0, 11.0, 10.0]);
        multiply(
            Target::new(&mut out, 3),
            true,
            left,
            right.transposed(),
            Threads::All,
        );
        assert_eq!(out, [14.0, 10.0, 10.0, 32.0, 22.0, 10.0]);
    }

    #[test]
    #[should_panic(expected = "matrix outside its slice")]
    fn refuses_a_matrix_outside_its_slice() {
        Matrix::new(&[0.0; 7], 2, 4, 4);
    }
}
