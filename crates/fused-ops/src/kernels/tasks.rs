//! How a matmul with packed matrices is cut into tasks, and what its tasks share.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ops::Range;
use std::thread::LocalKey;

use super::gemm::{Target, Threads};
use super::parallel::for_each;

/// The most rows of a task: what it packs and what it writes then stay in the second-level cache.
pub(crate) const TASK_ROWS: usize = 96;
/// Rows of a task are a multiple of this, where the matrix has them: a whole number of tiles of each kernel.
const GRANULE: usize = 12;

/// Runs on a row that is finished, or on the columns of it that one task has: `(row, columns, values)`.
pub(crate) type Epilogue<'a> = &'a (dyn Fn(usize, Range<usize>, &mut [f32]) + Sync);

/// The rows of a matmul, and where these are few its panels too, divided so that no thread waits. No sum depends on the
/// division.
pub(crate) struct Tasks {
    threads: Threads,
    rows: usize,
    rows_per_task: usize,
    panels: usize,
    panels_per_task: usize,
}

impl Tasks {
    pub(crate) fn new(rows: usize, panels: usize, threads: Threads) -> Self {
        let wanted = match threads {
            Threads::One => 1,
            Threads::All if rayon::current_num_threads() == 1 => 1,
            Threads::All => 2 * rayon::current_num_threads(),
        };
        let rows_per_task = rows.div_ceil(wanted).next_multiple_of(GRANULE);
        let rows_per_task = rows_per_task.clamp(GRANULE, TASK_ROWS);
        let splits = wanted.div_ceil(rows.div_ceil(rows_per_task).max(1));
        Self {
            threads,
            rows,
            rows_per_task,
            panels,
            panels_per_task: panels.div_ceil(splits.max(1)).max(1),
        }
    }

    /// Calls `task` with the rows and the panels of each.
    pub(crate) fn run(&self, task: impl Fn(Range<usize>, Range<usize>) + Sync) {
        let row_tasks = self.rows.div_ceil(self.rows_per_task);
        let tasks = row_tasks * self.panels.div_ceil(self.panels_per_task);
        let run = |index: usize| {
            let row = index % row_tasks * self.rows_per_task;
            let panel = index / row_tasks * self.panels_per_task;
            task(
                row..self.rows.min(row + self.rows_per_task),
                panel..self.panels.min(panel + self.panels_per_task),
            );
        };
        match self.threads {
            Threads::One => (0..tasks).for_each(run),
            Threads::All => for_each(tasks, || (), |(), index| run(index)),
        }
    }
}

/// A target whose parts belong to one task each.
pub(crate) struct SharedTarget<'a>(&'a Target<'a>);

// SAFETY: every access is unsafe, and its caller guarantees that parts are disjoint.
unsafe impl Sync for SharedTarget<'_> {}

impl<'a> SharedTarget<'a> {
    pub(crate) fn new(target: &'a Target<'a>) -> Self {
        Self(target)
    }

    /// The first element of a row.
    ///
    /// # Safety
    /// The row lies inside the target.
    pub(crate) unsafe fn at(&self, row: usize) -> *mut f32 {
        // SAFETY: as the caller guarantees.
        unsafe { self.0.data.add(row * self.0.row_stride) }
    }

    /// # Safety
    /// The columns of the row lie inside the target, and nothing else uses them meanwhile.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn row(&self, row: usize, columns: Range<usize>) -> &mut [f32] {
        // SAFETY: as the caller guarantees.
        unsafe { std::slice::from_raw_parts_mut(self.at(row).add(columns.start), columns.len()) }
    }
}

/// Runs `work` with this thread's buffer of at least `len` elements of unspecified contents. New pages would cost as much as
/// packing.
pub(crate) fn with_buffer<T: Copy + Default, R>(
    buffer: &'static LocalKey<Cell<Vec<T>>>,
    len: usize,
    work: impl FnOnce(&mut [T]) -> R,
) -> R {
    let mut elements = buffer.take();
    if elements.len() < len {
        elements.resize(len, T::default());
    }
    let result = work(&mut elements[..len]);
    buffer.set(elements);
    result
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn every_element_belongs_to_one_task() {
        for (rows, panels) in [(0, 3), (3, 0), (1, 1), (1, 7), (170, 12), (1000, 48)] {
            for threads in [Threads::One, Threads::All] {
                let seen = Mutex::new(vec![0; rows * panels]);
                Tasks::new(rows, panels, threads).run(|rows, columns| {
                    assert!(rows.len() <= TASK_ROWS);
                    for row in rows {
                        for column in columns.clone() {
                            seen.lock().unwrap()[row * panels + column] += 1;
                        }
                    }
                });
                assert!(seen.into_inner().unwrap().iter().all(|count| *count == 1));
            }
        }
    }
}
