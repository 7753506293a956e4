/// What went wrong between ranks, in one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The way the program was started does not fit how it was built.
    #[error("{0}")]
    Launch(String),
    /// The ranks did not all arrive when the group was made.
    #[error(
        "the ranks have not all started within {seconds} s: is one of them stopped or cut off?"
    )]
    Startup {
        /// How long this rank has waited.
        seconds: u64,
    },
    /// Ranks of which nothing is heard.
    #[error(
        "{ranks} not answered for {seconds} s (killed, stopped or cut off); this is rank {here}, {doing}"
    )]
    Silent {
        /// Which, with their hosts: `rank 3 (node7) has`.
        ranks: String,
        /// For how long.
        seconds: u64,
        /// The rank that noticed.
        here: usize,
        /// What it was doing.
        doing: String,
    },
    /// Ranks that live, and do not come to a collective.
    #[error(
        "{ranks} not come to {operation} for {seconds} s, and still answered; this is rank {here}"
    )]
    Late {
        /// Which, with their hosts.
        ranks: String,
        /// The collective, with its number.
        operation: String,
        /// For how long.
        seconds: u64,
        /// The rank that noticed.
        here: usize,
    },
    /// All ranks live and are at the same collective, which does not end.
    #[error(
        "{operation} has not ended for {seconds} s, though all ranks answer; this is rank {here}"
    )]
    Stuck {
        /// The collective, with its number.
        operation: String,
        /// For how long.
        seconds: u64,
        /// The rank that noticed.
        here: usize,
    },
    /// A rank has ended its work while this one is at a collective.
    #[error("rank {rank} ({host}) has finished, but rank {here} is at {operation}")]
    Left {
        /// Which.
        rank: usize,
        /// Where it ran.
        host: String,
        /// The collective, with its number.
        operation: String,
        /// The rank that noticed.
        here: usize,
    },
    /// Two ranks are at different collectives, or at one of different lengths.
    #[error("ranks disagree: rank {here} is at {operation}, rank {rank} ({host}) at {other}")]
    Mismatch {
        /// The rank that noticed.
        here: usize,
        /// Its collective, with its number.
        operation: String,
        /// The other rank.
        rank: usize,
        /// Where it runs.
        host: String,
        /// The collective of the other.
        other: String,
    },
    /// Something that must be equal on all ranks is not.
    #[error("{what} of {} not that of rank 0", crate::group::names(.ranks, "is", "are"))]
    Unequal {
        /// What was compared.
        what: String,
        /// The ranks that differ from rank 0.
        ranks: Vec<usize>,
    },
    /// A buffer whose length does not fit the collective.
    #[error("{operation}: a buffer of {len} cannot be divided by {world_size} ranks")]
    Length {
        /// The collective.
        operation: String,
        /// Elements of the buffer.
        len: usize,
        /// Ranks of the group.
        world_size: usize,
    },
    /// More bytes than a message may have.
    #[error("{len} bytes of all ranks: a message of MPI has at most 2147483647")]
    TooLong {
        /// Bytes of all ranks.
        len: usize,
    },
    /// A rank that does not exist.
    #[error("there is no rank {rank} among {world_size}")]
    NoSuchRank {
        /// What was asked for.
        rank: usize,
        /// Ranks of the group.
        world_size: usize,
    },
    /// A call into the communication library does not come back.
    #[error("MPI has not returned from a call for {seconds} s on rank {here}")]
    Blocked {
        /// For how long.
        seconds: u64,
        /// The rank where it happens.
        here: usize,
    },
    /// The group has been closed, or its thread has ended.
    #[error("the process group of rank {here} is closed")]
    Closed {
        /// The rank where it happens.
        here: usize,
    },
    /// A call of MPI failed.
    #[error("MPI: {0}")]
    Mpi(String),
    /// A call of NCCL or CUDA failed.
    #[error("{call}: {message}")]
    Nccl {
        /// The function.
        call: &'static str,
        /// What the library says.
        message: String,
    },
    /// A tensor that NCCL cannot work on.
    #[error("NCCL on cuda:{device}: the tensor is {problem}")]
    Tensor {
        /// The group's GPU.
        device: usize,
        /// What is wrong with it.
        problem: String,
    },
}
