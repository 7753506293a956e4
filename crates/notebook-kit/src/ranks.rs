//! Training by several processes, started from a notebook.

use std::io::{BufRead, BufReader};
#[cfg(unix)]
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use process_group::{has_mpirun, mpirun};
use serde_json::Value;
use trainer::Error;

use crate::data::{fresh_run_dir, root};
use crate::display::{Html, RichDisplay, Table, decimals, print_line};
use crate::runs::RunCurves;

/// The figures of a run by several processes.
#[derive(Clone, Debug, PartialEq)]
pub struct RanksRun {
    /// The number of processes.
    pub processes: usize,
    /// Features per second of all processes together.
    pub features_per_second: f64,
    /// The share of the training time, in percent, that rank 0 waits for collectives; NaN for one process.
    pub communication: f64,
    /// The peak memory of rank 0 in MB; NaN if the system does not report it.
    pub peak_mb: f64,
    /// The loss of each optimizer step, as (step, value).
    pub losses: Vec<(f64, f64)>,
}

/// The Debian packages that MPI needs.
const PACKAGES: &str = "libopenmpi-dev openmpi-bin libclang-dev";

/// Keep evaluation and checkpoints short.
const SETTINGS: [&str; 2] = ["eval.max_eval_samples=8", "checkpoints.every_epochs=0"];

/// Trains a few steps of the quick start by DDP, once for each number of processes. Each step has `batch_size` features,
/// which the processes share, as they share the cores. `settings` override the configuration. Builds the `trainer`
/// command with MPI if needed, and prints the lines of rank 0.
///
/// # Errors
/// If there is no MPI (the message says what to install), a number of processes does not divide the batch, the command
/// cannot be built, or a run fails.
pub fn train_by_ranks(
    processes: &[usize],
    batch_size: usize,
    settings: &[&str],
) -> Result<Vec<RanksRun>, Error> {
    if let Some(count) = processes
        .iter()
        .find(|count| **count == 0 || !batch_size.is_multiple_of(**count))
    {
        let line = format!("{count} processes do not divide a batch of {batch_size} features");
        return Err(failed(line));
    }
    if !has_mpirun() {
        let line =
            format!("this notebook needs MPI: install it (Debian: apt-get install {PACKAGES})");
        return Err(failed(line));
    }
    let trainer = trainer_with_mpi()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let run = |count: &usize| {
        let run_dir = fresh_run_dir(&format!("ranks-{count}"))?;
        let mut command = launcher(*count, &trainer);
        command.arg("--run-dir").arg(&run_dir).args(SETTINGS);
        command.arg(match std::env::var_os("NOTEBOOKS_QUICK") {
            None => "train.max_steps=8",
            Some(_) => "train.max_steps=2",
        });
        command
            .args(shares(*count, batch_size, cores))
            .args(settings);
        print_line(&words(&command));
        succeed(command.current_dir(root()))?;
        RanksRun::read(&run_dir)
    };
    processes.iter().map(run).collect()
}

/// Settings that divide the batch and the cores among the processes.
fn shares(processes: usize, batch_size: usize, cores: usize) -> [String; 2] {
    let threads = (cores / processes).max(1);
    [
        format!(
            "train.per_device_train_batch_size={}",
            batch_size / processes
        ),
        format!("run.threads={threads}"),
    ]
}

/// The command, under mpirun for several processes. By default mpirun binds each rank to one core.
fn launcher(processes: usize, trainer: &Path) -> Command {
    if processes == 1 {
        return Command::new(trainer);
    }
    let mut command = mpirun(processes);
    command.args(["--bind-to", "none"]).arg(trainer);
    command.arg("distributed.strategy=ddp");
    command
}

