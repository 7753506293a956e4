//! What each rank does in a case.

use std::io::Write;
use std::process::Command;
use std::thread;
use std::time::Duration;

use process_group::{Collectives, Error, Limits, MpiGroup, ProcessGroup};

use crate::collectives;
use crate::launch::CASE;

/// Short, so that tests of lost ranks are; long enough for a machine with more ranks than cores.
pub(crate) const LIMITS: Limits = Limits {
    silence: Duration::from_secs(5),
    patience: Duration::from_secs(8),
    startup: Duration::from_secs(45),
};

#[test]
#[ignore = "started under mpirun by the other tests"]
fn worker() {
    let case = std::env::var(CASE).expect("started by hand");
    let group = MpiGroup::connect(LIMITS).expect("all ranks start");
    if let Err(error) = play(&case, &group) {
        // In one write, as all ranks have something to say at once.
        let line = format!("error on rank {}: {error}\n", group.rank());
        let _ = std::io::stderr().write_all(line.as_bytes());
        group.abort(3);
    }
    println!("rank {} is done", group.rank());
}

fn play(case: &str, group: &MpiGroup) -> Result<(), Error> {
    let victim = group.rank() == 1;
    match case {
        "values" => collectives::values(group)?,
        "plans" => collectives::plans(group)?,
        "large" => collectives::large(group)?,
        "digest" => collectives::digest(group)?,
        "overlap" => collectives::overlap(group)?,
        "unequal" => group.agree("the configuration", &[u8::from(victim)])?,
        "killed" => lose(group, victim, "KILL")?,
        "stopped" => lose(group, victim, "STOP")?,
        "stopped in flight" => {
            // Half a gigabyte takes longer than it takes to stop.
            let buffer = vec![1.0; 128 << 20];
            group.barrier()?;
            if victim {
                thread::spawn(|| {
                    thread::sleep(Duration::from_millis(50));
                    signal("STOP");
                });
            }
            group.all_reduce(buffer)?;
        }
        "stopped while others compute" => {
            group.barrier()?;
            if victim {
                signal("STOP");
            }
            while group.health().is_ok() {
                thread::sleep(Duration::from_millis(10));
            }
            group.health()?;
        }
        "suspended" => {
            group.barrier()?;
            let pending = group.start_all_reduce(vec![1.0; 1000]);
            let pid = std::process::id();
            shell(&format!("(sleep 12; kill -CONT {pid}) & kill -STOP {pid}"));
            pending.wait()?;
            lose(group, false, "")?;
        }
        "cut off" => {
            println!("rank {} is at work", group.rank());
            for _ in 0..600 {
                group.all_reduce(vec![1.0; 100])?;
                thread::sleep(Duration::from_millis(100));
            }
        }
        "late" => {
            if victim {
                thread::sleep(LIMITS.patience * 3);
            }
            group.all_reduce(vec![1.0])?;
        }
        "other length" => drop(group.all_reduce(vec![1.0; if victim { 5 } else { 4 }])?),
        "other operation" if victim => group.barrier()?,
        "other operation" => drop(group.all_reduce(vec![1.0])?),
        "leaves" if victim => (),
        "leaves" => lose(group, false, "")?,
        "panics" => {
            assert!(!victim, "no memory");
            lose(group, false, "")?;
        }
        "out of memory" => {
            if victim {
                eprintln!("error on rank 1: out of memory");
                group.abort(4);
            }
            lose(group, false, "")?;
        }
        "no part" => drop(group.all_gather(vec![0.0; 5])?),
        "no root" => drop(group.broadcast(vec![0.0; 5], 9)?),
        _ => panic!("no case {case:?}"),
    }
    Ok(())
}

/// A few steps, after which a victim loses its life while the others go on.
fn lose(group: &MpiGroup, victim: bool, how: &str) -> Result<(), Error> {
    for step in 0..2000 {
        if victim && step == 1000 {
            signal(how);
        }
        let sums = group.all_reduce(vec![1.0; 100])?;
        #[allow(clippy::cast_precision_loss)]
        let expected = group.world_size() as f32;
        assert_eq!(sums, [expected; 100]);
    }
    Ok(())
}

fn signal(name: &str) {
    shell(&format!("kill -{name} {}", std::process::id()));
}

fn shell(command: &str) {
    let status = Command::new("sh").args(["-c", command]).status();
    assert!(status.is_ok_and(|status| status.success()), "{command}");
}
