//! Burn panics if libtorch cannot allocate memory. This module makes an error of that panic.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::Error;

/// The beginnings of libtorch's messages about lack of memory, and the ends of their useful parts: from its allocator for
/// tensors, the CUDA runtime and driver (pinned memory, the context, the allocator's segments), cuBLAS, and the allocator of the
/// CPU.
const MESSAGES: [(&str, &str); 5] = [
    ("CUDA out of memory", " is free"),
    ("CUDA error: out of memory", "out of memory"),
    ("CUDA driver error: out of memory", "out of memory"),
    ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED", "ALLOC_FAILED"),
    ("DefaultCPUAllocator: can't allocate memory", " bytes"),
];

/// Runs `work`. Returns a panic for lack of memory as an error; passes other panics on.
pub(super) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).or_else(|payload| match reason(&*payload) {
        Some(reason) => Err(Error::OutOfMemory(reason)),
        None => resume_unwind(payload),
    })
}

/// The useful part of libtorch's message, if a panic is for lack of memory.
pub(super) fn reason(payload: &(dyn Any + Send)) -> Option<String> {
    let message = payload.downcast_ref::<String>().map(String::as_str);
    reason_in(message.or_else(|| payload.downcast_ref::<&str>().copied())?)
}

/// The useful part of a message, if it is about lack of memory.
pub(crate) fn reason_in(message: &str) -> Option<String> {
    let found = |(begin, end): &(&str, &'static str)| Some((message.find(begin)?, *end));
    let (start, end) = MESSAGES.iter().find_map(found)?;
    let message = &message[start..];
    let line = match message.find(end) {
        Some(at) => &message[..at + end.len()],
        None => message.split(['\n', '\\']).next().unwrap_or(message),
    };
    Some(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As an error of the tch crate.
    #[derive(Debug)]
    struct Torch(#[allow(dead_code)] &'static str);

    #[test]
    fn panics_for_lack_of_memory_become_one_line() {
        let of_gpu = "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.10 GiB of which \
                      5.75 MiB is free. Including non-PyTorch memory, this process has 79.09 GiB memory in use.\nException raised";
        let failed = || -> Result<(), Torch> { Err(Torch(of_gpu)) };
        let error = catch(|| failed().unwrap()).unwrap_err();
        let line = error.to_string();
        assert!(line.starts_with("CUDA out of memory. Tried to allocate 20.00 MiB."));
        assert!(
            line.contains("5.75 MiB is free: lower train.per_device_train_batch_size"),
            "{line}"
        );
        assert_eq!((line.lines().count(), error.exit_code()), (1, 2));
        for (message, line) in [
            (
                "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API call",
                "CUDA error: out of memory: ",
            ),
            (
                "CUDA driver error: out of memory\nException raised from map at CUDACachingAllocator.cpp:400",
                "CUDA driver error: out of memory: ",
            ),
            (
                "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
                "CUDA error: CUBLAS_STATUS_ALLOC_FAILED: ",
            ),
            (
                "CUDA out of memory. Tried to allocate more than 1EB memory.\nException raised",
                "CUDA out of memory. Tried to allocate more than 1EB memory.: ",
            ),
        ] {
            let error = catch(|| -> () { panic!("{message}") }).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().starts_with(line), "{error}");
            // Functions that return libtorch's error say the same.
            assert_eq!(Error::device(message).to_string(), error.to_string());
        }
        let of_host = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you \
                       tried to allocate 8000000 bytes. Error code 12 (Cannot allocate memory)";
        let error = catch(|| -> () { panic!("{of_host}") }).unwrap_err();
        let line = error.to_string();
        assert!(line.contains("allocate 8000000 bytes: lower"), "{line}");
    }

    #[test]
    fn other_errors_of_a_device_are_one_line() {
        let error =
            Error::device("CUDA error: an illegal memory access was encountered\nException raised");
        assert_eq!(
            error.to_string(),
            "CUDA error: an illegal memory access was encountered"
        );
    }

    #[test]
    #[should_panic(expected = "something else")]
    fn other_panics_go_on() {
        let _ = catch(|| -> () { panic!("something else") });
    }
}
