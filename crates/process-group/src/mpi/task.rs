//! The commands of the progress thread and the collectives that it executes.

use std::sync::mpsc::Sender;

use mpi::topology::SimpleCommunicator;

use super::chunking::Chunked;
use super::descriptor::Descriptor;
use super::ffi::Request;
use crate::{Collective, Error};

pub(super) type Reply<B> = Sender<Result<B, Error>>;

pub(super) enum Command {
    Run(Task),
    Abort(i32),
}

/// A collective with its buffer, and the channel for its result.
pub(super) enum Task {
    Barrier(Reply<()>),
    Bytes(Vec<u8>, Reply<Vec<Vec<u8>>>),
    Numbers(Collective, Vec<f32>, Reply<Vec<f32>>),
}

/// A task that all ranks have begun.
pub(super) enum InFlight {
    Bytes(Request<u8>, Vec<usize>, Reply<Vec<Vec<u8>>>),
    Numbers(Chunked, Reply<Vec<f32>>),
}

impl Task {
    pub(super) fn descriptor(&self) -> Descriptor {
        match self {
            Self::Barrier(_) => Descriptor::barrier(),
            Self::Bytes(bytes, _) => Descriptor::bytes(bytes.len()),
            Self::Numbers(collective, buffer, _) => Descriptor::of(*collective, buffer.len()),
        }
    }

    /// Starts a collective that all ranks have announced, with the lengths of their buffers. Returns `None` if that
    /// completes it: a barrier, or a gather to which no rank brings a byte.
    pub(super) fn start(
        self,
        comm: &SimpleCommunicator,
        rank: usize,
        lens: Vec<usize>,
    ) -> Result<Option<InFlight>, Error> {
        match self {
            Self::Barrier(reply) => send(&reply, Ok(())),
            Self::Bytes(_, reply) if lens.iter().all(|len| *len == 0) => {
                send(&reply, Ok(vec![Vec::new(); lens.len()]));
            }
            Self::Bytes(bytes, reply) => {
                let room = vec![0; lens.iter().sum()];
                let request = Request::all_gather(comm, bytes, room, &lens)?;
                return Ok(Some(InFlight::Bytes(request, lens, reply)));
            }
            Self::Numbers(collective, buffer, reply) => {
                let chunks = Chunked::new(collective, rank, lens.len(), buffer)?;
                return Ok(Some(InFlight::Numbers(chunks, reply)));
            }
        }
        Ok(None)
    }

    pub(super) fn fail(&self, error: Error) {
        match self {
            Self::Barrier(reply) => send(reply, Err(error)),
            Self::Bytes(_, reply) => send(reply, Err(error)),
            Self::Numbers(_, _, reply) => send(reply, Err(error)),
        }
    }
}

impl InFlight {
    /// Whether every chunk was handed to MPI, so that the next collective may begin.
    pub(super) fn all_started(&self) -> bool {
        match self {
            Self::Bytes(..) => true,
            Self::Numbers(chunks, _) => chunks.all_started(),
        }
    }

    /// Lets MPI work. Sends the result and returns true once the task has completed.
    pub(super) fn advance(&mut self, comm: &SimpleCommunicator) -> Result<bool, Error> {
        match self {
            Self::Bytes(request, lens, reply) => {
                let Some(all) = request.test()? else {
                    return Ok(false);
                };
                let mut rest = &all[..];
                let parts = lens.iter().map(|len| {
                    let (part, after) = rest.split_at(*len);
                    rest = after;
                    part.to_vec()
                });
                send(reply, Ok(parts.collect()));
            }
            Self::Numbers(chunks, reply) => {
                let Some(buffer) = chunks.advance(comm)? else {
                    return Ok(false);
                };
                send(reply, Ok(buffer));
            }
        }
        Ok(true)
    }

    pub(super) fn fail(&self, error: Error) {
        match self {
            Self::Bytes(_, _, reply) => send(reply, Err(error)),
            Self::Numbers(_, reply) => send(reply, Err(error)),
        }
    }
}

/// The receiver is gone if the program has dropped its `Pending`.
fn send<B>(reply: &Reply<B>, result: Result<B, Error>) {
    let _ = reply.send(result);
}
