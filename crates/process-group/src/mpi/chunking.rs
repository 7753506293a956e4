//! A collective over many numbers as several over few.
//!
//! Pieces stay in the processor's cache, which makes large buffers several times as fast; the result is
//! laid into the buffer, so that no second one is needed; and no call of MPI takes long, so that this
//! rank goes on showing that it lives.

use std::collections::VecDeque;

use mpi::topology::SimpleCommunicator;

use super::ffi::InFlight;
use crate::{Collective, Error};

pub(super) struct Pieces {
    collective: Collective,
    rank: usize,
    ranks: usize,
    buffer: Vec<f32>,
    /// Of each rank, or the whole length where there are no parts.
    part: usize,
    /// How much of a part has been started.
    started: usize,
    /// In the order in which they were started.
    flying: VecDeque<Piece>,
}

struct Piece {
    at: usize,
    len: usize,
    flight: InFlight<f32>,
}

/// Numbers that a piece has in all parts together: 1 MiB.
const PIECE: usize = 1 << 18;
/// While some are added up, others are on their way.
const AT_ONCE: usize = 4;

impl Pieces {
    pub(super) fn new(
        collective: Collective,
        rank: usize,
        ranks: usize,
        buffer: Vec<f32>,
    ) -> Result<Self, Error> {
        let part = collective.part_len(buffer.len(), ranks)?;
        let (started, flying) = (0, VecDeque::new());
        Ok(Self {
            collective,
            rank,
            ranks,
            buffer,
            part,
            started,
            flying,
        })
    }

    /// Whether MPI knows of all of them, so that those of another collective may follow.
    pub(super) fn all_started(&self) -> bool {
        self.started == self.part
    }

    /// Lets MPI work; the result, once all have ended.
    pub(super) fn advance(&mut self, comm: &SimpleCommunicator) -> Result<Option<Vec<f32>>, Error> {
        while let Some(first) = self.flying.front_mut() {
            let Some(result) = first.flight.test()? else {
                break;
            };
            let (at, len) = (first.at, first.len);
            self.flying.pop_front();
            self.put(at, len, &result);
        }
        while !self.all_started() && self.flying.len() < AT_ONCE {
            let most = match self.collective {
                Collective::AllReduce | Collective::Broadcast { .. } => PIECE,
                Collective::AllGather | Collective::ReduceScatter => (PIECE / self.ranks).max(1),
            };
            let (at, len) = (self.started, most.min(self.part - self.started));
            let flight = self.start(comm, at, len)?;
            self.flying.push_back(Piece { at, len, flight });
            self.started += len;
        }
        let ended = self.all_started() && self.flying.is_empty();
        Ok(ended.then(|| self.take_result()))
    }

    fn start(
        &self,
        comm: &SimpleCommunicator,
        at: usize,
        len: usize,
    ) -> Result<InFlight<f32>, Error> {
        let of_rank = |rank: usize| &self.buffer[rank * self.part + at..][..len];
        match self.collective {
            Collective::AllReduce => InFlight::all_reduce(comm, of_rank(0).to_vec()),
            Collective::Broadcast { root } => InFlight::broadcast(comm, root, of_rank(0).to_vec()),
            Collective::AllGather => {
                let (own, room) = (of_rank(self.rank).to_vec(), vec![0.0; len * self.ranks]);
                InFlight::all_gather(comm, own, room, &vec![len; self.ranks])
            }
            Collective::ReduceScatter => {
                let all = (0..self.ranks).map(of_rank).collect::<Vec<_>>().concat();
                InFlight::reduce_scatter(comm, all, len)
            }
        }
    }

    /// Lays what came out of a piece where nothing is read any more.
    fn put(&mut self, at: usize, len: usize, result: &[f32]) {
        let first = match self.collective {
            Collective::ReduceScatter => self.rank,
            _ => 0,
        };
        for (rank, numbers) in (first..).zip(result.chunks(len)) {
            self.buffer[rank * self.part + at..][..len].copy_from_slice(numbers);
        }
    }

    fn take_result(&mut self) -> Vec<f32> {
        let mut buffer = std::mem::take(&mut self.buffer);
        if self.collective == Collective::ReduceScatter {
            let own = self.rank * self.part;
            buffer.copy_within(own..own + self.part, 0);
            buffer.truncate(self.part);
        }
        buffer
    }
}
