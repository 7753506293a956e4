//! The memory of GPUs.

use std::ffi::c_char;

use tch::TchError;

use crate::error::check;

unsafe extern "C" {
    fn shim_use_expandable_segments() -> *mut c_char;
    fn shim_device_memory(device: i64, current: *mut i64, peak: *mut i64) -> *mut c_char;
}

/// Lets libtorch's allocator of GPUs' memory grow its segments, unless `PYTORCH_ALLOC_CONF` or `PYTORCH_CUDA_ALLOC_CONF` is
/// set. To be called before the first tensor on a GPU.
///
/// # Errors
/// Those of libtorch.
pub fn use_expandable_segments() -> Result<(), TchError> {
    // SAFETY: no arguments.
    check(unsafe { shim_use_expandable_segments() })
}

/// Bytes of a GPU's memory that tensors use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Now.
    pub current: u64,
    /// At most since the process began.
    pub peak: u64,
}

/// The figures of libtorch's allocator for a GPU.
///
/// # Errors
/// If there is no such GPU.
pub fn device_memory(device: usize) -> Result<DeviceMemory, TchError> {
    let (mut current, mut peak) = (0, 0);
    // SAFETY: pointers to live variables.
    check(unsafe { shim_device_memory(device as i64, &raw mut current, &raw mut peak) })?;
    Ok(DeviceMemory {
        current: current as u64,
        peak: peak as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocator_takes_its_setting() {
        use_expandable_segments().unwrap();
    }
}
