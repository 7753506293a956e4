use std::ffi::c_int;

#[repr(C)]
struct ShimThreads {
    omp: c_int,
    mkl: c_int,
}

unsafe extern "C" {
    fn shim_single_threaded() -> ShimThreads;
    fn shim_restore_threads(before: ShimThreads);
}

/// Runs `body` with libtorch's matmuls on the calling thread alone, whatever `tch::set_num_threads` says: for callers that
/// divide the work among their own threads.
pub fn single_threaded<T>(body: impl FnOnce() -> T) -> T {
    struct Restore(Option<ShimThreads>);
    impl Drop for Restore {
        fn drop(&mut self) {
            if let Some(before) = self.0.take() {
                // SAFETY: the value comes from `shim_single_threaded` on this thread.
                unsafe { shim_restore_threads(before) }
            }
        }
    }
    // SAFETY: no arguments; the call changes settings of this thread alone.
    let _restore = Restore(Some(unsafe { shim_single_threaded() }));
    body()
}

#[cfg(test)]
mod tests {
    #[test]
    fn applies_to_this_thread_and_is_undone_afterwards() {
        tch::set_num_threads(3);
        assert_eq!(tch::get_num_threads(), 3);
        super::single_threaded(|| {
            assert_eq!(tch::get_num_threads(), 1);
            let other = std::thread::spawn(tch::get_num_threads).join();
            assert_eq!(other.unwrap(), 3);
        });
        assert_eq!(tch::get_num_threads(), 3);
    }
}