impl RanksRun {
    /// Reads the folder of a finished run.
    fn read(run_dir: &Path) -> Result<Self, Error> {
        let path = run_dir.join(run_log::METRICS);
        let wrong = |message: String| Error::File {
            path: path.clone(),
            message,
        };
        let text = std::fs::read_to_string(&path).map_err(|e| wrong(e.to_string()))?;
        let metrics: Value = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        let figure = |key: &str| metrics[key].as_f64().unwrap_or(f64::NAN);
        Ok(Self {
            processes: figure("processes") as usize,
            features_per_second: figure("features_per_second"),
            communication: 100.0 * figure("communication_seconds") / figure("training_seconds"),
            peak_mb: figure("peak_memory_bytes") / 1e6,
            losses: RunCurves::read(run_dir)?.steps("train/loss"),
        })
    }

    /// The loss of the last step.
    fn last_loss(&self) -> f64 {
        self.losses.last().map_or(f64::NAN, |(_, loss)| *loss)
    }
}

impl RichDisplay for Vec<RanksRun> {
    fn html(&self) -> Html {
        let row = |run: &RanksRun| {
            [
                run.processes.to_string(),
                decimals(run.features_per_second, 1),
                decimals(run.communication, 1),
                decimals(run.peak_mb, 0),
                decimals(run.last_loss(), 4),
            ]
        };
        let head = [
            "processes",
            "features per second",
            "% of time communicating",
            "peak MB of rank 0",
            "last loss",
        ];
        Table::new(&head).rows(self.iter().map(row)).html()
    }
}

/// The command line, without the folder of the program.
fn words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name();
    let words = program.into_iter().chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

/// Builds the `trainer` command with MPI in the target folder of the workspace, which holds a build of Burn. The kernel
/// has a `CARGO_TARGET_DIR` of its own; `NOTEBOOK_TARGET_DIR` is the one of the shell that started it.
fn trainer_with_mpi() -> Result<PathBuf, Error> {
    let target = std::env::var_os("NOTEBOOK_TARGET_DIR").filter(|folder| !folder.is_empty());
    let target = target.map_or_else(|| root().join("target"), PathBuf::from);
    let mut cargo = Command::new("cargo");
    cargo.args([
        "build",
        "-p",
        "trainer",
        "--features",
        "mpi",
        "--target-dir",
    ]);
    cargo.arg(&target).current_dir(root());
    let built = succeed(&cargo);
    built.map_err(|error| failed(format!("{error}; with MPI it needs Debian's {PACKAGES}")))?;
    Ok(target.join("debug/trainer"))
}

/// Runs a program and prints its standard error, except Cargo's last line.
fn succeed(command: &Command) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy();
    let mut print = |line: &str| {
        if !line.trim_start().starts_with("Finished `") {
            print_line(line);
        }
    };
    let ended = Guarded::start(command).and_then(|guarded| guarded.follow(&mut print));
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(format!("{program}: {status}"))),
        Err(error) => Err(failed(format!("{program}: {error}"))),
    }
}

fn failed(line: String) -> Error {
    process_group::Error::Launch(line).into()
}

/// A shell script that kills the program when the script's standard input ends: when its [`Guarded`] is dropped, and
/// when the kernel dies. Interrupting a kernel kills it, and it cannot clean up.
const GUARD: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- & program=$!
{ read -r _; kill "$program"; } <&3 3<&- >/dev/null 2>&1 & guard=$!
wait "$program"; code=$?
kill "$guard"
exit "$code"
"#;

/// A program that does not outlive this value or the kernel.
struct Guarded(Child);

