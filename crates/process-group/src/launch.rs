//! Which group fits the way in which the program was started.

use std::process::Command;
use std::sync::Arc;

use crate::{Error, Limits, ProcessGroup};

/// What launchers tell each process about how many they started.
///
/// `SLURM_NTASKS` is not one of them: SLURM also sets it for a batch script, which runs once.
const WORLD_SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];

/// Whether a launcher started this process, as one of several or the only one.
///
/// Without one, and with one process in mind, [`OneProcess`](crate::OneProcess) saves the start of a library.
pub fn is_launched() -> bool {
    launched().is_some()
}

fn launched() -> Option<(&'static str, usize)> {
    WORLD_SIZES
        .iter()
        .find_map(|name| Some((*name, std::env::var(name).ok()?.parse().ok()?)))
}

/// Whether this machine has a launcher, Debian's `openmpi-bin`.
pub fn has_mpirun() -> bool {
    let asked = Command::new("mpirun").arg("--version").output();
    asked.is_ok_and(|output| output.status.success())
}

/// Open MPI's launcher for so many ranks on this machine, also for root, and where there are fewer cores. The program
/// is to be added.
pub fn mpirun(ranks: usize) -> Command {
    let mut command = Command::new("mpirun");
    let ranks = ranks.to_string();
    command.args(["--allow-run-as-root", "--oversubscribe", "-n", &ranks]);
    command
}

/// The group that this process belongs to, from how it was launched; alone if by nothing.
///
/// Call it once, before threads that could be in the way of a library's start. With the feature `mpi`
/// it initialises MPI.
///
/// # Errors
/// If the process is one of several and this build cannot reach the others, or not all of them arrive.
pub fn connect(limits: Limits) -> Result<Arc<dyn ProcessGroup>, Error> {
    let launched = launched();
    #[cfg(feature = "mpi")]
    {
        let group = crate::MpiGroup::connect(limits)?;
        check_reached(launched, group.world_size())?;
        Ok(Arc::new(group))
    }
    #[cfg(not(feature = "mpi"))]
    {
        let _ = limits;
        check_alone(launched)?;
        Ok(Arc::new(crate::OneProcess))
    }
}

/// Fails where each of several processes would take itself for the only one.
#[cfg(any(feature = "mpi", test))]
fn check_reached(launched: Option<(&str, usize)>, world_size: usize) -> Result<(), Error> {
    match launched {
        Some((name, count)) if count > 1 && world_size == 1 => Err(Error::Launch(format!(
            "{count} processes were started ({name}), but MPI of this process sees no other: start them \
             with the mpirun of the MPI library that this program uses, or with `srun --mpi=pmix`"
        ))),
        _ => Ok(()),
    }
}

/// Fails where other processes were started that this build cannot reach.
#[cfg(any(not(feature = "mpi"), test))]
fn check_alone(launched: Option<(&str, usize)>) -> Result<(), Error> {
    match launched {
        Some((name, count)) if count > 1 => Err(Error::Launch(format!(
            "this is one of {count} processes ({name}), but the program was built without the feature \
             `mpi`, so each would work alone: build it with `--features mpi`, or start one process"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_processes_that_do_not_see_each_other_are_an_error() {
        assert!(check_reached(Some(("SLURM_STEP_NUM_TASKS", 4)), 1).is_err());
        assert!(check_reached(Some(("SLURM_STEP_NUM_TASKS", 4)), 4).is_ok());
        // mpirun within srun: a daemon per node, several ranks each.
        assert!(check_reached(Some(("SLURM_STEP_NUM_TASKS", 2)), 4).is_ok());
        assert!(check_reached(None, 1).is_ok());

        assert!(check_alone(Some(("OMPI_COMM_WORLD_SIZE", 2))).is_err());
        assert!(check_alone(Some(("OMPI_COMM_WORLD_SIZE", 1))).is_ok());
        assert!(check_alone(None).is_ok());
    }
}
