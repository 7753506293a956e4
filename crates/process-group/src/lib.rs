//! Ranks and collectives for data-parallel and sharded training.
//!
//! A [`ProcessGroup`] knows the rank of this process and the number of processes, and has the collectives that training
//! needs, blocking and asynchronous. There are three implementations:
//!
//! - [`SingleProcess`]: one rank, no dependency.
//! - `MpiGroup` (feature `mpi`): many processes, buffers in host memory.
//! - `NcclGroup` (feature `nccl`): the same ranks, buffers in device memory, in place; with the feature `tch` also on
//!   libtorch's tensors.
//!
//! [`connect`] selects the first or the second by how the program was launched. A program that was started without
//! `mpirun` or `srun` is the only rank.
//!
//! ```
//! use process_group::{Collectives, ShardRange, Timeouts, connect};
//!
//! let group = connect(Timeouts::default())?;
//! let gradients = vec![0.5; 8];
//!
//! let pending = group.start_all_reduce(gradients);
//! // … work that does not need the sums …
//! let sums = pending.wait()?;
//! # assert_eq!(sums, [0.5; 8]);
//!
//! // The elements of an evenly sharded buffer that belong to this rank.
//! let shard = ShardRange::of(sums.len(), group.rank(), group.world_size());
//! # assert_eq!(shard.range, 0..8);
//! # Ok::<(), process_group::Error>(())
//! ```
//!
//! # When a rank is lost
//!
//! No collective waits for ever. Ranks send each other heartbeats. A rank that sends none for [`Timeouts::heartbeat`] is
//! named in the [`Error`] that every waiting rank gets; so is a rank that calls another collective or has finished.
//! After an error the group cannot be used any more: print the error and call [`ProcessGroup::abort`], which ends all
//! ranks.

mod error;
mod group;
mod launch;
#[cfg(feature = "mpi")]
mod mpi;
#[cfg(feature = "nccl")]
mod nccl;
mod pending;
mod shard_range;
mod single_process;

pub use error::Error;
pub use group::{Collective, Collectives, ProcessGroup, Timeouts};
pub use launch::{connect, has_mpirun, is_launched, mpirun};
#[cfg(feature = "mpi")]
pub use mpi::MpiGroup;
#[cfg(all(feature = "nccl", feature = "tch"))]
pub use nccl::EnqueuedTensor;
#[cfg(feature = "nccl")]
pub use nccl::{DeviceBuffer, DeviceType, NcclGroup};
pub use pending::Pending;
pub use shard_range::ShardRange;
pub use single_process::SingleProcess;

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
