//! Counts libtorch's operations.

use std::collections::BTreeMap;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};

use tch::TchError;

use crate::error::{check, take};

unsafe extern "C" {
    fn shim_begin_count() -> *mut c_char;
    fn shim_end_count() -> *mut c_char;
}

/// Runs `body` and counts the operations that launch kernels on a GPU, by name, of all threads: an operation that computes
/// or copies counts as one launch, a view or an allocation as none.
///
/// # Errors
/// Those of libtorch.
pub fn count_operations<T>(
    body: impl FnOnce() -> T,
) -> Result<(T, BTreeMap<String, usize>), TchError> {
    static COUNT: Mutex<()> = Mutex::new(());
    let _one_at_a_time = COUNT.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: no arguments.
    check(unsafe { shim_begin_count() })?;
    let result = catch_unwind(AssertUnwindSafe(body));
    // SAFETY: a count has begun.
    let lines = take(unsafe { shim_end_count() }).unwrap_or_default();
    let result = result.unwrap_or_else(|panic| resume_unwind(panic));
    let counts = lines.lines().filter_map(|line| {
        let (name, count) = line.rsplit_once(' ')?;
        Some((name.to_owned(), count.parse().ok()?))
    });
    Ok((result, counts.collect()))
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::count_operations;

    /// Other tests run side by side, so the operations are ones that they do not use.
    #[test]
    fn operations_are_counted_and_views_are_not() {
        let tensor = Tensor::ones([4, 6], (Kind::Float, Device::Cpu));
        let (_, counts) = count_operations(|| {
            let view = tensor.narrow(1, 0, 3).tr();
            [view.tan(), view.tan(), view.native_dropout(0.5, true).0]
        })
        .unwrap();
        assert_eq!(counts.get("aten::tan"), Some(&2), "{counts:?}");
        assert_eq!(counts.get("aten::native_dropout"), Some(&1), "{counts:?}");
        for absent in ["aten::narrow", "aten::t", "aten::bernoulli_", "aten::slice"] {
            assert_eq!(counts.get(absent), None, "{counts:?}");
        }
        let (_, counts) = count_operations(|| ()).unwrap();
        assert_eq!(counts.get("aten::tan"), None, "{counts:?}");
    }

    #[test]
    fn a_count_ends_with_its_closure_even_by_a_panic() {
        let count = || count_operations::<()>(|| panic!("on purpose"));
        assert!(std::panic::catch_unwind(count).is_err());
        let tensor = Tensor::ones([4, 6], (Kind::Float, Device::Cpu));
        let (_, counts) = count_operations(|| tensor.atan()).unwrap();
        assert_eq!(counts.get("aten::atan"), Some(&1), "{counts:?}");
    }
}
