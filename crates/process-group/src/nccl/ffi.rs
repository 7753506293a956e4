//! Bindings to NCCL 2.27 and 2.28 and the CUDA runtime 12 and 13, declared by hand: only the functions that are used.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;

use super::buffer::DeviceBuffer;
use crate::{Collective, Error};

/// Rank 0 makes this id and sends it to all; with it the ranks connect.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct UniqueId([u8; ID]);

const ID: usize = 128;
const SUM: c_int = 0;
const IN_PROGRESS: c_int = 7;
const DISABLE_TIMING: c_uint = 2;
const NON_BLOCKING: c_uint = 1;
const NOT_READY: c_int = 600;

unsafe extern "C" {
    fn ncclGetUniqueId(id: *mut UniqueId) -> c_int;
    fn ncclCommInitRank(comm: *mut *mut c_void, ranks: c_int, id: UniqueId, rank: c_int) -> c_int;
    fn ncclCommAbort(comm: *mut c_void) -> c_int;
    fn ncclCommGetAsyncError(comm: *mut c_void, error: *mut c_int) -> c_int;
    fn ncclGetErrorString(code: c_int) -> *const c_char;
    fn ncclGetLastError(comm: *mut c_void) -> *const c_char;
    fn ncclAllReduce(
        input: *const c_void,
        output: *mut c_void,
        count: usize,
        datatype: c_int,
        operation: c_int,
        comm: *mut c_void,
        stream: *mut c_void,
    ) -> c_int;
    fn ncclBroadcast(
        input: *const c_void,
        output: *mut c_void,
        count: usize,
        datatype: c_int,
        root: c_int,
        comm: *mut c_void,
        stream: *mut c_void,
    ) -> c_int;
    fn ncclAllGather(
        input: *const c_void,
        output: *mut c_void,
        count: usize,
        datatype: c_int,
        comm: *mut c_void,
        stream: *mut c_void,
    ) -> c_int;
    fn ncclReduceScatter(
        input: *const c_void,
        output: *mut c_void,
        count: usize,
        datatype: c_int,
        operation: c_int,
        comm: *mut c_void,
        stream: *mut c_void,
    ) -> c_int;

    fn cudaSetDevice(device: c_int) -> c_int;
    fn cudaStreamCreateWithFlags(stream: *mut *mut c_void, flags: c_uint) -> c_int;
    fn cudaStreamWaitEvent(stream: *mut c_void, event: *mut c_void, flags: c_uint) -> c_int;
    fn cudaStreamDestroy(stream: *mut c_void) -> c_int;
    fn cudaEventCreateWithFlags(event: *mut *mut c_void, flags: c_uint) -> c_int;
    fn cudaEventRecord(event: *mut c_void, stream: *mut c_void) -> c_int;
    fn cudaEventQuery(event: *mut c_void) -> c_int;
    fn cudaEventDestroy(event: *mut c_void) -> c_int;
    fn cudaGetErrorString(code: c_int) -> *const c_char;
}

impl UniqueId {
    pub(super) fn new() -> Result<Self, Error> {
        let mut id = Self([0; ID]);
        // SAFETY: the pointer points to a live id.
        nccl("ncclGetUniqueId", unsafe { ncclGetUniqueId(&mut id) })?;
        Ok(id)
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.0.to_vec()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().map(Self).ok()
    }
}

/// An NCCL communicator. Dropping it aborts it: kernels that wait for other ranks end, and the drop itself does not wait.
pub(super) struct Communicator(*mut c_void);

// SAFETY: NCCL allows a communicator to be used from any thread, by one at a time; `NcclGroup` keeps it in a mutex.
unsafe impl Send for Communicator {}

impl Communicator {
    /// Connects to all ranks and waits for them.
    pub(super) fn new(id: UniqueId, rank: usize, ranks: usize) -> Result<Self, Error> {
        let mut comm = ptr::null_mut();
        let (rank, ranks) = (int(rank)?, int(ranks)?);
        // SAFETY: the pointer points to a live variable.
        nccl("ncclCommInitRank", unsafe {
            ncclCommInitRank(&mut comm, ranks, id, rank)
        })?;
        Ok(Self(comm))
    }

