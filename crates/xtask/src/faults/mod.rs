//! `cargo xtask faults`: trains under a seeded schedule of faults, resumes, and compares with a run that nothing disturbed.

mod fault;
mod folder;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use test_support::Random;

use crate::arguments::Arguments;
use crate::{print_line, root, target_folder, tiny};
use fault::{Calls, Fault};
use folder::RunFiles;

const USAGE: &str = "\
cargo xtask faults [--schedules N] [--seed N] [--program FILE] [--mpi FILE]

Runs N schedules (default 10), those of the seeds from --seed (default 0) on. Each trains a tiny encoder under one to three faults: killed
at a system call, an error of a system call (full disk, failing fsync, interrupted), a slow disk, a file cut in the middle of a write.
With --mpi, a program with the feature `mpi`, two ranks train, one of which is killed, stopped or delayed. After each fault the last
checkpoint must still be there; the resumed run must end with the files and the bits of a run that nothing disturbed.
Needs strace. The program is target/debug/trainer: build it first.";

/// Nothing here takes longer, also on a busy machine: what does hangs.
const DEADLINE: Duration = Duration::from_secs(180);

const SETTINGS: [&str; 11] = [
    "train.num_train_epochs=4",
    "train.max_train_samples=24",
    "train.learning_rate=1e-3",
    "train.per_device_train_batch_size=4",
    "train.gradient_accumulation_steps=2",
    "eval.max_eval_samples=6",
    "eval.metric_for_best_model=f1",
    "checkpoints.every_steps=2",
    "checkpoints.save_total_limit=2",
    "checkpoints.export_every_epochs=2",
    "--device=ndarray",
];

/// Whether every schedule ended as it should.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    let mut arguments = Arguments::new(arguments, USAGE);
    let schedules: u64 = arguments.number("--schedules", 10)?;
    let first: u64 = arguments.number("--seed", 0)?;
    let program = arguments.text("--program")?.map(PathBuf::from);
    let mpi = arguments.text("--mpi")?.map(PathBuf::from);
    arguments.end()?;
    let end = first.checked_add(schedules);
    let seeds = first..end.ok_or("--seed and --schedules are too large")?;
    let bench = Bench::new(program, mpi)?;
    let mut failed = Vec::new();
    for seed in seeds {
        match bench.schedule(seed) {
            Ok(outcomes) => print_line(&format!("{seed}: {outcomes}")),
            Err(message) => {
                print_line(&format!("{seed}: FAILED: {message}"));
                failed.push(seed.to_string());
            }
        }
    }
    print_line(&format!(
        "schedules: {schedules}, failed: {} {}",
        failed.len(),
        failed.join(" ")
    ));
    Ok(failed.is_empty())
}

/// What all schedules share.
struct Bench {
    folder: PathBuf,
    program: PathBuf,
    /// Whether two ranks train.
    mpi: bool,
    /// What the run that nothing disturbed left.
    undisturbed: RunFiles,
    /// How often it called what.
    calls: Calls,
}

/// How a process ended.
pub(crate) struct Ended {
    /// The exit code; that of a signal is 128 and its number, as in a shell.
    pub(crate) code: i32,
    pub(crate) errors: String,
}

impl Bench {
    fn new(program: Option<PathBuf>, mpi: Option<PathBuf>) -> Result<Self, String> {
        let folder = target_folder().join(if mpi.is_some() {
            "faults-mpi"
        } else {
            "faults"
        });
        let _ = std::fs::remove_dir_all(&folder);
        tiny::write(&folder)?;
        let mut bench = Self {
            mpi: mpi.is_some(),
            program: mpi
                .or(program)
                .unwrap_or_else(|| target_folder().join("debug/trainer")),
            undisturbed: RunFiles::default(),
            calls: Calls::default(),
            folder,
        };
        let run = bench.folder.join("undisturbed");
        let ended = bench.finish(bench.launch(&bench.begin(&run)), &run)?.0;
        if ended.code != 0 {
            return Err(format!(
                "the undisturbed run ended with {}: {}",
                ended.code, ended.errors
            ));
        }
        bench.undisturbed = RunFiles::read(&run)?;
        if !bench.mpi {
            let counted = bench.folder.join("counted");
            bench.calls = Calls::count(&bench.begin(&counted), &bench.folder.join("calls.txt"))?;
            // The negative control of every comparison: another seed gives another result.
            let other = bench.folder.join("other");
            let mut command = bench.begin(&other);
            command.push("train.seed=1".into());
            bench.finish(bench.launch(&command), &other)?;
            if bench.undisturbed.compare(&RunFiles::read(&other)?).is_ok() {
                return Err(
                    "a run with another seed has the same bits: the comparison sees nothing".into(),
                );
            }
            bench.undisturbed.compare(&RunFiles::read(&counted)?)?;
        }
        Ok(bench)
    }

