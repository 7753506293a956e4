//! A process that is lost ends all of them soon, the last checkpoint is whole, and the run goes on from it.

use std::process::Command;

use process_group::mpirun;

use crate::distributed::{DDP, FSDP, sandbox};
use crate::launched::{Launched, has_mpirun, signal, trainer};
use crate::mpi::{LONG, arguments, goes_on, launch, whole};
use crate::support::{Sandbox, skip, wait_for, workspace};

/// Something happens to rank 1 of two in the middle of a run; `lines` are then among what is told.
fn lost(sandbox: &Sandbox, run: &str, strategy: &[&str], happens: &str, lines: &[&str]) {
    let folder = format!("--run-dir={run}");
    let launched = launch(sandbox, 2, &arguments(&folder, &[LONG, strategy]));
    let rank = launched.rank(1);
    wait_for("line", || sandbox.reports(run) >= 9);
    signal(rank, happens);
    let ended = launched.end();
    assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
    ended.has(lines);
    assert!(
        !sandbox.path(run).join("model").exists(),
        "lost too late to say anything"
    );
    goes_on(sandbox, run);
}

#[test]
fn a_killed_rank_ends_all_and_the_run_goes_on() {
    if !has_mpirun() {
        return;
    }
    for strategy in [DDP, FSDP] {
        let sandbox = sandbox();
        whole(&sandbox, strategy);
        lost(
            &sandbox,
            "killed",
            strategy,
            "KILL",
            &["rank 1", "signal 9 (Killed)"],
        );
    }
}

#[test]
fn a_stopped_rank_is_named_and_the_run_goes_on() {
    if !has_mpirun() {
        return;
    }
    let sandbox = sandbox();
    whole(&sandbox, DDP);
    lost(
        &sandbox,
        "stopped",
        DDP,
        "STOP",
        &["error: rank 1 (", ") has not answered for 30 s"],
    );
}

/// One rank may have less memory than a large batch needs, and more than a small one does.
#[test]
fn a_rank_without_memory_ends_all_and_the_run_goes_on() {
    if !has_mpirun() {
        return;
    }
    let model = crate::tiny_model::TinyModel {
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
    ended.has(&["memory allocation of", "rank 1", "signal 6 (Aborted)"]);
    goes_on(&sandbox, "run");
}

/// The nodes that `tools/cluster/two-nodes.sh` makes, until they are dropped.
struct Nodes;

impl Nodes {
    fn script(arguments: &[&str]) -> Command {
        let mut command = Command::new("bash");
        command
            .arg(workspace("tools/cluster/two-nodes.sh"))
            .args(arguments);
        command.env("TWO_NODES_PREFIX", format!("trainer{}", std::process::id()));
        command
    }

    /// None where the system does not let them be made.
    fn up() -> Option<Self> {
        let made = Self::script(&["up"]).output().unwrap();
        // Also removes what a failure has left half made.
        let nodes = Self;
        if made.status.success() {
            return Some(nodes);
        }
        let why = String::from_utf8_lossy(&made.stderr).into_owned();
        skip(&format!("no network namespaces: {}", why.trim()));
        None
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        let _ = Self::script(&["down"]).status();
    }
}

/// As `docs/distributed.md` says: mpirun then sees the loss.
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
fn a_node_that_is_cut_off_ends_all_and_the_run_goes_on() {
    if !has_mpirun() {
        return;
    }
    let Some(_nodes) = Nodes::up() else {
        return;
    };
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
    ended.has(&["10.77.0.2"]);
    assert!(
        !sandbox.path("run/model").exists(),
        "cut off too late to say anything"
    );
    let ended = launch(&sandbox, 4, &["--resume=run"]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        sandbox.weights("run") == sandbox.weights("whole"),
        "the weights differ"
    );
}