    /// Enqueues a collective on the buffer's stream. `shard_len` is the length of each rank's shard.
    pub(super) fn enqueue(
        &self,
        collective: Collective,
        rank: usize,
        shard_len: usize,
        buffer: &DeviceBuffer,
    ) -> Result<(), Error> {
        let DeviceBuffer {
            pointer,
            len,
            datatype,
            stream,
        } = *buffer;
        let (comm, datatype_code) = (self.0, datatype.code());
        let own = pointer.wrapping_byte_add(rank * shard_len * datatype.size());
        // SAFETY: the safety contract of `DeviceBuffer::new` gives `len` elements at `pointer`, which only this stream
        // uses, and a live stream. Shards lie within the buffer: `shard_len` times the number of ranks is `len`. NCCL
        // documents these combinations of pointers as in-place operations.
        match collective {
            Collective::AllReduce => nccl("ncclAllReduce", unsafe {
                ncclAllReduce(pointer, pointer, len, datatype_code, SUM, comm, stream)
            }),
            Collective::Broadcast { root } => {
                let root = int(root)?;
                nccl("ncclBroadcast", unsafe {
                    ncclBroadcast(pointer, pointer, len, datatype_code, root, comm, stream)
                })
            }
            Collective::AllGather => nccl("ncclAllGather", unsafe {
                ncclAllGather(own, pointer, shard_len, datatype_code, comm, stream)
            }),
            Collective::ReduceScatter => nccl("ncclReduceScatter", unsafe {
                ncclReduceScatter(pointer, own, shard_len, datatype_code, SUM, comm, stream)
            }),
        }
    }

    /// Returns errors of enqueued collectives, such as a connection that another rank closed.
    pub(super) fn health(&self) -> Result<(), Error> {
        let mut error = 0;
        // SAFETY: a live communicator, and a pointer to a live variable.
        nccl("ncclCommGetAsyncError", unsafe {
            ncclCommGetAsyncError(self.0, &mut error)
        })?;
        match error {
            IN_PROGRESS => Ok(()),
            error => nccl("NCCL", error),
        }
    }
}

impl Drop for Communicator {
    fn drop(&mut self) {
        // SAFETY: a live communicator that is not used again. Its result does not matter any more.
        unsafe { ncclCommAbort(self.0) };
    }
}

/// A CUDA event: marks a point in a stream.
pub(super) struct Event(*mut c_void);

// SAFETY: CUDA events may be used from any thread, by several at once.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    /// Marks the end of the work that is on the buffer's stream now.
    pub(super) fn after(buffer: &DeviceBuffer) -> Result<Self, Error> {
        // SAFETY: the stream lives by the safety contract of `DeviceBuffer::new`.
        unsafe { Self::on(buffer.stream) }
    }

    /// Marks the end of the work that is on a stream now.
    ///
    /// # Safety
    /// `stream` is a live stream of the thread's current device, or null for the default one.
    pub(super) unsafe fn on(stream: *mut c_void) -> Result<Self, Error> {
        let mut event = ptr::null_mut();
        // SAFETY: the pointer points to a live variable.
        let code = unsafe { cudaEventCreateWithFlags(&mut event, DISABLE_TIMING) };
        cuda("cudaEventCreateWithFlags", code)?;
        let event = Self(event);
        // SAFETY: a live event, and a live stream by the contract above.
        cuda("cudaEventRecord", unsafe {
            cudaEventRecord(event.0, stream)
        })?;
        Ok(event)
    }

    /// Lets later work on a stream wait for this event. The host does not wait.
    ///
    /// # Safety
    /// As [`on`](Self::on).
    #[cfg_attr(not(feature = "tch"), allow(dead_code))]
    pub(super) unsafe fn block(&self, stream: *mut c_void) -> Result<(), Error> {
        // SAFETY: a live event, and a live stream by the contract above.
        cuda("cudaStreamWaitEvent", unsafe {
            cudaStreamWaitEvent(stream, self.0, 0)
        })
    }

    /// Whether the stream has passed the event.
    pub(super) fn is_past(&self) -> Result<bool, Error> {
        // SAFETY: a live event.
        match unsafe { cudaEventQuery(self.0) } {
            NOT_READY => Ok(false),
            code => cuda("cudaEventQuery", code).map(|()| true),
        }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: a live event that is not used again.
        unsafe { cudaEventDestroy(self.0) };
    }
}