    /// The command line that begins a run.
    fn begin(&self, run: &Path) -> Vec<String> {
        let config = self.folder.join("config.toml");
        let mut command = vec![
            self.program.display().to_string(),
            format!("--config={}", config.display()),
            format!("--run-dir={}", run.display()),
        ];
        command.extend(SETTINGS.map(String::from));
        if self.mpi {
            command.push("distributed.strategy=ddp".into());
        }
        command
    }

    /// The command line that goes on from a run's checkpoint, or begins it again if it has none.
    fn resume_or_begin(&self, run: &Path) -> Vec<String> {
        if folder::newest_checkpoint(run).is_none() {
            let _ = std::fs::remove_dir_all(run);
            return self.begin(run);
        }
        let program = self.program.display().to_string();
        vec![
            program,
            format!("--resume={}", run.display()),
            "--device=ndarray".into(),
        ]
    }

    /// The command, by two ranks if there are ranks.
    fn launch(&self, words: &[String]) -> Command {
        let mut command = if self.mpi {
            let mut command = Command::new("mpirun");
            command.args(["--allow-run-as-root", "--oversubscribe", "-n", "2"]);
            command.args(words);
            command
        } else {
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]);
            command
        };
        command.current_dir(root()).env("RUST_BACKTRACE", "0");
        command
    }

    /// Runs a command; the newest checkpoint that it was seen to complete.
    fn finish(&self, mut command: Command, run: &Path) -> Result<(Ended, Option<String>), String> {
        use std::os::unix::process::{CommandExt, ExitStatusExt};
        let errors = self.folder.join("errors.txt");
        let file = std::fs::File::create(&errors).map_err(|e| e.to_string())?;
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .process_group(0);
        let mut child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
        let started = Instant::now();
        let mut newest = None;
        let status = loop {
            let ended = child.try_wait().map_err(|e| e.to_string())?;
            newest = newest.max(folder::newest_checkpoint(run));
            if let Some(status) = ended {
                break status;
            }
            if started.elapsed() > DEADLINE {
                let group = format!("-{}", child.id());
                let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
                let _ = child.wait();
                return Err(format!("hangs: {command:?}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let errors = std::fs::read(&errors).map_err(|e| e.to_string())?;
        let code = status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        let errors = String::from_utf8_lossy(&errors).into_owned();
        Ok((Ended { code, errors }, newest))
    }

    /// One run under faults and the run that resumes it; a line of what happened.
    fn schedule(&self, seed: u64) -> Result<String, String> {
        // Spread, because neighbouring seeds begin alike, and 0 and 1 are one.
        let mut random = Random::new((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let run = self.folder.join(format!("run-{seed}"));
        let mut outcomes = Vec::new();
        for round in 0..random.below(3) + 1 {
            let words = self.resume_or_begin(&run);
            if round > 0 && run.join(run_log::METRICS).is_file() {
                break;
            }
            let fault = Fault::draw(&mut random, &self.calls, self.mpi);
            let (ended, newest) = fault.run(self, &words, &run)?;
            outcomes.push(format!("{fault} -> {}", ended.code));
            let context = || format!("{}: {}", outcomes.join("; "), last_lines(&ended.errors));
            if !fault.allows(ended.code) || ended.errors.contains("panicked") {
                return Err(context());
            }
            if folder::newest_checkpoint(&run) < newest {
                return Err(format!("checkpoint {newest:?} was lost; {}", context()));
            }
        }
        let words = self.resume_or_begin(&run);
        if !run.join(run_log::METRICS).is_file() {
            let (ended, _) = self.finish(self.launch(&words), &run)?;
            if ended.code != 0 {
                return Err(format!(
                    "{}; not resumed ({}): {}",
                    outcomes.join("; "),
                    ended.code,
                    last_lines(&ended.errors)
                ));
            }
        }
        RunFiles::read(&run)
            .and_then(|files| self.undisturbed.compare(&files))
            .map_err(|message| format!("{}: {message}", outcomes.join("; ")))?;
        let _ = std::fs::remove_dir_all(&run);
        Ok(outcomes.join("; "))
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}
