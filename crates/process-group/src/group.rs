//! The traits and plain types that all process groups share.

use std::fmt;
use std::time::Duration;

use crate::{Error, Pending};

/// How long a group waits before it reports other ranks as lost.
///
/// Time in which this process itself is stopped does not count, so a job that SLURM suspends and resumes goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A rank is lost after this time without a heartbeat. A thread of each rank sends several heartbeats in this
    /// time, however long the program computes.
    pub heartbeat: Duration,
    /// A collective fails when a rank that still sends heartbeats joins it later than the others by this time. Must be
    /// longer than any work that one rank does alone, such as writing a checkpoint.
    pub collective: Duration,
    /// All ranks must have started within this time of the first.
    pub startup: Duration,
}

impl Default for Timeouts {
    /// 30 s, 30 min and 45 s.
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(30),
            collective: Duration::from_secs(30 * 60),
            startup: Duration::from_secs(45),
        }
    }
}

/// An operation in which every rank of a group takes part.
///
/// All ranks must call the same collectives in the same order, with buffers of the same length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Collective {
    /// Every rank receives the sum of all buffers.
    AllReduce,
    /// Every rank receives the buffer of `root`.
    Broadcast {
        /// The rank that sends.
        root: usize,
    },
    /// Every rank brings its own shard of the buffer and receives all shards.
    AllGather,
    /// Every rank receives the sum of its own shard of all buffers.
    ReduceScatter,
}

impl fmt::Display for Collective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllReduce => f.write_str("all-reduce"),
            Self::Broadcast { root } => write!(f, "broadcast from rank {root}"),
            Self::AllGather => f.write_str("all-gather"),
            Self::ReduceScatter => f.write_str("reduce-scatter"),
        }
    }
}

impl Collective {
    /// The length of one rank's shard of a buffer of `len` elements; `len` itself for collectives without shards.
    ///
    /// # Errors
    /// If the buffer cannot be divided evenly, or the root is not a rank of the group.
    pub(crate) fn shard_len(self, len: usize, world_size: usize) -> Result<usize, Error> {
        match self {
            Self::Broadcast { root: rank } if rank >= world_size => {
                Err(Error::NoSuchRank { rank, world_size })
            }
            Self::AllReduce | Self::Broadcast { .. } => Ok(len),
            Self::AllGather | Self::ReduceScatter if len.is_multiple_of(world_size) => {
                Ok(len / world_size)
            }
            Self::AllGather | Self::ReduceScatter => Err(Error::Length {
                operation: self.to_string(),
                len,
                world_size,
            }),
        }
    }
}

/// Collectives on one type of buffer: `Vec<f32>` in host memory, or device memory.
///
/// The order of additions depends only on the number of ranks and the length. So a sum has the same bits on every rank
/// and in every run.
pub trait Collectives<B: Send + 'static>: Send + Sync {
    /// Starts a collective. Several may be in flight: they run in the order in which they were started, and may be
    /// awaited in any order.
    fn start(&self, collective: Collective, buffer: B) -> Pending<B>;

    /// Starts to sum the buffers of all ranks.
    fn start_all_reduce(&self, buffer: B) -> Pending<B> {
        self.start(Collective::AllReduce, buffer)
    }

    /// Starts to send the buffer of `root` to all ranks. The other ranks' buffers only give the length.
    fn start_broadcast(&self, buffer: B, root: usize) -> Pending<B> {
        self.start(Collective::Broadcast { root }, buffer)
    }

    /// Starts to send every rank's shard to all ranks. `buffer` has room for all shards, and this rank's own is filled
    /// in (see [`ShardRange`](crate::ShardRange)).
    fn start_all_gather(&self, buffer: B) -> Pending<B> {
        self.start(Collective::AllGather, buffer)
    }

    /// Starts to sum the buffers of all ranks. The result is this rank's shard of the sum.
    fn start_reduce_scatter(&self, buffer: B) -> Pending<B> {
        self.start(Collective::ReduceScatter, buffer)
    }

    /// [`start_all_reduce`](Self::start_all_reduce), awaited.
    ///
    /// # Errors
    /// Those of [`Pending::wait`].
    fn all_reduce(&self, buffer: B) -> Result<B, Error> {
        self.start_all_reduce(buffer).wait()
    }

    /// [`start_broadcast`](Self::start_broadcast), awaited.
    ///
    /// # Errors
    /// Those of [`Pending::wait`].
    fn broadcast(&self, buffer: B, root: usize) -> Result<B, Error> {
        self.start_broadcast(buffer, root).wait()
    }

    /// [`start_all_gather`](Self::start_all_gather), awaited.
    ///
    /// # Errors
    /// Those of [`Pending::wait`].
    fn all_gather(&self, buffer: B) -> Result<B, Error> {
        self.start_all_gather(buffer).wait()
    }

    /// [`start_reduce_scatter`](Self::start_reduce_scatter), awaited.
    ///
    /// # Errors
    /// Those of [`Pending::wait`].
    fn reduce_scatter(&self, buffer: B) -> Result<B, Error> {
        self.start_reduce_scatter(buffer).wait()
    }
}

