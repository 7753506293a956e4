//! The command under `mpirun`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::support::{Sandbox, skip, wait_for};

/// Whatever happens to a rank, all have ended after this.
const SOON: Duration = Duration::from_secs(60);

/// A run of several ranks that was started.
pub(crate) struct Launched {
    child: Child,
    told: PathBuf,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    /// What all ranks and the launcher said.
    pub(crate) text: String,
}

/// Whether there is an `mpirun`; says aloud that a test is skipped where there is none.
pub(crate) fn has_mpirun() -> bool {
    let is_there = process_group::has_mpirun();
    if !is_there {
        skip("no mpirun (Debian: openmpi-bin)");
    }
    is_there
}

/// The words of the command for each rank.
pub(crate) fn trainer(arguments: &[&str]) -> Vec<String> {
    let program = env!("CARGO_BIN_EXE_trainer");
    std::iter::once(&program)
        .chain(arguments)
        .map(|a| a.to_string())
        .collect()
}

impl Launched {
    /// Starts a launcher in the sandbox's folder.
    pub(crate) fn start(sandbox: &Sandbox, mut launcher: Command) -> Self {
        let number = sandbox.files(".").len();
        let told = sandbox.path(&format!("told-{number}.txt"));
        let file = File::create(&told).unwrap();
        launcher
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .env("TRAINER_TOLD", &told)
            .current_dir(sandbox.path("."));
        Self {
            child: launcher.spawn().unwrap(),
            told,
        }
    }

    /// The process of a rank on this machine, once it is there.
    pub(crate) fn rank(&self, rank: usize) -> u32 {
        let variables = [
            format!("TRAINER_TOLD={}", self.told.display()),
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

    /// Waits for the end, which comes soon.
    pub(crate) fn end(mut self) -> Ended {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if started.elapsed() > SOON {
                let _ = self.child.kill();
                let text = std::fs::read_to_string(&self.told).unwrap();
                panic!("the ranks have not ended after {SOON:?}:\n{text}");
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        Ended {
            code: status.code(),
            text: std::fs::read_to_string(&self.told).unwrap(),
        }
    }
}

pub(crate) fn signal(process: u32, name: &str) {
    let arguments = [format!("-{name}"), process.to_string()];
    let status = Command::new("kill").args(arguments).status();
    assert!(status.unwrap().success());
}

impl Ended {
    /// The lines that begin with `error:`, of all ranks.
    pub(crate) fn errors(&self) -> Vec<&str> {
        let lines = self.text.lines();
        lines.filter(|line| line.starts_with("error: ")).collect()
    }

    /// The user's mistake, told in one line with all parts, by one rank.
    pub(crate) fn mistake(&self, parts: &[&str]) {
        assert_eq!(self.code, Some(2), "{self:?}");
        let errors = self.errors();
        assert_eq!(errors.len(), 1, "{self:?}");
        self.has(parts);
    }

    /// Everything is in what was told.
    pub(crate) fn has(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.text.contains(part), "no {part:?} in\n{}", self.text);
        }
        assert!(!self.text.contains("panicked"), "{}", self.text);
    }
}
