//! Runs of several processes under `mpirun`. All need Open MPI (Debian: `openmpi-bin`), as the feature `mpi` does.

mod faults;
mod runs;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::support::{Sandbox, signal, wait_for};

/// No launch takes longer, also on a busy machine: what is still there after this time hangs.
const DEADLINE: Duration = Duration::from_secs(300);

/// A launcher and its ranks.
pub(crate) struct Launched {
    child: Child,
    output: PathBuf,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    /// The output of all ranks and of the launcher.
    pub(crate) text: String,
}

/// The command line of a rank.
pub(crate) fn trainer(arguments: &[&str]) -> Vec<String> {
    let program = env!("CARGO_BIN_EXE_trainer");
    std::iter::once(&program)
        .chain(arguments)
        .map(|a| a.to_string())
        .collect()
}

impl Launched {
    /// Starts a launcher in the folder of the sandbox.
    pub(crate) fn start(sandbox: &Sandbox, mut launcher: Command) -> Self {
        let number = sandbox.files(".").len();
        let output = sandbox.path(&format!("output-{number}.txt"));
        let file = File::create(&output).unwrap();
        launcher
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .env("TRAINER_OUTPUT", &output)
            .current_dir(sandbox.path("."));
        Self {
            child: launcher.spawn().unwrap(),
            output,
        }
    }

    /// The process id of a rank on this machine; waits until the rank runs.
    pub(crate) fn rank(&self, rank: usize) -> u32 {
        let variables = [
            format!("TRAINER_OUTPUT={}", self.output.display()),
            format!("OMPI_COMM_WORLD_RANK={rank}"),
        ];
        let find = || {
            let processes = std::fs::read_dir("/proc").unwrap().flatten();
            let mut processes = processes.filter_map(|process| {
                let path = process.path();
                let exe = std::fs::read_link(path.join("exe")).ok()?;
                let environment = std::fs::read(path.join("environ")).ok()?;
                let environment = String::from_utf8_lossy(&environment).into_owned();
                let has = |variable: &String| environment.split('\0').any(|v| v == variable);
                let is_it =
                    exe == Path::new(env!("CARGO_BIN_EXE_trainer")) && variables.iter().all(has);
                is_it.then(|| process.file_name().to_str()?.parse::<u32>().ok())?
            });
            processes.next()
        };
        wait_for("rank", || find().is_some());
        find().unwrap()
    }

    /// Sends a signal to the launcher.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits until the launcher has ended.
    pub(crate) fn end(mut self) -> Ended {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if started.elapsed() > DEADLINE {
                let _ = self.child.kill();
                let text = std::fs::read_to_string(&self.output).unwrap();
                panic!("the ranks have not ended after {DEADLINE:?}:\n{text}");
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        Ended {
            code: status.code(),
            text: std::fs::read_to_string(&self.output).unwrap(),
        }
    }
}

impl Ended {
    /// The lines of all ranks that begin with `error: `.
    pub(crate) fn errors(&self) -> Vec<&str> {
        let lines = self.text.lines();
        lines.filter(|line| line.starts_with("error: ")).collect()
    }

    /// Checks that one rank prints one error with these parts and that the exit code is 2.
    pub(crate) fn check_one_error(&self, parts: &[&str]) {
        assert_eq!(self.code, Some(2), "{self:?}");
        let errors = self.errors();
        assert_eq!(errors.len(), 1, "{self:?}");
        self.check_output(parts);
    }

    /// Checks that the output has these parts.
    pub(crate) fn check_output(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.text.contains(part), "no {part:?} in\n{}", self.text);
        }
        assert!(!self.text.contains("panicked"), "{}", self.text);
    }
}
