//! What the thread of MPI is asked to do, and what it is doing.

use std::sync::mpsc::Sender;

use mpi::topology::SimpleCommunicator;

use super::ffi::InFlight;
use super::pieces::Pieces;
use super::shape::Shape;
use crate::{Collective, Error};

pub(super) type Reply<B> = Sender<Result<B, Error>>;

pub(super) enum Command {
    Do(Task),
    Abort(i32),
}

/// A collective with its buffer, and where the buffer goes at its end.
pub(super) enum Task {
    Barrier(Reply<()>),
    Bytes(Vec<u8>, Reply<Vec<Vec<u8>>>),
    Numbers(Collective, Vec<f32>, Reply<Vec<f32>>),
}

/// A task that MPI works on.
pub(super) enum Flying {
    Bytes(InFlight<u8>, Vec<usize>, Reply<Vec<Vec<u8>>>),
    Numbers(Pieces, Reply<Vec<f32>>),
}

impl Task {
    pub(super) fn shape(&self) -> Shape {
        match self {
            Self::Barrier(_) => Shape::barrier(),
            Self::Bytes(bytes, _) => Shape::bytes(bytes.len()),
            Self::Numbers(collective, buffer, _) => Shape::of(*collective, buffer.len()),
        }
    }

    /// Starts what all ranks have agreed on; `lens` are the lengths of their buffers. Nothing is left
    /// to do for a barrier, and for bytes where nobody has any.
    pub(super) fn start(
        self,
        comm: &SimpleCommunicator,
        rank: usize,
        lens: Vec<usize>,
    ) -> Result<Option<Flying>, Error> {
        match self {
            Self::Barrier(reply) => answer(&reply, Ok(())),
            Self::Bytes(_, reply) if lens.iter().all(|len| *len == 0) => {
                answer(&reply, Ok(vec![Vec::new(); lens.len()]));
            }
            Self::Bytes(bytes, reply) => {
                let room = vec![0; lens.iter().sum()];
                let flying = InFlight::all_gather(comm, bytes, room, &lens)?;
                return Ok(Some(Flying::Bytes(flying, lens, reply)));
            }
            Self::Numbers(collective, buffer, reply) => {
                let pieces = Pieces::new(collective, rank, lens.len(), buffer)?;
                return Ok(Some(Flying::Numbers(pieces, reply)));
            }
        }
        Ok(None)
    }

    pub(super) fn fail(&self, error: Error) {
        match self {
            Self::Barrier(reply) => answer(reply, Err(error)),
            Self::Bytes(_, reply) => answer(reply, Err(error)),
            Self::Numbers(_, _, reply) => answer(reply, Err(error)),
        }
    }
}

impl Flying {
    /// Whether another may follow: MPI wants collectives in the same order on every rank.
    pub(super) fn all_started(&self) -> bool {
        match self {
            Self::Bytes(..) => true,
            Self::Numbers(pieces, _) => pieces.all_started(),
        }
    }

    /// Lets MPI work; whether the task has ended.
    pub(super) fn advance(&mut self, comm: &SimpleCommunicator) -> Result<bool, Error> {
        match self {
            Self::Bytes(flying, lens, reply) => {
                let Some(all) = flying.test()? else {
                    return Ok(false);
                };
                let mut rest = &all[..];
                let parts = lens.iter().map(|len| {
                    let (part, after) = rest.split_at(*len);
                    rest = after;
                    part.to_vec()
                });
                answer(reply, Ok(parts.collect()));
            }
            Self::Numbers(pieces, reply) => {
                let Some(buffer) = pieces.advance(comm)? else {
                    return Ok(false);
                };
                answer(reply, Ok(buffer));
            }
        }
        Ok(true)
    }

    pub(super) fn fail(&self, error: Error) {
        match self {
            Self::Bytes(_, _, reply) => answer(reply, Err(error)),
            Self::Numbers(_, reply) => answer(reply, Err(error)),
        }
    }
}

/// Nobody may be waiting any more: see `Pending`.
fn answer<B>(reply: &Reply<B>, result: Result<B, Error>) {
    let _ = reply.send(result);
}
