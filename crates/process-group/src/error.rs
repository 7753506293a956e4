use std::fmt::Display;

/// What can fail in a process group. Each message is one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The program was launched in a way that this build does not support.
    #[error("{0}")]
    Launch(String),
    /// Some ranks did not start in time.
    #[error("not all ranks have started within {seconds} s: is one of them stopped or cut off?")]
    Startup {
        /// [`Timeouts::startup`](crate::Timeouts::startup).
        seconds: u64,
    },
    /// Ranks that send no heartbeat any more.
    #[error(
        "{ranks} not answered for {seconds} s (killed, stopped or cut off); this is rank {here}, {doing}"
    )]
    HeartbeatTimeout {
        /// The lost ranks with their hosts and a verb: `rank 3 (node7) has`.
        ranks: String,
        /// [`Timeouts::heartbeat`](crate::Timeouts::heartbeat).
        seconds: u64,
        /// The rank that reports it.
        here: usize,
        /// What that rank was doing.
        doing: String,
    },
    /// Ranks that answer but have not joined a collective.
    #[error(
        "{ranks} not joined {operation} for {seconds} s, though still answering; this is rank {here}"
    )]
    CollectiveTimeout {
        /// The missing ranks with their hosts and a verb.
        ranks: String,
        /// The collective with its number.
        operation: String,
        /// [`Timeouts::collective`](crate::Timeouts::collective).
        seconds: u64,
        /// The rank that reports it.
        here: usize,
    },
    /// A collective that all ranks have joined and that does not end.
    #[error(
        "{operation} has not ended for {seconds} s, though all ranks answer; this is rank {here}"
    )]
    CollectiveStalled {
        /// The collective with its number.
        operation: String,
        /// [`Timeouts::collective`](crate::Timeouts::collective).
        seconds: u64,
        /// The rank that reports it.
        here: usize,
    },
    /// A rank has closed its group while this one waits for it in a collective.
    #[error("rank {rank} ({host}) has finished, but rank {here} is at {operation}")]
    PeerExited {
        /// The rank that has finished.
        rank: usize,
        /// Its host.
        host: String,
        /// The collective with its number.
        operation: String,
        /// The rank that reports it.
        here: usize,
    },
    /// Two ranks called different collectives, or one collective with different lengths.
    #[error("ranks disagree: rank {here} is at {operation}, rank {rank} ({host}) at {other}")]
    Mismatch {
        /// The rank that reports it.
        here: usize,
        /// Its collective with its number.
        operation: String,
        /// The other rank.
        rank: usize,
        /// The other rank's host.
        host: String,
        /// The other rank's collective.
        other: String,
    },
    /// A value that must be equal on all ranks differs.
    #[error("{what} of {} not that of rank 0", join_ranks(.ranks, "is", "are"))]
    Unequal {
        /// What was compared.
        what: String,
        /// The ranks that differ from rank 0.
        ranks: Vec<usize>,
    },
    /// A buffer that cannot be divided evenly among the ranks.
    #[error("{operation}: a buffer of {len} cannot be divided by {world_size} ranks")]
    Length {
        /// The collective.
        operation: String,
        /// Elements of the buffer.
        len: usize,
        /// Number of ranks.
        world_size: usize,
    },
    /// More elements than an MPI message can have.
    #[error("{len} bytes from all ranks: an MPI message has at most 2147483647")]
    TooLong {
        /// Bytes from all ranks.
        len: usize,
    },
    /// A root that is not a rank of the group.
    #[error("there is no rank {rank} among {world_size}")]
    NoSuchRank {
        /// The root that was given.
        rank: usize,
        /// Number of ranks.
        world_size: usize,
    },
    /// A call of MPI does not return.
    #[error("MPI has not returned from a call for {seconds} s on rank {here}")]
    Blocked {
        /// How long the call has taken.
        seconds: u64,
        /// The rank that reports it.
        here: usize,
    },
    /// The group is closed, or its communication thread has ended.
    #[error("the process group of rank {here} is closed")]
    Closed {
        /// The rank that reports it.
        here: usize,
    },
    /// A call of MPI failed.
    #[error("MPI: {0}")]
    Mpi(String),
    /// A call of NCCL or CUDA failed.
    #[error("{call}: {message}")]
    Nccl {
        /// The function that failed.
        call: &'static str,
        /// The library's message.
        message: String,
    },
    /// A tensor that NCCL cannot reduce or send.
    #[error("NCCL on cuda:{device}: the tensor is {problem}")]
    Tensor {
        /// The group's GPU.
        device: usize,
        /// What is wrong with the tensor.
        problem: String,
    },
}

/// Prints an error that no caller gets. In one write, because several ranks may print at once.
#[cfg(feature = "mpi")]
pub(crate) fn print_error(rank: usize, error: &str) {
    let line = format!("error on rank {rank}: {error}\n");
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
}

/// Names ranks with the verb that fits: `rank 3 is`, `ranks 2, 3 are`.
pub(crate) fn join_ranks(ranks: &[impl Display], one: &str, many: &str) -> String {
    let list: Vec<_> = ranks.iter().map(ToString::to_string).collect();
    match &list[..] {
        [rank] => format!("rank {rank} {one}"),
        _ => format!("ranks {} {many}", list.join(", ")),
    }
}