/// The processes that work on one run, seen from one of them.
pub trait ProcessGroup: Collectives<Vec<f32>> {
    /// The number of this process, from 0.
    fn rank(&self) -> usize;

    /// The number of processes.
    fn world_size(&self) -> usize;

    /// The number of this process among those on the same machine, from 0. It selects the GPU.
    fn local_rank(&self) -> usize;

    /// Waits until all ranks have called it.
    ///
    /// # Errors
    /// Those of [`Pending::wait`].
    fn barrier(&self) -> Result<(), Error>;

    /// Gathers every rank's bytes, in the order of ranks. Lengths may differ.
    ///
    /// # Errors
    /// Those of [`Pending::wait`].
    fn all_gather_bytes(&self, mine: Vec<u8>) -> Result<Vec<Vec<u8>>, Error>;

    /// Whether the group still works. Returns at once.
    ///
    /// # Errors
    /// The error that every further collective would return.
    fn health(&self) -> Result<(), Error>;

    /// Ends all ranks. Print the reason first: `abort` prints nothing.
    fn abort(&self, exit_code: i32) -> !;

    /// Sums a few numbers over all ranks in `f64`, in the order of ranks.
    ///
    /// # Errors
    /// Those of [`Pending::wait`], and [`Error::Unequal`] on every rank, if ranks bring different counts of numbers.
    fn sum(&self, mine: &[f64]) -> Result<Vec<f64>, Error> {
        let bytes = mine
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        let all = self.all_gather_bytes(bytes)?;
        let lens: Vec<_> = all.iter().map(Vec::len).collect();
        check_same("the count of numbers to sum", &lens)?;
        let mut sums = vec![0.0; mine.len()];
        for theirs in &all {
            let (numbers, _) = theirs.as_chunks();
            for (sum, number) in sums.iter_mut().zip(numbers) {
                *sum += f64::from_le_bytes(*number);
            }
        }
        Ok(sums)
    }

    /// Checks that all ranks pass the same bytes, such as a digest of their configuration. `what` names them in the
    /// error.
    ///
    /// # Errors
    /// Those of [`Pending::wait`], and [`Error::Unequal`] on every rank, with the ranks that differ from rank 0.
    fn check_equal(&self, what: &str, mine: &[u8]) -> Result<(), Error> {
        check_same(what, &self.all_gather_bytes(mine.to_vec())?)
    }
}

/// Checks that all ranks' values, in the order of ranks, are equal to that of rank 0.
fn check_same<T: PartialEq>(what: &str, values: &[T]) -> Result<(), Error> {
    let ranks = 0..values.len();
    let ranks: Vec<_> = ranks.filter(|rank| values[*rank] != values[0]).collect();
    if ranks.is_empty() {
        return Ok(());
    }
    let what = what.into();
    Err(Error::Unequal { what, ranks })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every rank names the same ranks, also those that differ from it and not from rank 0.
    #[test]
    fn values_that_differ_from_that_of_rank_0_are_named() {
        assert_eq!(check_same("the count", &[8, 8, 8]), Ok(()));
        let message = |lens: &[usize]| check_same("the count", lens).unwrap_err().to_string();
        assert_eq!(
            message(&[8, 16, 8]),
            "the count of rank 1 is not that of rank 0"
        );
        assert_eq!(
            message(&[8, 16, 0]),
            "the count of ranks 1, 2 are not that of rank 0"
        );
    }
}
