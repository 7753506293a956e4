//! Ranks and collectives for data-parallel and sharded training.
//!
//! A [`ProcessGroup`] says which rank of how many this process is, and has the collectives of
//! training, blocking and started-then-awaited. It has three forms:
//!
//! - [`OneProcess`]: no other rank, no dependency.
//! - `MpiGroup` (feature `mpi`): many processes, buffers in host memory.
//! - `NcclGroup` (feature `nccl`): the same ranks, buffers in device memory, in place; libtorch's tensors with the
//!   feature `tch`.
//!
//! [`connect`] gives the form that fits how the program was launched. Started without `mpirun` or
//! `srun`, a program is the only rank.
//!
//! ```
//! use process_group::{Collectives, Limits, Part, connect};
//!
//! let group = connect(Limits::default())?;
//! let gradients = vec![0.5; 8];
//!
//! let pending = group.start_all_reduce(gradients);
//! // … work that does not need them …
//! let sums = pending.wait()?;
//! # assert_eq!(sums, [0.5; 8]);
//!
//! // What belongs to this rank of a buffer that is sharded evenly.
//! let part = Part::of(sums.len(), group.rank(), group.world_size());
//! # assert_eq!(part.range, 0..8);
//! # Ok::<(), process_group::Error>(())
//! ```
//!
//! # When a rank is lost
//!
//! No collective waits for ever. Ranks show each other that they live; one that does not answer for
//! [`Limits::silence`] is named in the [`Error`] that every waiting rank gets, and so is one that
//! answers and calls something else, or has finished. After an error the group is of no more use: say
//! it, and call [`ProcessGroup::abort`], which ends all ranks.

mod error;
mod group;
mod launch;
#[cfg(feature = "mpi")]
mod mpi;
#[cfg(feature = "nccl")]
mod nccl;
mod one_process;
mod part;
mod pending;

pub use error::Error;
pub use group::{Collective, Collectives, Limits, ProcessGroup};
pub use launch::{connect, has_mpirun, is_launched, mpirun};
#[cfg(feature = "mpi")]
pub use mpi::MpiGroup;
#[cfg(feature = "nccl")]
pub use nccl::{DeviceBuffer, DeviceType, NcclGroup};
pub use one_process::OneProcess;
pub use part::Part;
pub use pending::Pending;
