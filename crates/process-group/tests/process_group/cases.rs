//! What each rank does in a case.
#![allow(clippy::print_stdout, clippy::print_stderr)] // What a rank prints is what the tests read.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use process_group::{Collectives, Error, MpiGroup, Pending, ProcessGroup, Timeouts};

use crate::collectives;

/// Short, so that tests of lost ranks are short; long enough for a machine with more ranks than cores.
pub(crate) const TIMEOUTS: Timeouts = Timeouts {
    heartbeat: Duration::from_secs(5),
    collective: Duration::from_secs(8),
    startup: Duration::from_secs(60),
};

/// A case in which `mpirun` must notice a lost node before the ranks do.
pub(crate) const PATIENT_AT_WORK: &str = "at work, patient";

pub(crate) fn play(case: &str) {
    let mut timeouts = TIMEOUTS;
    match case {
        PATIENT_AT_WORK => timeouts.heartbeat = Duration::from_secs(60),
        "leaves after a while" => timeouts.collective = Duration::from_secs(90),
        _ => {}
    }
    let group = MpiGroup::connect(timeouts).expect("all ranks start");
    if let Err(error) = run(case, &group) {
        // In one write, because several ranks may print at once.
        let line = format!("error on rank {}: {error}\n", group.rank());
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
        group.abort(3);
    }
    println!("rank {} is done", group.rank());
}

fn run(case: &str, group: &MpiGroup) -> Result<(), Error> {
    let is_victim = group.rank() == 1;
    match case {
        "values" => collectives::values(group)?,
        "plans" => collectives::plans(group)?,
        "large" => collectives::large(group)?,
        "digest" => collectives::digest(group)?,
        "overlap" => collectives::overlap(group)?,
        "unequal" => group.check_equal("the configuration", &[u8::from(is_victim)])?,
        "killed" => steps(group, is_victim, "KILL")?,
        "stopped" => steps(group, is_victim, "STOP")?,
        "stopped in flight" => {
            // Half a gigabyte. When the first buffer is there, the other ranks are in the next ones.
            let start = |_| group.start_all_reduce(vec![1.0; 8 << 20]);
            let mut pending: Vec<Pending<_>> = (0..16).map(start).collect();
            pending.remove(0).wait()?;
            if is_victim {
                signal("STOP");
            }
            for pending in pending {
                pending.wait()?;
            }
        }
        "stopped while others compute" => {
            group.barrier()?;
            if is_victim {
                signal("STOP");
            }
            while group.health().is_ok() {
                thread::sleep(Duration::from_millis(10));
            }
            group.health()?;
        }
        "stopped while others leave" => {
            group.barrier()?;
            if is_victim {
                signal("STOP");
            }
        }
        "killed while it leaves" => leaves_and_gets(group, "KILL")?,
        "stopped while it leaves" => leaves_and_gets(group, "STOP")?,
        "leaves late" => {
            group.barrier()?;
            if is_victim {
                thread::sleep(TIMEOUTS.collective * 4);
            }
        }
        "leaves after a while" => {
            group.barrier()?;
            if is_victim {
                thread::sleep(TIMEOUTS.heartbeat * 2);
            }
        }
        "suspended" => {
            group.barrier()?;
            let pending = group.start_all_reduce(vec![1.0; 1000]);
            let pid = std::process::id();
            shell(&format!("(sleep 12; kill -CONT {pid}) & kill -STOP {pid}"));
            pending.wait()?;
            steps(group, false, "")?;
        }
        "at work" | PATIENT_AT_WORK => {
            println!("rank {} is at work", group.rank());
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(120) {
                group.all_reduce(vec![1.0; 100])?;
                thread::sleep(Duration::from_millis(100));
            }
        }
        "late" => {
            if is_victim {
                thread::sleep(TIMEOUTS.collective * 4);
            }
            group.all_reduce(vec![1.0])?;
        }
        "other length" => drop(group.all_reduce(vec![1.0; if is_victim { 5 } else { 4 }])?),
        "other operation" if is_victim => group.barrier()?,
        "other operation" => drop(group.all_reduce(vec![1.0])?),
        "leaves" if is_victim => {}
        "leaves" => steps(group, false, "")?,
        "panics" => {
            assert!(!is_victim, "no memory");
            steps(group, false, "")?;
        }
        "out of memory" => {
            if is_victim {
                eprintln!("error on rank 1: out of memory");
                group.abort(4);
            }
            steps(group, false, "")?;
        }
        "no shard" => drop(group.all_gather(vec![0.0; 5])?),
        "no root" => drop(group.broadcast(vec![0.0; 5], 9)?),
        _ => panic!("unknown case {case}"),
    }
    Ok(())
}

/// Two thousand collectives; a victim gets the signal after the first thousand.
fn steps(group: &MpiGroup, is_victim: bool, name: &str) -> Result<(), Error> {
    for step in 0..2000 {
        if is_victim && step == 1000 {
            signal(name);
        }
        let sums = group.all_reduce(vec![1.0; 100])?;
        #[allow(clippy::cast_precision_loss)]
        let expected = group.world_size() as f32;
        assert_eq!(sums, [expected; 100]);
    }
    Ok(())
}

/// Rank 1 leaves, and gets the signal while it waits for rank 0, which leaves later.
fn leaves_and_gets(group: &MpiGroup, name: &str) -> Result<(), Error> {
    group.barrier()?;
    match group.rank() {
        0 => thread::sleep(Duration::from_secs(4)),
        1 => shell(&format!("(sleep 2; kill -{name} {}) &", std::process::id())),
        _ => {}
    }
    Ok(())
}

/// Sends this process a signal that stops or kills it.
fn signal(name: &str) {
    shell(&format!("kill -{name} {}", std::process::id()));
    // The signal may arrive later than the shell ends.
    thread::sleep(Duration::from_secs(60));
}

fn shell(command: &str) {
    let status = Command::new("sh").args(["-c", command]).status();
    assert!(status.is_ok_and(|status| status.success()), "{command}");
}
