//! Tasks on rayon's threads, and buffers that several tasks fill at once.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

/// Rows of a matrix that one task takes. Partial sums over rows use this grouping whatever the number of threads, so
/// results do not depend on it.
pub(crate) const ROWS_PER_TASK: usize = 64;

/// Elements of a buffer that one task takes.
pub(crate) const CHUNK: usize = 1 << 14;

/// Calls `task` once with every index below `tasks`, in any order, on the threads of rayon's current pool. Each thread
/// makes its own `scratch`.
pub(crate) fn for_each<S>(
    tasks: usize,
    scratch: impl Fn() -> S + Sync,
    task: impl Fn(&mut S, usize) + Sync,
) {
    let next = AtomicUsize::new(0);
    let threads = rayon::current_num_threads().min(tasks);
    (0..threads).into_par_iter().with_max_len(1).for_each(|_| {
        let mut scratch = scratch();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= tasks {
                break;
            }
            task(&mut scratch, index);
        }
    });
}

/// Splits each buffer into chunks of the length that comes with it, and calls `task` once with every index and the chunks
/// of that index. An empty buffer has no chunk, whatever the length.
///
/// # Panics
/// If the buffers have different numbers of chunks.
pub(crate) fn for_each_chunk<S, const N: usize>(
    buffers: [(&mut [f32], usize); N],
    scratch: impl Fn() -> S + Sync,
    task: impl Fn(&mut S, usize, [&mut [f32]; N]) + Sync,
) {
    let buffers = buffers.map(|(buffer, len)| (buffer, len.max(1)));
    let counts = buffers.each_ref().map(|(b, len)| b.len().div_ceil(*len));
    assert!(
        counts.windows(2).all(|pair| pair[0] == pair[1]),
        "different numbers of chunks"
    );
    let shared = buffers.map(|(buffer, len)| (SharedBuffer::new(buffer), len));
    for_each(counts[0], scratch, |scratch, index| {
        let chunks = shared.each_ref().map(|(buffer, len)| {
            let range = index * len..((index + 1) * len).min(buffer.len);
            // SAFETY: each index goes to one task, once, and chunks do not overlap.
            unsafe { buffer.part(range) }
        });
        task(scratch, index, chunks);
    });
}

/// A buffer that several tasks write at once, each to a part of its own.
pub(crate) struct SharedBuffer<'a> {
    pub(super) data: *mut f32,
    pub(super) len: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: every access is unsafe, and its caller guarantees that parts are disjoint.
unsafe impl Sync for SharedBuffer<'_> {}

impl<'a> SharedBuffer<'a> {
    pub(crate) fn new(data: &'a mut [f32]) -> Self {
        Self {
            data: data.as_mut_ptr(),
            len: data.len(),
            lifetime: PhantomData,
        }
    }

    /// # Safety
    /// While the part lives, nothing else may read or write it.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn part(&self, range: std::ops::Range<usize>) -> &mut [f32] {
        assert!(
            range.start <= range.end && range.end <= self.len,
            "part outside its buffer"
        );
        // SAFETY: the assertion keeps the part inside the buffer; the caller guarantees exclusive access.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(range.start), range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_is_passed_to_one_task_once() {
        let (mut left, mut right) = (vec![0.0; 1003], vec![0.0; 201]);
        for_each_chunk(
            [(&mut left, 5), (&mut right, 1)],
            || (),
            |(), index, [left, right]| {
                left.iter_mut().for_each(|x| *x += index as f32);
                right[0] += 1.0;
            },
        );
        assert!((0..1003).all(|i| left[i] == (i / 5) as f32));
        assert_eq!(right, [1.0; 201]);
    }

    #[test]
    fn an_empty_buffer_has_no_chunk() {
        for len in [0, 4] {
            for_each_chunk([(&mut [], len)], || (), |(), _, _| panic!("a chunk"));
        }
    }

    #[test]
    #[should_panic(expected = "different numbers of chunks")]
    fn buffers_with_different_numbers_of_chunks_panic() {
        let (mut left, mut right) = ([0.0; 4], [0.0; 4]);
        for_each_chunk([(&mut left, 2), (&mut right, 1)], || (), |(), _, _| ());
    }
}
