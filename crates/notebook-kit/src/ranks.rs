//! Training by several processes, started from a notebook.

use std::path::{Path, PathBuf};
use std::process::Command;

use process_group::{has_mpirun, mpirun};
use serde_json::Value;
use trainer::Error;

use crate::curves::RunCurves;
use crate::data::{fresh_run_dir, root};
use crate::display::{Html, RichDisplay};
use crate::guarded::Guarded;
use crate::table::{Table, decimals};

/// What a run by several processes left in its folder.
#[derive(Clone, Debug, PartialEq)]
pub struct RanksRun {
    /// How many.
    pub processes: usize,
    /// Of all processes together, while they trained.
    pub windows_per_second: f64,
    /// The share of this time, in percent, in which rank 0 waited for tensors of the others; NaN for one process.
    pub communication: f64,
    /// The most that rank 0 held, in MB; NaN where the system does not tell it.
    pub peak_mb: f64,
    /// The loss of each optimizer step, as (step, value).
    pub losses: Vec<(f64, f64)>,
}

/// What Debian calls the parts that are needed.
const PACKAGES: &str = "libopenmpi-dev openmpi-bin libclang-dev";

/// With a few steps, and little beside them.
const SETTINGS: [&str; 2] = ["eval.max_eval_samples=8", "checkpoints.every_epochs=0"];

/// Makes the same few steps of the quick start with each of these numbers of processes, by DDP: every step with
/// `batch_size` windows, which the processes share, as they share the cores. Settings are laid over it, and the lines of
/// rank 0 are printed as they come. The processes are of the `trainer` command, which is built with MPI if need be.
/// Where there is no MPI, a line says what to install, and there is nothing to show.
///
/// # Errors
/// If a number of processes does not divide the batch, the command cannot be built, or a run fails: the lines above say
/// why. Where nothing may be skipped (`SQUAD_BURN_NO_SKIP`), if there is no MPI.
pub fn train_by_ranks(
    processes: &[usize],
    batch_size: usize,
    settings: &[&str],
) -> Result<Vec<RanksRun>, Error> {
    if let Some(count) = processes
        .iter()
        .find(|count| !batch_size.is_multiple_of(**count))
    {
        let line = format!("{count} processes do not divide a batch of {batch_size} windows");
        return Err(failed(line));
    }
    if !has_mpirun() {
        return without_mpi(std::env::var_os("SQUAD_BURN_NO_SKIP").is_some());
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
        println!("{}", words(&command));
        succeed(command.current_dir(root()))?;
        RanksRun::read(&run_dir)
    };
    processes.iter().map(run).collect()
}

/// What each of so many processes takes of a batch and of the cores.
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

/// The command alone, or under mpirun, which would bind each of two ranks to one core, threads or not.
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
    /// Reads the figures of a finished run.
    fn read(run_dir: &Path) -> Result<Self, Error> {
        let path = run_dir.join("metrics.json");
        let wrong = |message: String| Error::File {
            path: path.clone(),
            message,
        };
        let text = std::fs::read_to_string(&path).map_err(|e| wrong(e.to_string()))?;
        let metrics: Value = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        let figure = |key: &str| metrics[key].as_f64().unwrap_or(f64::NAN);
        Ok(Self {
            processes: figure("processes") as usize,
            windows_per_second: figure("features_per_second"),
            communication: 100.0 * figure("communication_seconds") / figure("training_seconds"),
            peak_mb: figure("peak_memory_bytes") / 1e6,
            losses: RunCurves::read(run_dir)?.steps("train/loss"),
        })
    }

    /// The loss of the last step.
    pub fn last_loss(&self) -> f64 {
        self.losses.last().map_or(f64::NAN, |(_, loss)| *loss)
    }
}

