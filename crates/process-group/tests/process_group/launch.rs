//! Starts this test binary again, as a single process or under `mpirun`, to play a case.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use test_support::TempDir;

/// The variable with the case that a process plays.
pub(crate) const CASE: &str = "PROCESS_GROUP_CASE";

/// No launch takes longer, also on a busy machine: what is still there after this time hangs.
const DEADLINE: Duration = Duration::from_secs(300);

/// Processes that play a case.
pub(crate) struct Launched {
    child: Child,
    folder: TempDir,
    start: Instant,
}

/// How a launch ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) success: bool,
    /// Standard output and standard error of all ranks and of the launcher.
    pub(crate) text: String,
    #[cfg_attr(not(feature = "mpi"), allow(dead_code))]
    pub(crate) after: Duration,
}

impl Launched {
    /// Appends this binary to a launcher, or starts it without one.
    pub(crate) fn start(launcher: Option<Command>, case: &str, variables: &[(&str, &str)]) -> Self {
        let program = std::env::current_exe().expect("this binary has a path");
        let mut command = match launcher {
            Some(mut launcher) => {
                launcher.arg(program);
                launcher
            }
            None => Command::new(program),
        };
        let folder = test_support::temp_dir();
        let output = File::create(folder.path().join("output")).expect("a writable folder");
        for name in ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"] {
            command.env_remove(name);
        }
        command
            .args(["worker::rank", "--exact", "--nocapture"])
            .env(CASE, case)
            .envs(variables.iter().copied())
            .stdout(output.try_clone().expect("an open file"))
            .stderr(output);
        Self {
            child: command
                .spawn()
                .expect("mpirun (Debian: openmpi-bin) and bash"),
            folder,
            start: Instant::now(),
        }
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("output")
    }

    /// What was printed so far.
    pub(crate) fn text(&self) -> String {
        let bytes = std::fs::read(self.output()).expect("the file of the output");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until a rank has printed this, and ends the launcher if it does not end by itself: mpirun of Open MPI 4.1.4
    /// sometimes misses that its ranks have ended.
    #[cfg(feature = "mpi")]
    pub(crate) fn wait_for_line(mut self, line: &str) {
        while !self.text().contains(line) {
            let text = self.text();
            assert!(self.start.elapsed() < DEADLINE, "no {line:?} in\n{text}");
            thread::sleep(Duration::from_millis(50));
        }
        for _ in 0..100 {
            if self.child.try_wait().expect("a child process").is_some() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn end(mut self) -> Ended {
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child process") {
                break status;
            }
            if self.start.elapsed() > DEADLINE {
                let _ = self.child.kill();
                panic!("not ended after {DEADLINE:?}:\n{}", self.text());
            }
            thread::sleep(Duration::from_millis(5));
        };
        Ended {
            success: status.success(),
            text: self.text(),
            after: self.start.elapsed(),
        }
    }
}

/// Plays a case in one process without a launcher.
pub(crate) fn single(case: &str, variables: &[(&str, &str)]) -> Ended {
    Launched::start(None, case, variables).end()
}

/// Plays a case in several processes on this machine.
#[cfg(feature = "mpi")]
pub(crate) fn mpirun(ranks: usize, case: &str) -> Ended {
    Launched::start(Some(process_group::mpirun(ranks)), case, &[]).end()
}
