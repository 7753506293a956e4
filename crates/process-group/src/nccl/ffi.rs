//! The edge to NCCL 2.27 and the CUDA runtime 12: the few functions that are needed, declared by hand.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;

use super::buffer::DeviceBuffer;
use crate::{Collective, Error};

/// The name by which ranks find each other.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct UniqueId([u8; ID]);

const ID: usize = 128;
const SUM: c_int = 0;
const IN_PROGRESS: c_int = 7;
const DISABLE_TIMING: c_uint = 2;
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
    fn cudaEventCreateWithFlags(event: *mut *mut c_void, flags: c_uint) -> c_int;
    fn cudaEventRecord(event: *mut c_void, stream: *mut c_void) -> c_int;
    fn cudaEventQuery(event: *mut c_void) -> c_int;
    fn cudaEventDestroy(event: *mut c_void) -> c_int;
    fn cudaGetErrorString(code: c_int) -> *const c_char;
}

impl UniqueId {
    pub(super) fn new() -> Result<Self, Error> {
        let mut id = Self([0; ID]);
        // SAFETY: the pointer is to a live id.
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

/// NCCL's handle of the group; aborted when dropped, which ends kernels that wait for other ranks and waits for
/// none itself.
pub(super) struct Communicator(*mut c_void);

// SAFETY: NCCL lets a communicator be used from any thread, from one at a time; `NcclGroup` has it
// behind a mutex.
unsafe impl Send for Communicator {}

impl Communicator {
    /// Waits for all ranks.
    pub(super) fn new(id: UniqueId, rank: usize, ranks: usize) -> Result<Self, Error> {
        let mut comm = ptr::null_mut();
        let (rank, ranks) = (int(rank)?, int(ranks)?);
        // SAFETY: the pointer is to a live variable.
        nccl("ncclCommInitRank", unsafe {
            ncclCommInitRank(&mut comm, ranks, id, rank)
        })?;
        Ok(Self(comm))
    }

    /// Puts a collective on the buffer's stream. `part` is the length of each rank's part.
    pub(super) fn enqueue(
        &self,
        collective: Collective,
        rank: usize,
        part: usize,
        buffer: &DeviceBuffer,
    ) -> Result<(), Error> {
        let DeviceBuffer {
            pointer,
            len,
            datatype,
            stream,
        } = *buffer;
        let (comm, datatype_code) = (self.0, datatype.code());
        let own = pointer.wrapping_byte_add(rank * part * datatype.size());
        // SAFETY: whoever made the buffer has promised `len` elements at `pointer`, free for this until
        // the stream is past it, and a stream that lives. A part lies within: `part` times the number
        // of ranks is `len` where there are parts. In place is what NCCL calls these pointers.
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
                ncclAllGather(own, pointer, part, datatype_code, comm, stream)
            }),
            Collective::ReduceScatter => nccl("ncclReduceScatter", unsafe {
                ncclReduceScatter(pointer, own, part, datatype_code, SUM, comm, stream)
            }),
        }
    }

    /// What went wrong since, such as a connection that another rank closed.
    pub(super) fn health(&self) -> Result<(), Error> {
        let mut error = 0;
        // SAFETY: a communicator that lives, and a live variable.
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
        // SAFETY: a communicator that lives and is not used again. That it may fail is of no account any more.
        unsafe { ncclCommAbort(self.0) };
    }
}

/// A place in a stream.
pub(super) struct Event(*mut c_void);

// SAFETY: CUDA's events may be used from any thread, and from several at once.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    /// After what is on the buffer's stream.
    pub(super) fn after(buffer: &DeviceBuffer) -> Result<Self, Error> {
        let mut event = ptr::null_mut();
        // SAFETY: the pointer is to a live variable.
        let code = unsafe { cudaEventCreateWithFlags(&mut event, DISABLE_TIMING) };
        cuda("cudaEventCreateWithFlags", code)?;
        let event = Self(event);
        // SAFETY: an event that lives, and a stream that lives as its buffer's maker has promised.
        cuda("cudaEventRecord", unsafe {
            cudaEventRecord(event.0, buffer.stream)
        })?;
        Ok(event)
    }

    pub(super) fn is_past(&self) -> Result<bool, Error> {
        // SAFETY: an event that lives.
        match unsafe { cudaEventQuery(self.0) } {
            NOT_READY => Ok(false),
            code => cuda("cudaEventQuery", code).map(|()| true),
        }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: an event that lives and is not used again.
        unsafe { cudaEventDestroy(self.0) };
    }
}

/// Makes this the device of the calling thread.
pub(super) fn set_device(device: usize) -> Result<(), Error> {
    let device = int(device)?;
    // SAFETY: has no condition.
    cuda("cudaSetDevice", unsafe { cudaSetDevice(device) })
}

fn nccl(call: &'static str, code: c_int) -> Result<(), Error> {
    // SAFETY: NCCL gives a static text for every number, and one of what it noted last, which it looks for in
    // no communicator.
    check(call, code, || unsafe {
        let [what, why] = [ncclGetErrorString(code), ncclGetLastError(ptr::null_mut())].map(text);
        match why.lines().map(str::trim).rfind(|line| !line.is_empty()) {
            Some(why) => format!("{what}: {why}"),
            None => what,
        }
    })
}

fn cuda(call: &'static str, code: c_int) -> Result<(), Error> {
    // SAFETY: CUDA gives a static text for every number.
    check(call, code, || unsafe { text(cudaGetErrorString(code)) })
}

fn check(call: &'static str, code: c_int, message: impl FnOnce() -> String) -> Result<(), Error> {
    match code {
        0 => Ok(()),
        _ => Err(Error::Nccl {
            call,
            message: message(),
        }),
    }
}

/// A text of the libraries: ends with a zero and stays.
fn text(text: *const c_char) -> String {
    // SAFETY: as said.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}

fn int(number: usize) -> Result<c_int, Error> {
    c_int::try_from(number).map_err(|_| Error::TooLong { len: number })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rank that cannot be; where there is no GPU, that comes first.
    #[test]
    fn what_nccl_noted_is_told_in_one_line() {
        let error = Communicator::new(UniqueId([1; ID]), 5, 2).err().unwrap();
        let line = error.to_string();
        assert!(line.starts_with("ncclCommInitRank: "), "{line}");
        assert!(
            !line.contains('\n') && line.matches(": ").count() > 1,
            "{line}"
        );
    }
}
