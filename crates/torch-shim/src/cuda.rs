use std::ffi::{c_char, c_void};

use tch::TchError;

use crate::error::{check, take};

unsafe extern "C" {
    fn shim_cuda_problem() -> *mut c_char;
    fn shim_current_stream(device: i64, stream: *mut *mut c_void) -> *mut c_char;
}

/// Why no GPU can be used, in CUDA's words (no driver, an old driver, no device); `None` if one can.
pub fn cuda_problem() -> Option<String> {
    // SAFETY: no arguments.
    take(unsafe { shim_cuda_problem() })
}

/// The `cudaStream_t` on which this thread's libtorch kernels for a GPU run.
///
/// # Errors
/// If there is no such GPU.
pub fn current_stream(device: usize) -> Result<*mut c_void, TchError> {
    let mut stream = std::ptr::null_mut();
    // SAFETY: `stream` outlives the call.
    check(unsafe { shim_current_stream(device as i64, &raw mut stream) })?;
    Ok(stream)
}
