//! Two ranks on each of two nodes: network namespaces of this machine, connected by TCP.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::cases::PATIENT_AT_WORK;
use crate::launch::{Ended, Launched};

/// The nodes; dropping removes them.
struct Nodes;

impl Nodes {
    fn up() -> Self {
        let output = script(&["up"]).output().expect("bash");
        // Dropped on failure, it removes what is half made.
        let nodes = Self;
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "no network namespaces: {message}");
        nodes
    }

    fn start(&self, case: &str, options: &[&str]) -> Launched {
        let mut mpirun = script(&["mpirun"]);
        mpirun.args(options).args(["-n", "4"]);
        Launched::start(Some(mpirun), case, &[])
    }

    fn run(&self, case: &str) -> Ended {
        self.start(case, &[]).end()
    }

    /// Cuts the second node off when all ranks are at work. Returns when that was.
    fn cut(&self, launched: &Launched) -> Instant {
        let is_at_work = || launched.text().matches("is at work").count() == 4;
        wait_until("all ranks are at work", is_at_work);
        let status = script(&["cut"]).status();
        assert!(status.is_ok_and(|status| status.success()));
        Instant::now()
    }

    /// Whether a rank still runs on one of them.
    fn have_ranks(&self) -> bool {
        [1, 2].iter().any(|node| {
            let node = format!("{}-node{node}", prefix());
            let pids = Command::new("ip")
                .args(["netns", "pids", &node])
                .output()
                .expect("ip (Debian: iproute2)");
            String::from_utf8_lossy(&pids.stdout).lines().any(|pid| {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                // A rank runs this binary; daemons only have it among their arguments.
                let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
                Path::new(&*String::from_utf8_lossy(program))
                    == std::env::current_exe().expect("a path")
            })
        })
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        let _ = script(&["down"]).status();
    }
}

fn wait_until(what: &str, is: impl Fn() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < Duration::from_secs(90), "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Differs from the names that the script uses by hand.
fn prefix() -> String {
    format!("test{}", std::process::id())
}

fn script(arguments: &[&str]) -> Command {
    let path = test_support::workspace_path("scripts/cluster/two-nodes.sh");
    let mut command = Command::new("bash");
    command
        .arg(path)
        .args(arguments)
        .env("TWO_NODES_PREFIX", prefix());
    command
}

/// With these options mpirun notices a lost node itself.
const KEEPALIVE: [&str; 9] = [
    "--mca",
    "oob_tcp_keepalive_time",
    "2",
    "--mca",
    "oob_tcp_keepalive_intvl",
    "1",
    "--mca",
    "oob_tcp_keepalive_probes",
    "2",
];

/// One test, because all parts use the same nodes.
#[test]
#[ignore = "needs root and network namespaces: two nodes on one machine"]
fn ranks_on_two_nodes_work_and_end_together() {
    let nodes = Nodes::up();
    let ended = nodes.run("values");
    assert!(ended.success, "{}", ended.text);
    for (rank, local_rank) in [(0, 0), (1, 1), (2, 0), (3, 1)] {
        let line = format!("rank {rank} is done as local rank {local_rank}");
        assert!(ended.text.contains(&line), "no {line:?} in\n{}", ended.text);
    }
    let ended = nodes.run("plans");
    assert!(ended.success, "{}", ended.text);

    let ended = nodes.run("stopped");
    let line = format!(": rank 1 ({}-node1) has not answered for 5 s", prefix());
    assert!(
        !ended.success && ended.text.contains(&line),
        "{}",
        ended.text
    );

    // mpirun notices that the node is lost, and names it.
    let launched = nodes.start(PATIENT_AT_WORK, &KEEPALIVE);
    let cut = nodes.cut(&launched);
    let ended = launched.end();
    assert!(
        !ended.success && cut.elapsed() < Duration::from_secs(50),
        "{ended:?}"
    );
    for part in ["lost communication with a remote daemon", "10.77.0.2"] {
        assert!(ended.text.contains(part), "no {part:?} in\n{}", ended.text);
    }
    assert!(!nodes.have_ranks());
    drop(nodes);

    // Without these options the ranks notice it. mpirun itself stays until the node is removed.
    let nodes = Nodes::up();
    let launched = nodes.start("at work", &[]);
    nodes.cut(&launched);
    assert!(nodes.have_ranks());
    wait_until("all ranks have ended", || !nodes.have_ranks());
    drop(nodes);
    let ended = launched.end();
    let names = format!(
        "2 ({0}-node2), 3 ({0}-node2) have not answered for 5 s",
        prefix()
    );
    assert!(ended.text.contains(&names), "{}", ended.text);
}
