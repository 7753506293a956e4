//! Executes a collective on a large buffer in chunks.
//!
//! Chunks stay in the processor's cache, which makes large buffers several times as fast. The result is written into the
//! buffer, so no second buffer is needed. And no call of MPI takes long, so heartbeats go on.

use std::collections::VecDeque;

use mpi::topology::SimpleCommunicator;

use super::ffi::Request;
use crate::{Collective, Error};

pub(super) struct Chunked {
    collective: Collective,
    rank: usize,
    world_size: usize,
    buffer: Vec<f32>,
    /// The length of one rank's shard, or of the buffer for collectives without shards.
    shard_len: usize,
    /// Elements of a shard whose chunks have been started.
    started: usize,
    /// In the order in which they were started.
    in_flight: VecDeque<Chunk>,
}

struct Chunk {
    /// Where the chunk starts in a shard.
    start: usize,
    len: usize,
    request: Request<f32>,
}

/// Elements of a chunk, in all shards together: 1 MiB.
const CHUNK: usize = 1 << 18;
const MAX_IN_FLIGHT: usize = 4;

impl Chunked {
    pub(super) fn new(
        collective: Collective,
        rank: usize,
        world_size: usize,
        buffer: Vec<f32>,
    ) -> Result<Self, Error> {
        Ok(Self {
            collective,
            rank,
            world_size,
            shard_len: collective.shard_len(buffer.len(), world_size)?,
            buffer,
            started: 0,
            in_flight: VecDeque::new(),
        })
    }

    /// Whether all chunks have been started, so that those of another collective may follow.
    pub(super) fn all_started(&self) -> bool {
        self.started == self.shard_len
    }

    /// Lets MPI work. Returns the result once all chunks have completed.
    pub(super) fn advance(&mut self, comm: &SimpleCommunicator) -> Result<Option<Vec<f32>>, Error> {
        while let Some(first) = self.in_flight.front_mut() {
            let Some(result) = first.request.test()? else {
                break;
            };
            let (start, len) = (first.start, first.len);
            self.in_flight.pop_front();
            self.store(start, len, &result);
        }
        let chunk = match self.collective {
            Collective::AllReduce | Collective::Broadcast { .. } => CHUNK,
            Collective::AllGather | Collective::ReduceScatter => (CHUNK / self.world_size).max(1),
        };
        while !self.all_started() && self.in_flight.len() < MAX_IN_FLIGHT {
            let (start, len) = (self.started, chunk.min(self.shard_len - self.started));
            let request = self.start(comm, start, len)?;
            self.in_flight.push_back(Chunk {
                start,
                len,
                request,
            });
            self.started += len;
        }
        let is_done = self.all_started() && self.in_flight.is_empty();
        Ok(is_done.then(|| self.take_result()))
    }

    fn start(
        &self,
        comm: &SimpleCommunicator,
        start: usize,
        len: usize,
    ) -> Result<Request<f32>, Error> {
        let of_rank = |rank: usize| &self.buffer[rank * self.shard_len + start..][..len];
        match self.collective {
            Collective::AllReduce => Request::all_reduce(comm, of_rank(0).to_vec()),
            Collective::Broadcast { root } => Request::broadcast(comm, root, of_rank(0).to_vec()),
            Collective::AllGather => {
                let own = of_rank(self.rank).to_vec();
                let room = vec![0.0; len * self.world_size];
                Request::all_gather(comm, own, room, &vec![len; self.world_size])
            }
            Collective::ReduceScatter => {
                let all: Vec<_> = (0..self.world_size).map(of_rank).collect();
                Request::reduce_scatter(comm, all.concat(), len)
            }
        }
    }

    /// Writes the result of a chunk over its input, which is not read again.
    fn store(&mut self, start: usize, len: usize, result: &[f32]) {
        let first = match self.collective {
            Collective::ReduceScatter => self.rank,
            _ => 0,
        };
        for (rank, numbers) in (first..).zip(result.chunks(len)) {
            self.buffer[rank * self.shard_len + start..][..len].copy_from_slice(numbers);
        }
    }

    fn take_result(&mut self) -> Vec<f32> {
        let mut buffer = std::mem::take(&mut self.buffer);
        if self.collective == Collective::ReduceScatter {
            let own = self.rank * self.shard_len;
            buffer.copy_within(own..own + self.shard_len, 0);
            buffer.truncate(self.shard_len);
        }
        buffer
    }
}
