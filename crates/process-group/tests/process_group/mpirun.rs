//! The launcher, for the tests of this crate and of `trainer`.

use std::process::Command;

/// Whether it is installed.
pub(crate) fn is_there() -> bool {
    Command::new("mpirun").arg("--version").output().is_ok()
}

/// For this many ranks of this machine, also for root, and where there are fewer cores.
pub(crate) fn mpirun(ranks: usize) -> Command {
    let mut command = Command::new("mpirun");
    command.args([
        "--allow-run-as-root",
        "--oversubscribe",
        "-n",
        &ranks.to_string(),
    ]);
    command
}