impl RichDisplay for Vec<RanksRun> {
    fn html(&self) -> Html {
        let row = |run: &RanksRun| {
            [
                run.processes.to_string(),
                decimals(run.windows_per_second, 1),
                decimals(run.communication, 1),
                decimals(run.peak_mb, 0),
                decimals(run.last_loss(), 4),
            ]
        };
        let head = [
            "processes",
            "windows per second",
            "% of the time communicating",
            "peak MB of rank 0",
            "last loss",
        ];
        Table::new(&head).rows(self.iter().map(row)).html()
    }
}

fn without_mpi(is_needed: bool) -> Result<Vec<RanksRun>, Error> {
    let line = format!("there is no MPI on this machine: install it (Debian: {PACKAGES})");
    match is_needed {
        true => Err(failed(line)),
        false => {
            println!("SKIPPED: {line}");
            Ok(Vec::new())
        }
    }
}

/// What one would type, without the folder of the program.
fn words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name();
    let words = program.into_iter().chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

/// Builds the command where the workspace's own builds are, so that it takes their Burn. `NOTEBOOK_TARGET_DIR` is
/// where a `CARGO_TARGET_DIR` was before the kernel had one of its own.
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

/// Prints what a program says, but for Cargo's last line.
fn succeed(command: &Command) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy();
    let mut told = |line: &str| {
        if !line.trim_start().starts_with("Finished `") {
            println!("{line}");
        }
    };
    let ended = Guarded::start(command).and_then(|guarded| guarded.follow(&mut told));
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(format!("{program}: {status}"))),
        Err(error) => Err(failed(format!("{program}: {error}"))),
    }
}

fn failed(line: String) -> Error {
    process_group::Error::Launch(line).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_from_its_folder() {
        let folder =
            std::env::temp_dir().join(format!("notebook-kit-ranks-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let lines = "{\"step\":1,\"train/loss\":4.0}\n{\"step\":2,\"train/loss\":3.5}\n";
        std::fs::write(folder.join("metrics.jsonl"), lines).unwrap();
        let read = |communication: Value| {
            let metrics = serde_json::json!({
                "processes": 2, "features_per_second": 12.5, "training_seconds": 8.0,
                "communication_seconds": communication, "peak_memory_bytes": 600_000_000,
            });
            std::fs::write(folder.join("metrics.json"), metrics.to_string()).unwrap();
            RanksRun::read(&folder).unwrap()
        };
        let run = read(2.0.into());
        assert_eq!(
            (run.processes, run.communication, run.peak_mb),
            (2, 25.0, 600.0)
        );
        assert_eq!((run.windows_per_second, run.last_loss()), (12.5, 3.5));
        assert!(vec![run].html().as_str().contains("right\">3.5000</td>"));
        assert!(read(Value::Null).communication.is_nan());
        std::fs::write(folder.join("metrics.json"), "{").unwrap();
        let error = RanksRun::read(&folder).unwrap_err().to_string();
        assert!(
            error.contains("metrics.json: ") && error.lines().count() == 1,
            "{error}"
        );
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn one_process_needs_no_launcher() {
        let told = |ranks| words(launcher(ranks, "target/trainer".as_ref()).arg("a=1"));
        assert_eq!(told(1), "trainer a=1");
        let (told, end) = (
            told(2),
            " -n 2 --bind-to none target/trainer distributed.strategy=ddp a=1",
        );
        assert!(told.starts_with("mpirun ") && told.ends_with(end), "{told}");
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
        let line = "3 processes do not divide a batch of 16 windows";
        assert!(
            error.contains(line) && error.lines().count() == 1,
            "{error}"
        );
        assert!(train_by_ranks(&[0], 16, &[]).is_err());
    }

    #[test]
    fn without_mpi_a_line_says_what_is_missing() {
        assert_eq!(without_mpi(false).unwrap(), []);
        let error = without_mpi(true).unwrap_err().to_string();
        assert!(
            error.contains("openmpi-bin") && error.lines().count() == 1,
            "{error}"
        );
    }

    #[test]
    fn a_program_that_fails_is_told_in_one_line() {
        succeed(Command::new("sh").args(["-c", "exit 0"])).unwrap();
        let error = succeed(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "sh: exit status: 3");
    }
}
