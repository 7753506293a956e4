//! Starts this test binary again, as one process or under `mpirun`, to play a case.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Which case a process plays that was started by a test.
pub(crate) const CASE: &str = "PROCESS_GROUP_CASE";

/// How a launch ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) success: bool,
    /// Standard output and standard error of all ranks, and what the launcher said.
    pub(crate) text: String,
    #[cfg_attr(not(feature = "mpi"), allow(dead_code))]
    pub(crate) after: Duration,
}

impl Ended {
    pub(crate) fn of(output: Output, after: Duration) -> Self {
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        Self {
            success: output.status.success(),
            text,
            after,
        }
    }
}

fn run(mut command: Command, case: &str) -> Ended {
    let start = Instant::now();
    let output = command
        .env(CASE, case)
        .output()
        .expect("a process can be started");
    Ended::of(output, start.elapsed())
}

/// The arguments with which this binary plays one test.
pub(crate) fn play(command: &mut Command, test: &str) {
    command.args([test, "--exact", "--ignored", "--nocapture"]);
}

/// One process, started by nothing but these variables.
pub(crate) fn alone(test: &str, case: &str, variables: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(std::env::current_exe().expect("this binary has a path"));
    play(&mut command, test);
    for name in ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    run(command, case)
}

/// So many ranks on this machine, unless it has no `mpirun`.
#[cfg(feature = "mpi")]
pub(crate) fn mpirun(ranks: usize, case: &str) -> Option<Ended> {
    if !process_group::has_mpirun() {
        skip("no mpirun (Debian: openmpi-bin)");
        return None;
    }
    let mut command = process_group::mpirun(ranks);
    command.arg(std::env::current_exe().expect("this binary has a path"));
    play(&mut command, "worker::worker");
    Some(run(command, case))
}

#[cfg(feature = "mpi")]
pub(crate) fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
    assert!(
        std::env::var_os("SQUAD_BURN_NO_SKIP").is_none(),
        "SQUAD_BURN_NO_SKIP is set: nothing may be skipped"
    );
}
