//! Selects the group that fits how the program was launched.

use std::process::Command;
use std::sync::Arc;

use crate::{Error, ProcessGroup, Timeouts};

/// Variables in which launchers pass the number of processes.
///
/// `SLURM_NTASKS` is not among them: SLURM sets it for a batch script too, which runs once.
const WORLD_SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];

/// Whether `mpirun` or `srun` started this process, be it with others or alone.
///
/// A program that was not launched and needs one process only can use [`SingleProcess`](crate::SingleProcess) without
/// initialising MPI.
pub fn is_launched() -> bool {
    launched().is_some()
}

fn launched() -> Option<(&'static str, usize)> {
    WORLD_SIZES
        .iter()
        .find_map(|name| Some((*name, std::env::var(name).ok()?.parse().ok()?)))
}

/// Whether `mpirun` is installed (Debian: `openmpi-bin`).
pub fn has_mpirun() -> bool {
    let version = Command::new("mpirun").arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

/// `mpirun` of Open MPI for `ranks` processes on this machine. It also runs as root and with more ranks than cores. Add the
/// program and its arguments.
pub fn mpirun(ranks: usize) -> Command {
    let mut command = Command::new("mpirun");
    let ranks = ranks.to_string();
    command.args(["--allow-run-as-root", "--oversubscribe", "-n", &ranks]);
    command
}

/// The group of the processes that were launched together, or [`SingleProcess`](crate::SingleProcess).
///
/// Call it once, before other threads start. With the feature `mpi` it initialises MPI.
///
/// # Errors
/// If this process is one of several and this build cannot reach the others, or if not all ranks start in time.
pub fn connect(timeouts: Timeouts) -> Result<Arc<dyn ProcessGroup>, Error> {
    let launched = launched();
    #[cfg(feature = "mpi")]
    {
        let group = crate::MpiGroup::connect(timeouts)?;
        check_reached(launched, group.world_size())?;
        Ok(Arc::new(group))
    }
    #[cfg(not(feature = "mpi"))]
    {
        let _ = timeouts;
        check_single(launched)?;
        Ok(Arc::new(crate::SingleProcess))
    }
}

/// Fails if several processes were launched and MPI connects none of them.
#[cfg(any(feature = "mpi", test))]
fn check_reached(launched: Option<(&str, usize)>, world_size: usize) -> Result<(), Error> {
    match launched {
        Some((name, count)) if count > 1 && world_size == 1 => Err(Error::Launch(format!(
            "{count} processes were launched ({name}), but MPI sees this one only: launch them with the mpirun of \
             the MPI library that this program is linked to, or with `srun --mpi=pmix`"
        ))),
        _ => Ok(()),
    }
}

/// Fails if several processes were launched and this build has no MPI.
#[cfg(any(not(feature = "mpi"), test))]
fn check_single(launched: Option<(&str, usize)>) -> Result<(), Error> {
    match launched {
        Some((name, count)) if count > 1 => Err(Error::Launch(format!(
            "{count} processes were launched ({name}), but this program was built without the feature `mpi`, so each \
             would run alone: build it with `--features mpi`, or launch one process"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launched_processes_that_cannot_reach_each_other_are_an_error() {
        assert!(check_reached(Some(("SLURM_STEP_NUM_TASKS", 4)), 1).is_err());
        assert!(check_reached(Some(("SLURM_STEP_NUM_TASKS", 4)), 4).is_ok());
        // mpirun within srun: a daemon per node, several ranks each.
        assert!(check_reached(Some(("SLURM_STEP_NUM_TASKS", 2)), 4).is_ok());
        assert!(check_reached(None, 1).is_ok());

        assert!(check_single(Some(("OMPI_COMM_WORLD_SIZE", 2))).is_err());
        assert!(check_single(Some(("OMPI_COMM_WORLD_SIZE", 1))).is_ok());
        assert!(check_single(None).is_ok());
    }
}
