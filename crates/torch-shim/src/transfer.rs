//! Copies between host and GPU for which the host does not wait, and copies of many tensors at once.

use std::ffi::{c_char, c_void};

use tch::{Device, TchError, Tensor};
use torch_sys::C_tensor;

use crate::error::check;

unsafe extern "C" {
    fn shim_foreach_copy(
        count: usize,
        targets: *const *const C_tensor,
        sources: *const *const C_tensor,
    ) -> *mut c_char;
    fn shim_upload(out: *mut *mut C_tensor, host: *const C_tensor, gpu: i64) -> *mut c_char;
    fn shim_start_download(
        out: *mut *mut C_tensor,
        event: *mut *mut c_void,
        tensor: *const C_tensor,
    ) -> *mut c_char;
    fn shim_synchronize_event(event: *const c_void) -> *mut c_char;
    fn shim_free_event(event: *mut c_void);
}

/// A copy of a host tensor on a device. The host does not wait for it: to a GPU it goes through pinned memory.
///
/// # Errors
/// Those of libtorch, if the device is missing or its memory is used up.
pub fn upload(host: &Tensor, device: Device) -> Result<Tensor, TchError> {
    let Device::Cuda(gpu) = device else {
        return host.f_to_device(device);
    };
    let mut out = std::ptr::null_mut();
    // SAFETY: a live tensor; on success the result is a new tensor, which the caller owns.
    unsafe {
        check(shim_upload(&raw mut out, host.as_ptr(), gpu as i64))?;
        Ok(Tensor::from_ptr(out))
    }
}

/// `at::_foreach_copy_`: writes each source to the target at its place, converted to the target's type. On a GPU this is one
/// operation, if all targets have one type, all sources have one type, and the strides of each pair are equal.
///
/// # Errors
/// Those of libtorch, if shapes or devices do not fit.
///
/// # Panics
/// If the lists are not equally long.
pub fn foreach_copy(targets: &[&Tensor], sources: &[&Tensor]) -> Result<(), TchError> {
    assert_eq!(targets.len(), sources.len(), "targets and sources");
    let pointers =
        |tensors: &[&Tensor]| -> Vec<_> { tensors.iter().map(|tensor| tensor.as_ptr()).collect() };
    let (targets, sources) = (pointers(targets), pointers(sources));
    // SAFETY: live tensors in lists of equal length, which the call does not keep.
    check(unsafe { shim_foreach_copy(targets.len(), targets.as_ptr(), sources.as_ptr()) })
}

/// A copy of a tensor to host memory, which runs while the host and later kernels go on.
#[derive(Debug)]
pub struct Download {
    host: Tensor,
    event: Option<Event>,
}

impl Download {
    /// Starts the copy. On the CPU it is done at once.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn start(tensor: &Tensor) -> Result<Self, TchError> {
        if tensor.device() == Device::Cpu {
            let host = tensor.copy();
            return Ok(Self { host, event: None });
        }
        let (mut out, mut event) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: a live tensor; on success both results are new, and the caller owns them.
        unsafe {
            check(shim_start_download(
                &raw mut out,
                &raw mut event,
                tensor.as_ptr(),
            ))?;
            Ok(Self {
                host: Tensor::from_ptr(out),
                event: Some(Event(event)),
            })
        }
    }

    /// Waits for the copy, and for the kernels before it on the stream.
    ///
    /// # Errors
    /// Those of kernels that have failed.
    pub fn wait(self) -> Result<Tensor, TchError> {
        if let Some(event) = &self.event {
            // SAFETY: a live event.
            check(unsafe { shim_synchronize_event(event.0) })?;
        }
        Ok(self.host)
    }
}

/// A `c10::Event`.
#[derive(Debug)]
struct Event(*mut c_void);

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the only owner of a live event.
        unsafe { shim_free_event(self.0) }
    }
}

// SAFETY: an event may be used on any thread, by one at a time.
unsafe impl Send for Event {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_many_tensors_have_the_types_of_their_targets() {
        let sources = [
            Tensor::from_slice(&[1.5f32, -2.0]),
            Tensor::from_slice(&[0.25f32]),
        ];
        let targets = sources
            .each_ref()
            .map(|source| source.empty_like().to_kind(tch::Kind::BFloat16));
        foreach_copy(&targets.each_ref(), &sources.each_ref()).unwrap();
        for (target, source) in targets.iter().zip(&sources) {
            assert_eq!(target, &source.to_kind(tch::Kind::BFloat16));
        }
        // One number would be broadcast to two.
        foreach_copy(&[&targets[1]], &[&sources[0]]).unwrap_err();
    }

    #[test]
    fn a_tensor_in_host_memory_comes_back_unchanged_by_later_writes() {
        let mut tensor = upload(&Tensor::from_slice(&[1.5f32, -2.0]), Device::Cpu).unwrap();
        let download = Download::start(&tensor).unwrap();
        let _ = tensor.fill_(7.0);
        assert_eq!(
            download.wait().unwrap(),
            Tensor::from_slice(&[1.5f32, -2.0])
        );
    }
}
