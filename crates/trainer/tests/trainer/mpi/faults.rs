//! Lost ranks: all processes end, the last checkpoint is complete, and the run can be resumed from it.

use std::process::Command;

use process_group::mpirun;

use super::runs::{LONG, arguments, check_resumed, launch, train_whole};
use super::{Launched, signal, trainer};
use crate::distributed::{DDP, FSDP, sandbox};
use crate::support::{Sandbox, wait_for, workspace};

/// Sends a signal to rank 1 of two in the middle of a run. All processes must end with these lines, and the run must be
/// resumable.
fn check_lost_rank(
    sandbox: &Sandbox,
    run: &str,
    strategy: &[&str],
    signal_name: &str,
    lines: &[&str],
) {
    let folder = format!("--run-dir={run}");
    let launched = launch(sandbox, 2, &arguments(&folder, &[LONG, strategy]));
    let rank = launched.rank(1);
    wait_for("line", || sandbox.reports(run) >= 9);
    signal(rank, signal_name);
    let ended = launched.end();
    assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
    ended.check_output(lines);
    assert!(
        !sandbox.path(run).join("model").exists(),
        "the run had finished"
    );
    check_resumed(sandbox, run);
}

#[test]
fn a_killed_rank_ends_all_and_the_run_can_be_resumed() {
    for strategy in [DDP, FSDP] {
        let sandbox = sandbox();
        train_whole(&sandbox, strategy);
        check_lost_rank(
            &sandbox,
            "killed",
            strategy,
            "KILL",
            &["rank 1", "signal 9 (Killed)"],
        );
    }
}

#[test]
fn a_stopped_rank_is_named_and_the_run_can_be_resumed() {
    let sandbox = sandbox();
    train_whole(&sandbox, DDP);
    check_lost_rank(
        &sandbox,
        "stopped",
        DDP,
        "STOP",
        &["error: rank 1 (", ") has not answered for 30 s"],
    );
}

/// The rank has more memory than a small batch needs and less than a large one does.
#[test]
fn a_rank_without_memory_ends_all_and_the_run_can_be_resumed() {
    let model = test_support::TinyModel {
        hidden_size: 256,
        num_hidden_layers: 4,
        ..Default::default()
    };
    let sandbox = Sandbox::with_model(&model);
    let small = launch(
        &sandbox,
        2,
        &arguments(
            "--run-dir=small",
            &[LONG, DDP, &["train.num_train_epochs=100"]],
        ),
    );
    let status = format!("/proc/{}/status", small.rank(1));
    wait_for("line", || sandbox.reports("small") >= 2);
    let status = std::fs::read_to_string(status).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmPeak:"))
        .unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    small.signal("TERM");
    small.end();
    let settings = [
        LONG,
        DDP,
        &[
            "train.per_device_train_batch_size=12",
            "train.num_train_epochs=24",
        ],
    ];
    let ended = launch(&sandbox, 2, &arguments("--run-dir=whole", &settings)).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let launched = launch(&sandbox, 2, &arguments("--run-dir=run", &settings));
    wait_for("line", || sandbox.reports("run") >= 5);
    launched.signal("USR1");
    assert_eq!(launched.end().code, Some(75));
    let words = trainer(&["--resume=run"]);
    let limit = format!("ulimit -v {} && exec \"$@\"", kib + (16 << 10));
    let mut command = mpirun(1);
    command
        .args(&words)
        .args([":", "-n", "1", "sh", "-c", &limit, "sh"])
        .args(&words);
    let ended = Launched::start(&sandbox, command).end();
    assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
    ended.check_output(&["memory allocation of", "rank 1", "signal 6 (Aborted)"]);
    check_resumed(&sandbox, "run");
}

/// The nodes that `scripts/cluster/two-nodes.sh` makes; dropping removes them.
struct Nodes;

impl Nodes {
    fn script(arguments: &[&str]) -> Command {
        let mut command = Command::new("bash");
        command
            .arg(workspace("scripts/cluster/two-nodes.sh"))
            .args(arguments);
        command.env("TWO_NODES_PREFIX", format!("trainer{}", std::process::id()));
        command
    }

    fn up() -> Self {
        let made = Self::script(&["up"]).output().unwrap();
        // Dropped on failure, it removes what is half made.
        let nodes = Self;
        let message = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "no network namespaces: {message}");
        nodes
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        let _ = Self::script(&["down"]).status();
    }
}

/// With these options mpirun notices a lost node itself; see `docs/distributed.md`.
const KEEPALIVE: &[&str] = &[
    "--mca",
    "oob_tcp_keepalive_time",
    "10",
    "--mca",
    "oob_tcp_keepalive_intvl",
    "3",
    "--mca",
    "oob_tcp_keepalive_probes",
    "3",
];

#[test]
#[ignore = "needs root and network namespaces: two nodes on one machine"]
fn a_node_that_is_cut_off_ends_all_and_the_run_can_be_resumed() {
    let _nodes = Nodes::up();
    let sandbox = sandbox();
    let one = [
        "train.per_device_train_batch_size=1",
        "train.num_train_epochs=8",
    ];
    let settings = [LONG, DDP, &one];
    let ended = launch(&sandbox, 4, &arguments("--run-dir=whole", &settings)).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let mut command = Nodes::script(&[&["mpirun"], KEEPALIVE, &["-n", "4"]].concat());
    command.args(trainer(&arguments("--run-dir=run", &settings)));
    let launched = Launched::start(&sandbox, command);
    wait_for("line", || sandbox.reports("run") >= 9);
    assert!(Nodes::script(&["cut"]).status().unwrap().success());
    let ended = launched.end();
    assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
    ended.check_output(&["10.77.0.2"]);
    assert!(!sandbox.path("run/model").exists(), "the run had finished");
    let ended = launch(&sandbox, 4, &["--resume=run"]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        sandbox.weights("run") == sandbox.weights("whole"),
        "other weights"
    );
}
