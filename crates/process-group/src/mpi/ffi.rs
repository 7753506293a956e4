//! Bindings to MPI: nonblocking operations, each with the memory that it reads and writes.
//!
//! All functions are called from the thread that initialised MPI. A [`Request`] cannot be sent to another thread.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int};
use std::marker::PhantomData;

use mpi::ffi;
use mpi::raw::AsRaw;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, Equivalence};

use crate::Error;

/// The memory that MPI reads and writes until an operation completes.
struct Memory<T> {
    input: Vec<T>,
    output: Vec<T>,
    counts: Vec<c_int>,
    offsets: Vec<c_int>,
}

/// A nonblocking operation of MPI.
pub(super) struct Request<T> {
    request: ffi::MPI_Request,
    memory: Option<Memory<T>>,
    /// Makes the type neither `Send` nor `Sync`.
    thread: PhantomData<*const T>,
}

impl<T> Drop for Request<T> {
    /// Leaks the memory of an operation that has not completed, because MPI may still write to it. That happens once in
    /// a process, when a rank is lost.
    fn drop(&mut self) {
        std::mem::forget(self.memory.take());
    }
}

impl<T: Equivalence> Request<T> {
    /// Lets MPI work. Returns the output once, when the operation has completed.
    pub(super) fn test(&mut self) -> Result<Option<Vec<T>>, Error> {
        let mut done = 0;
        // SAFETY: the request comes from MPI, or is null after completion; both pointers point to live variables.
        check(unsafe { ffi::MPI_Test(&mut self.request, &mut done, ffi::RSMPI_STATUS_IGNORE) })?;
        if done == 0 {
            return Ok(None);
        }
        Ok(self.memory.take().map(|memory| memory.output))
    }

    /// `call` starts an operation on the memory, whose vectors stay in place and unchanged until it completes.
    fn start(
        mut memory: Memory<T>,
        call: impl FnOnce(&mut Memory<T>, ffi::MPI_Datatype, *mut ffi::MPI_Request) -> c_int,
    ) -> Result<Self, Error> {
        // SAFETY: reads a constant of the library.
        let mut request = unsafe { ffi::RSMPI_REQUEST_NULL };
        let datatype = T::equivalent_datatype();
        let code = call(&mut memory, datatype.as_raw(), &mut request);
        let (memory, thread) = (Some(memory), PhantomData);
        let started = Self {
            request,
            memory,
            thread,
        };
        check(code).map(|()| started)
    }

    /// Sends a message.
    pub(super) fn send(
        comm: &SimpleCommunicator,
        to: usize,
        message: Vec<T>,
    ) -> Result<Self, Error> {
        let memory = Memory::new(message, Vec::new());
        let (count, to, comm) = (int(memory.input.len())?, int(to)?, comm.as_raw());
        Self::start(memory, |memory, datatype, request| {
            // SAFETY: `input` has `count` elements and lives until the operation completes (see `Request`).
            unsafe {
                ffi::MPI_Isend(
                    memory.input.as_ptr().cast(),
                    count,
                    datatype,
                    to,
                    TAG,
                    comm,
                    request,
                )
            }
        })
    }

    /// Receives a message as long as `room`.
    pub(super) fn receive(
        comm: &SimpleCommunicator,
        from: usize,
        room: Vec<T>,
    ) -> Result<Self, Error> {
        let memory = Memory::new(Vec::new(), room);
        let (count, from, comm) = (int(memory.output.len())?, int(from)?, comm.as_raw());
        Self::start(memory, |memory, datatype, request| {
            // SAFETY: `output` has room for `count` elements and lives until the operation completes.
            unsafe {
                let room = memory.output.as_mut_ptr().cast();
                ffi::MPI_Irecv(room, count, datatype, from, TAG, comm, request)
            }
        })
    }

    /// Sums `input` over all ranks.
    pub(super) fn all_reduce(comm: &SimpleCommunicator, input: Vec<T>) -> Result<Self, Error>
    where
        T: Clone + Default,
    {
        let output = vec![T::default(); input.len()];
        let (count, comm) = (int(input.len())?, comm.as_raw());
        Self::start(Memory::new(input, output), |memory, datatype, request| {
            let (input, output) = memory.pointers();
            // SAFETY: both have `count` elements, do not overlap, and live until the operation completes.
            unsafe {
                ffi::MPI_Iallreduce(
                    input,
                    output,
                    count,
                    datatype,
                    ffi::RSMPI_SUM,
                    comm,
                    request,
                )
            }
        })
    }

