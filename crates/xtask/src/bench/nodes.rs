//! Two nodes on this machine.

use std::process::Command;

use super::process;
use crate::root;

/// Network namespaces with TCP between them (`tools/cluster/two-nodes.sh`), which go when this does.
pub(super) struct Nodes;

impl Nodes {
    /// # Errors
    /// Where the system does not let them be made: the script needs root and iproute2.
    pub(super) fn up() -> Result<Self, String> {
        process::run(script().arg("up"))?;
        Ok(Self)
    }

    /// Open MPI's launcher of so many processes, half of them on each.
    pub(super) fn mpirun(processes: usize) -> Command {
        let mut command = script();
        command.args(["mpirun", "-n", &processes.to_string()]);
        command
    }

    /// Bytes that the first has sent to the second so far, if they are there.
    pub(super) fn sent() -> Option<f64> {
        let counter = "/sys/class/net/eth0/statistics/tx_bytes";
        let finished = process::run(script().args(["on", "10.77.0.1", "cat", counter])).ok()?;
        finished.stdout.trim().parse().ok()
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        if let Err(error) = process::run(script().arg("down")) {
            eprintln!("{error}");
        }
    }
}

fn script() -> Command {
    Command::new(root().join("tools/cluster/two-nodes.sh"))
}
