//! Process groups as programs use them: launched by `mpirun`, as a single process, and with ranks that fail.
#![allow(clippy::print_stdout)] // What mpirun collects.

#[cfg(feature = "mpi")]
mod cases;
#[cfg(feature = "mpi")]
mod collectives;
#[cfg(feature = "mpi")]
mod faults;
mod launch;
#[cfg(feature = "nccl")]
mod nccl;
mod single_process;
#[cfg(feature = "mpi")]
mod two_nodes;
mod worker;
