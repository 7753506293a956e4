//! What every form of a process group has.

use std::fmt;
use std::time::Duration;

use crate::{Error, Pending};

/// How long a group waits before it takes other ranks for lost.
///
/// Time in which this process was stopped does not count: a job that SLURM suspends and resumes goes
/// on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A rank of which nothing is heard for so long is lost. Ranks show themselves several times in
    /// this time, from a thread of their own, however long a computation takes.
    pub silence: Duration,
    /// A rank that lives, and comes to a collective later than others by so much, is an error too.
    /// Longer than anything that one rank does alone, such as writing a checkpoint.
    pub patience: Duration,
    /// All ranks are there within so much of the first.
    pub startup: Duration,
}

impl Default for Limits {
    /// 30 s, half an hour and 45 s.
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(30),
            patience: Duration::from_secs(30 * 60),
            startup: Duration::from_secs(45),
        }
    }
}

/// An operation in which every rank of a group takes part.
///
/// All ranks call the same ones in the same order, with buffers of the same length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Collective {
    /// Every rank gets the sum of all buffers.
    AllReduce,
    /// Every rank gets the buffer of one.
    Broadcast {
        /// Whose.
        root: usize,
    },
    /// The buffer has a part per rank, and each brings its own: every rank gets all of them.
    AllGather,
    /// The buffer has a part per rank: each gets the sum of its own, which is all that comes back.
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
    /// The length of each rank's part, of a buffer of `len` elements; the whole where there are none.
    ///
    /// # Errors
    /// If the buffer has no equal parts, or the root is no rank of the group.
    pub(crate) fn part_len(self, len: usize, world_size: usize) -> Result<usize, Error> {
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

/// Collectives over buffers of one kind: `Vec<f32>` in host memory, or memory of a device.
///
/// Sums are added in an order that depends on the number of ranks and the length alone, so they are
/// the same on every rank and in every run.
pub trait Collectives<B: Send + 'static>: Send + Sync {
    /// Starts a collective. Several may be on their way; they are carried out in the order in which
    /// they were started, and may be awaited in any.
    fn start(&self, collective: Collective, buffer: B) -> Pending<B>;

    /// Starts to add up the buffers of all ranks.
    fn start_all_reduce(&self, buffer: B) -> Pending<B> {
        self.start(Collective::AllReduce, buffer)
    }

    /// Starts to give every rank the buffer of `root`; the others' hold anything before.
    fn start_broadcast(&self, buffer: B, root: usize) -> Pending<B> {
        self.start(Collective::Broadcast { root }, buffer)
    }

    /// Starts to give every rank the parts of all. This rank's own part is filled in
    /// (see [`Part`](crate::Part)); the others hold anything before.
    fn start_all_gather(&self, buffer: B) -> Pending<B> {
        self.start(Collective::AllGather, buffer)
    }

    /// Starts to add up the buffers of all ranks, of which each gets its own part alone.
    fn start_reduce_scatter(&self, buffer: B) -> Pending<B> {
        self.start(Collective::ReduceScatter, buffer)
    }

    /// [`start_all_reduce`](Self::start_all_reduce), awaited.
    ///
    /// # Errors
    /// As [`Pending::wait`].
    fn all_reduce(&self, buffer: B) -> Result<B, Error> {
        self.start_all_reduce(buffer).wait()
    }

    /// [`start_broadcast`](Self::start_broadcast), awaited.
    ///
    /// # Errors
    /// As [`Pending::wait`].
    fn broadcast(&self, buffer: B, root: usize) -> Result<B, Error> {
        self.start_broadcast(buffer, root).wait()
    }

    /// [`start_all_gather`](Self::start_all_gather), awaited.
    ///
    /// # Errors
    /// As [`Pending::wait`].
    fn all_gather(&self, buffer: B) -> Result<B, Error> {
        self.start_all_gather(buffer).wait()
    }

    /// [`start_reduce_scatter`](Self::start_reduce_scatter), awaited.
    ///
    /// # Errors
    /// As [`Pending::wait`].
    fn reduce_scatter(&self, buffer: B) -> Result<B, Error> {
        self.start_reduce_scatter(buffer).wait()
    }
}

/// The processes that work on one run, seen from one of them.
pub trait ProcessGroup: Collectives<Vec<f32>> {
    /// Which process this is, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn world_size(&self) -> usize;

    /// Which process of its machine this is, from 0: it picks the GPU.
    fn local_rank(&self) -> usize;

    /// Waits until all ranks are here.
    ///
    /// # Errors
    /// As [`Pending::wait`].
    fn barrier(&self) -> Result<(), Error>;

    /// What every rank has to say, in the order of ranks. Lengths may differ.
    ///
    /// # Errors
    /// As [`Pending::wait`].
    fn all_gather_bytes(&self, mine: Vec<u8>) -> Result<Vec<Vec<u8>>, Error>;

    /// What went wrong so far, seen without waiting.
    ///
    /// # Errors
    /// The error that collectives would give from now on.
    fn health(&self) -> Result<(), Error>;

    /// Ends all ranks. Say why before: nothing is said afterwards.
    fn abort(&self, exit_code: i32) -> !;

    /// Adds up a few numbers over all ranks in `f64`, in the order of ranks.
    ///
    /// # Errors
    /// As [`Pending::wait`], and if ranks bring different counts of numbers.
    fn sum(&self, mine: &[f64]) -> Result<Vec<f64>, Error> {
        let bytes = mine
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        let mut sums = vec![0.0; mine.len()];
        for (rank, theirs) in self.all_gather_bytes(bytes)?.iter().enumerate() {
            let (numbers, _) = theirs.as_chunks();
            if numbers.len() != sums.len() {
                let what = "the count of numbers to add up".into();
                return Err(Error::Unequal {
                    what,
                    ranks: vec![rank],
                });
            }
            for (sum, number) in sums.iter_mut().zip(numbers) {
                *sum += f64::from_le_bytes(*number);
            }
        }
        Ok(sums)
    }

    /// Checks that all ranks have the same, such as the digest of their configuration.
    ///
    /// # Errors
    /// As [`Pending::wait`], and [`Error::Unequal`] on every rank, with those that differ from rank 0.
    fn agree(&self, what: &str, mine: &[u8]) -> Result<(), Error> {
        let all = self.all_gather_bytes(mine.to_vec())?;
        let ranks: Vec<_> = (0..all.len()).filter(|rank| all[*rank] != all[0]).collect();
        match ranks.is_empty() {
            true => Ok(()),
            false => Err(Error::Unequal {
                what: what.into(),
                ranks,
            }),
        }
    }
}

/// `rank 3 is`, `ranks 2, 3 are`.
pub(crate) fn names(ranks: &[impl fmt::Display], one: &str, many: &str) -> String {
    let list: Vec<_> = ranks.iter().map(ToString::to_string).collect();
    match ranks.len() {
        1 => format!("rank {} {one}", list[0]),
        _ => format!("ranks {} {many}", list.join(", ")),
    }
}