    /// Sends `buffer` of `root` to all ranks.
    pub(super) fn broadcast(
        comm: &SimpleCommunicator,
        root: usize,
        buffer: Vec<T>,
    ) -> Result<Self, Error> {
        let (count, root, comm) = (int(buffer.len())?, int(root)?, comm.as_raw());
        let memory = Memory::new(Vec::new(), buffer);
        Self::start(memory, |memory, datatype, request| {
            let (_, buffer) = memory.pointers();
            // SAFETY: `output` has `count` elements and lives until the operation completes.
            unsafe { ffi::MPI_Ibcast(buffer, count, datatype, root, comm, request) }
        })
    }

    /// Gathers every rank's `input`, end to end; `counts` are their lengths.
    pub(super) fn all_gather(
        comm: &SimpleCommunicator,
        input: Vec<T>,
        room: Vec<T>,
        counts: &[usize],
    ) -> Result<Self, Error> {
        let total = counts.iter().sum();
        assert_eq!(
            (room.len(), counts.len()),
            (total, world_size(comm)),
            "`room` must fit `counts`"
        );
        let mut memory = Memory::new(input, room);
        let mut end = 0;
        for len in counts {
            memory.counts.push(int(*len)?);
            memory.offsets.push(int(end)?);
            end += len;
        }
        let (sent, comm) = (int(memory.input.len())?, comm.as_raw());
        Self::start(memory, |memory, datatype, request| {
            let (input, output) = memory.pointers();
            let (counts, offsets) = (memory.counts.as_ptr(), memory.offsets.as_ptr());
            // SAFETY: `input` has `sent` elements; `output` has room for all counts at their offsets;
            // counts and offsets have a number per rank; all four live until the operation completes.
            unsafe {
                ffi::MPI_Iallgatherv(
                    input, sent, datatype, output, counts, offsets, datatype, comm, request,
                )
            }
        })
    }

    /// Sums `input` over all ranks; the output is this rank's shard, of `shard_len` elements.
    pub(super) fn reduce_scatter(
        comm: &SimpleCommunicator,
        input: Vec<T>,
        shard_len: usize,
    ) -> Result<Self, Error>
    where
        T: Clone + Default,
    {
        assert_eq!(
            input.len(),
            shard_len * world_size(comm),
            "one shard per rank"
        );
        let memory = Memory::new(input, vec![T::default(); shard_len]);
        let (count, comm) = (int(shard_len)?, comm.as_raw());
        Self::start(memory, |memory, datatype, request| {
            let (input, output) = memory.pointers();
            // SAFETY: `input` has `count` elements per rank and `output` has `count`; they do not
            // overlap, and live until the operation completes.
            unsafe {
                let sum = ffi::RSMPI_SUM;
                ffi::MPI_Ireduce_scatter_block(input, output, count, datatype, sum, comm, request)
            }
        })
    }
}

impl<T> Memory<T> {
    fn new(input: Vec<T>, output: Vec<T>) -> Self {
        let (counts, offsets) = (Vec::new(), Vec::new());
        Self {
            input,
            output,
            counts,
            offsets,
        }
    }

    fn pointers(&mut self) -> (*const std::ffi::c_void, *mut std::ffi::c_void) {
        (self.input.as_ptr().cast(), self.output.as_mut_ptr().cast())
    }
}

/// Makes MPI return errors of this communicator instead of ending the program.
pub(super) fn return_errors(comm: &SimpleCommunicator) -> Result<(), Error> {
    // SAFETY: a live communicator and a constant of the library.
    check(unsafe { ffi::MPI_Comm_set_errhandler(comm.as_raw(), ffi::RSMPI_ERRORS_RETURN) })
}

/// All messages have the same tag.
const TAG: c_int = 0;

/// The most that `MPI_Error_string` writes in any MPI library.
const LONGEST_MESSAGE: usize = 1024;

fn check(code: c_int) -> Result<(), Error> {
    if code == 0 {
        return Ok(());
    }
    let mut message = vec![0_u8; LONGEST_MESSAGE];
    let mut len: c_int = 0;
    // SAFETY: `message` has room for the longest message.
    let known =
        unsafe { ffi::MPI_Error_string(code, message.as_mut_ptr().cast::<c_char>(), &mut len) };
    message.truncate(usize::try_from(len).unwrap_or(0));
    Err(Error::Mpi(match known {
        0 => String::from_utf8_lossy(&message).into_owned(),
        _ => format!("error {code}"),
    }))
}

/// A length or a rank as MPI takes it.
pub(super) fn int(number: usize) -> Result<c_int, Error> {
    c_int::try_from(number).map_err(|_| Error::TooLong { len: number })
}

fn world_size(comm: &SimpleCommunicator) -> usize {
    usize::try_from(comm.size()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_bytes_than_a_message_can_have_are_an_error() {
        assert_eq!(int(0x7fff_ffff), Ok(i32::MAX));
        let error = int(0x8000_0000).unwrap_err();
        assert!(error.to_string().starts_with("2147483648 bytes"), "{error}");
    }
}