impl Guarded {
    /// Starts the program and discards its standard output.
    fn start(program: &Command) -> std::io::Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", GUARD, "sh"]);
        shell.arg(program.get_program()).args(program.get_args());
        if let Some(folder) = program.get_current_dir() {
            shell.current_dir(folder);
        }
        // The guard survives a signal to the process group of the kernel.
        #[cfg(unix)]
        shell.process_group(0);
        shell.stdin(Stdio::piped()).stdout(Stdio::null());
        shell.stderr(Stdio::piped()).spawn().map(Self)
    }

    /// Passes on each line of standard error, and returns the exit status.
    fn follow(mut self, on_line: &mut dyn FnMut(&str)) -> std::io::Result<ExitStatus> {
        if let Some(pipe) = self.0.stderr.take() {
            for line in BufReader::new(pipe).split(b'\n') {
                on_line(String::from_utf8_lossy(&line?).trim_end());
            }
        }
        self.0.wait()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Closes its standard input first. Waiting fails only for a program that has ended.
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_from_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let lines = "{\"step\":1,\"train/loss\":4.0}\n{\"step\":2,\"train/loss\":3.5}\n";
        std::fs::write(folder.join("metrics.jsonl"), lines).unwrap();
        let read = |communication: Value| {
            let metrics = serde_json::json!({
                "processes": 2, "features_per_second": 12.5, "training_seconds": 8.0,
                "communication_seconds": communication, "peak_memory_bytes": 600_000_000,
            });
            std::fs::write(folder.join("metrics.json"), metrics.to_string()).unwrap();
            RanksRun::read(folder).unwrap()
        };
        let run = read(2.0.into());
        assert_eq!(
            (run.processes, run.communication, run.peak_mb),
            (2, 25.0, 600.0)
        );
        assert_eq!((run.features_per_second, run.last_loss()), (12.5, 3.5));
        assert!(vec![run].html().as_str().contains("right\">3.5000</td>"));
        assert!(read(Value::Null).communication.is_nan());
        std::fs::write(folder.join("metrics.json"), "{").unwrap();
        let error = RanksRun::read(folder).unwrap_err().to_string();
        assert!(
            error.contains("metrics.json: ") && error.lines().count() == 1,
            "{error}"
        );
    }

    #[test]
    fn one_process_needs_no_launcher() {
        let line = |ranks| words(launcher(ranks, "target/trainer".as_ref()).arg("a=1"));
        assert_eq!(line(1), "trainer a=1");
        let (line, end) = (
            line(2),
            " -n 2 --bind-to none target/trainer distributed.strategy=ddp a=1",
        );
        assert!(line.starts_with("mpirun ") && line.ends_with(end), "{line}");
    }

    #[test]
    fn processes_share_batch_and_cores() {
        assert_eq!(
            shares(1, 16, 5),
            ["train.per_device_train_batch_size=16", "run.threads=5"]
        );
        assert_eq!(
            shares(2, 16, 5),
            ["train.per_device_train_batch_size=8", "run.threads=2"]
        );
        assert_eq!(
            shares(8, 16, 5),
            ["train.per_device_train_batch_size=2", "run.threads=1"]
        );
        let error = train_by_ranks(&[1, 3], 16, &[]).unwrap_err().to_string();
        let line = "3 processes do not divide a batch of 16 features";
        assert!(
            error.contains(line) && error.lines().count() == 1,
            "{error}"
        );
        for batch_size in [0, 16] {
            let error = train_by_ranks(&[0], batch_size, &[]).unwrap_err();
            assert!(error.to_string().contains("0 processes"), "{error}");
        }
    }

    #[test]
    fn a_failed_program_is_an_error_of_one_line() {
        succeed(Command::new("sh").args(["-c", "exit 0"])).unwrap();
        let error = succeed(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "sh: exit status: 3");
    }

    fn shell(script: &str) -> Guarded {
        Guarded::start(Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn passes_on_lines_and_the_exit_status() {
        let mut lines = Vec::new();
        let mut on_line = |line: &str| lines.push(line.to_owned());
        let script = "echo one >&2; echo nobody; printf 'two \\n' >&2; exit 7";
        let status = shell(script).follow(&mut on_line).unwrap();
        assert_eq!(
            (lines, status.code()),
            (vec!["one".into(), "two".into()], Some(7))
        );
    }

    #[test]
    fn dropping_a_guarded_program_kills_it() {
        let mut guarded = shell("echo $$ >&2; exec sleep 1000");
        let mut line = String::new();
        let pipe = guarded.0.stderr.as_mut().unwrap();
        BufReader::new(pipe).read_line(&mut line).unwrap();
        let lives = || {
            let mut asked = Command::new("kill");
            asked.args(["-0", line.trim()]).stderr(Stdio::null());
            asked.status().unwrap().success()
        };
        assert!(lives(), "{line}");
        drop(guarded);
        assert!(!lives(), "{line}");
    }
}