/// A CUDA stream of its own, beside the default one.
#[cfg_attr(not(feature = "tch"), allow(dead_code))]
pub(super) struct OwnStream(*mut c_void);

// SAFETY: CUDA streams may be used from any thread, by several at once.
unsafe impl Send for OwnStream {}
// SAFETY: as above.
unsafe impl Sync for OwnStream {}

#[cfg_attr(not(feature = "tch"), allow(dead_code))]
impl OwnStream {
    /// On the thread's current device.
    pub(super) fn new() -> Result<Self, Error> {
        let mut stream = ptr::null_mut();
        // SAFETY: the pointer points to a live variable.
        let code = unsafe { cudaStreamCreateWithFlags(&mut stream, NON_BLOCKING) };
        cuda("cudaStreamCreateWithFlags", code)?;
        Ok(Self(stream))
    }

    /// The `cudaStream_t`.
    pub(super) fn as_ptr(&self) -> *mut c_void {
        self.0
    }
}

impl Drop for OwnStream {
    fn drop(&mut self) {
        // SAFETY: a live stream that is not used again. CUDA frees it when its work has ended.
        unsafe { cudaStreamDestroy(self.0) };
    }
}

/// Sets the current CUDA device of the calling thread.
pub(super) fn set_device(device: usize) -> Result<(), Error> {
    let device = int(device)?;
    // SAFETY: accepts every number.
    cuda("cudaSetDevice", unsafe { cudaSetDevice(device) })
}

fn nccl(call: &'static str, code: c_int) -> Result<(), Error> {
    // SAFETY: NCCL returns static texts: one for each code, and the last error of any communicator, for which null may be
    // passed.
    check(call, code, || unsafe {
        let what = text(ncclGetErrorString(code));
        let why = text(ncclGetLastError(ptr::null_mut()));
        match why.lines().map(str::trim).rfind(|line| !line.is_empty()) {
            Some(last_line) => format!("{what}: {last_line}"),
            None => what,
        }
    })
}

fn cuda(call: &'static str, code: c_int) -> Result<(), Error> {
    // SAFETY: CUDA returns a static text for each code.
    check(call, code, || unsafe { text(cudaGetErrorString(code)) })
}

fn check(call: &'static str, code: c_int, message: impl FnOnce() -> String) -> Result<(), Error> {
    if code == 0 {
        return Ok(());
    }
    let message = message();
    Err(Error::Nccl { call, message })
}

/// A copy of a text of the libraries.
///
/// # Safety
/// `text` points to a static, zero-terminated one.
unsafe fn text(text: *const c_char) -> String {
    // SAFETY: as the caller guarantees.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}

fn int(number: usize) -> Result<c_int, Error> {
    c_int::try_from(number).map_err(|_| Error::TooLong { len: number })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rank 5 of 2 is invalid; without a GPU, NCCL reports that first.
    #[test]
    fn errors_of_nccl_are_one_line_with_the_reason() {
        let error = Communicator::new(UniqueId([1; ID]), 5, 2).err().unwrap();
        let line = error.to_string();
        assert!(line.starts_with("ncclCommInitRank: "), "{line}");
        assert!(
            !line.contains('\n') && line.matches(": ").count() > 1,
            "{line}"
        );
    }
}
