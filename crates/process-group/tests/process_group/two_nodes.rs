//! Two ranks on each of two nodes, which are network namespaces of this machine, with TCP between them.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::launch::{CASE, Ended, play, skip};

/// The nodes, until they are dropped.
struct Nodes;

impl Nodes {
    /// None where the system does not let them be made.
    fn up() -> Option<Self> {
        let made = script(&["up"]).output().expect("bash is there");
        // Also removes what a failure has left half made.
        let nodes = Self;
        if made.status.success() {
            return Some(nodes);
        }
        skip(&format!(
            "no network namespaces: {}",
            String::from_utf8_lossy(&made.stderr).trim()
        ));
        None
    }

    fn start(&self, case: &str, options: &[&str]) -> (Instant, Child) {
        let mut command = script(&["mpirun"]);
        command.args(options).args(["-n", "4"]);
        command.arg(std::env::current_exe().expect("this binary has a path"));
        play(&mut command, "worker::worker");
        command
            .env(CASE, case)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        (Instant::now(), command.spawn().expect("bash is there"))
    }

    fn run(&self, case: &str, options: &[&str]) -> Ended {
        let (start, child) = self.start(case, options);
        let output = child.wait_with_output().expect("a process ends");
        Ended::of(output, start.elapsed())
    }

    /// Cuts the second off after a while.
    fn cut_soon(&self) {
        thread::spawn(|| {
            thread::sleep(Duration::from_secs(4));
            assert!(
                script(&["cut"])
                    .status()
                    .is_ok_and(|status| status.success())
            );
        });
    }

    /// Whether a rank is on one of them.
    fn have_ranks(&self) -> bool {
        [1, 2].iter().any(|node| {
            let node = format!("{}-node{node}", prefix());
            let pids = Command::new("ip")
                .args(["netns", "pids", &node])
                .output()
                .expect("ip is there");
            String::from_utf8_lossy(&pids.stdout).lines().any(|pid| {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                // A rank is this binary; daemons have it among the arguments of others.
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

/// Not those of somebody who tries the script by hand.
fn prefix() -> String {
    format!("test{}", std::process::id())
}

fn script(arguments: &[&str]) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/cluster/two-nodes.sh");
    let mut command = Command::new("bash");
    command
        .arg(path)
        .args(arguments)
        .env("TWO_NODES_PREFIX", prefix());
    command
}

/// With these, the daemons of mpirun notice a lost node sooner than the ranks do.
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

/// In one test, as the nodes are the same.
#[test]
fn two_nodes_work_together_and_end_together() {
    let Some(nodes) = Nodes::up() else {
        return;
    };
    let ended = nodes.run("values", &[]);
    assert!(ended.success, "{}", ended.text);
    for (rank, local_rank) in [(0, 0), (1, 1), (2, 0), (3, 1)] {
        let line = format!("rank {rank} is done as local rank {local_rank}");
        assert!(ended.text.contains(&line), "no {line:?} in\n{}", ended.text);
    }
    let ended = nodes.run("plans", &[]);
    assert!(ended.success, "{}", ended.text);

    let ended = nodes.run("stopped", &[]);
    let line = format!(": rank 1 ({}-node1) has not answered for 5 s", prefix());
    assert!(
        !ended.success && ended.text.contains(&line),
        "{}",
        ended.text
    );

    // mpirun sees that the node is lost, and says which.
    nodes.cut_soon();
    let ended = nodes.run("cut off", &KEEPALIVE);
    assert!(
        !ended.success && ended.after < Duration::from_secs(30),
        "{ended:?}"
    );
    assert!(
        ended
            .text
            .contains("lost communication with a remote daemon"),
        "{}",
        ended.text
    );
    assert!(ended.text.contains("10.77.0.2"), "{}", ended.text);
    assert!(!nodes.have_ranks());
    drop(nodes);

    // It does not, so the ranks do. mpirun itself stays until the node is removed.
    let nodes = Nodes::up().expect("they were there before");
    nodes.cut_soon();
    let (start, child) = nodes.start("cut off", &[]);
    while !nodes.have_ranks() && start.elapsed() < Duration::from_secs(4) {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(nodes.have_ranks(), "they were never there");
    while nodes.have_ranks() && start.elapsed() < Duration::from_secs(40) {
        thread::sleep(Duration::from_millis(100));
    }
    let after = start.elapsed();
    drop(nodes);
    let ended = Ended::of(child.wait_with_output().expect("a process ends"), after);
    assert!(ended.after < Duration::from_secs(30), "{ended:?}");
    let names = format!(
        "2 ({0}-node2), 3 ({0}-node2) have not answered for 5 s",
        prefix()
    );
    assert!(ended.text.contains(&names), "{}", ended.text);
}
