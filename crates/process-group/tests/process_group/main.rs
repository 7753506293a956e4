//! The group as programs use it: launched by `mpirun`, alone, and with ranks that are lost.

mod alone;
#[cfg(feature = "mpi")]
mod collectives;
#[cfg(feature = "mpi")]
mod faults;
mod launch;
#[cfg(feature = "nccl")]
mod nccl;
#[cfg(feature = "mpi")]
mod two_nodes;
#[cfg(feature = "mpi")]
mod worker;

/// `cargo test --workspace` builds without MPI, so that it needs none.
#[cfg(not(feature = "mpi"))]
#[test]
fn tests_of_mpi_are_not_in_this_build() {
    eprintln!(
        "SKIPPED: built without the feature `mpi`; \
         `cargo test -p process-group --features mpi` has the tests with several ranks"
    );
}
