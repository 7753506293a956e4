use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
#[cfg(unix)]
use std::sync::atomic::AtomicBool;

use trainer::{Config, DistributedConfig, Error, Outcome, RunDir, StopFlag, Trained, Trainer};

use super::args::Train;
use super::log::Log;
use super::{finish, notice, or_none};

/// Trains until the end or a signal. Exit code 75: stopped, with a checkpoint to resume from.
pub(super) fn run(args: Train, log: &Log) -> ExitCode {
    let resolved = resolve(&args);
    let distributed = resolved.as_ref().map(|(_, config)| &config.distributed);
    let group = match trainer::connect(distributed.unwrap_or(&DistributedConfig::default())) {
        Ok(group) => group,
        Err(Error::PeerFailed { exit_code }) => return ExitCode::from(exit_code),
        Err(error) => return finish(Err(error)),
    };
    if group.rank() != 0 {
        log.errors_only();
    }
    let trainer = resolved.and_then(|(file, config)| prepare(args, &file, config));
    let result = trainer::check_all_ranks(&*group, trainer)
        .and_then(|trainer| run_to_its_end(trainer.group(Arc::clone(&group)), group.rank()));
    match result {
        Err(Error::PeerFailed { exit_code }) => ExitCode::from(exit_code),
        Err(error) if error.must_abort_group() && group.world_size() > 1 => {
            trainer::print_log(&format!("error: {error}"));
            group.abort(error.exit_code().into())
        }
        result => finish(result),
    }
}

/// The configuration and its file.
fn resolve(args: &Train) -> Result<(PathBuf, Config), Error> {
    let file = match (&args.config, &args.resume) {
        (Some(file), _) => file.clone(),
        (None, Some(run)) => RunDir::config_in(run)?,
        (None, None) => "configs/quickstart.toml".into(),
    };
    let device = args.device.iter().map(|name| format!("run.device={name}"));
    let settings: Vec<_> = args.settings.iter().cloned().chain(device).collect();
    let config = Config::resolve(&file, &settings)?;
    Ok((file, config))
}

fn prepare(args: Train, config_file: &Path, config: Config) -> Result<Trainer<'static>, Error> {
    let trainer = Trainer::new(config)?;
    let trainer = match args.resume {
        Some(run) => trainer
            .resume(run)
            .allow_config_changes(args.allow_config_changes),
        None => match args.run_dir {
            Some(run_dir) => trainer.run_dir(run_dir),
            None => {
                let name = config_file.file_stem().unwrap_or("run".as_ref());
                trainer.run_name(name.to_string_lossy())
            }
        },
    };
    stop_on_signals(&trainer.stop_flag())?;
    Ok(trainer)
}

fn run_to_its_end(trainer: Trainer<'_>, rank: usize) -> Result<ExitCode, Error> {
    let trainer = match rank {
        0 => trainer.observer(trainer::Progress::new()),
        _ => trainer,
    };
    match trainer.fit()? {
        Outcome::Finished(trained) => {
            trainer::print_result(&summary(&trained))?;
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Stopped(stopped) => {
            notice(&format!(
                "stopped after step {}; to go on: trainer --resume {}",
                stopped.step,
                stopped.run_dir.display()
            ));
            Ok(ExitCode::from(STOPPED))
        }
        Outcome::Worker { stopped: true } => Ok(ExitCode::from(STOPPED)),
        Outcome::Worker { stopped: false } => Ok(ExitCode::SUCCESS),
    }
}

/// The exit code for "resume me" (`EX_TEMPFAIL` of sysexits.h).
const STOPPED: u8 = 75;

/// SIGINT, SIGTERM, SIGUSR1 and SIGHUP stop the run; a second SIGINT (Ctrl-C) ends the process at once. The others do
/// not: schedulers send them twice. A SIGHUP that `nohup` makes the process ignore stays ignored.
#[cfg(unix)]
fn stop_on_signals(stop: &StopFlag) -> Result<(), Error> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
    use signal_hook::flag::{register, register_conditional_shutdown};
    let interrupted = Arc::new(AtomicBool::new(false));
    // The order matters: the first SIGINT must find its flag not set.
    let handlers = register_conditional_shutdown(SIGINT, 128 + SIGINT, interrupted.clone())
        .and_then(|_| register(SIGINT, interrupted))
        .and_then(|_| register(SIGINT, stop.shared()))
        .and_then(|_| register(SIGTERM, stop.shared()))
        .and_then(|_| register(SIGUSR1, stop.shared()))
        .and_then(|id| {
            if is_ignored(SIGHUP) {
                Ok(id)
            } else {
                register(SIGHUP, stop.shared())
            }
        });
    match handlers {
        Ok(_) => Ok(()),
        Err(e) => Err(Error::Device(format!("cannot handle signals: {e}"))),
    }
}

/// Whether the process was started with a signal ignored; `false` outside Linux.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(not(unix))]
fn stop_on_signals(_: &StopFlag) -> Result<(), Error> {
    Ok(())
}

/// Three answers, the metrics and the next commands.
fn summary(trained: &Trained) -> String {
    let examples = &trained.eval.dataset.examples;
    let mut lines = vec![
        String::new(),
        "Three of the evaluation set's questions:".into(),
    ];
    // One from each third, so that their contexts differ.
    for index in (0..3).map(|third| third * examples.len() / 3) {
        let (example, prediction) = (&examples[index], &trained.predictions[index]);
        let gold = example.answers().first().map_or("", |answer| &answer.text);
        lines.push(format!("  Q: {}", example.question.trim()));
        lines.push(format!(
            "  A: {}   (gold: {})",
            or_none(&prediction.text),
            or_none(gold)
        ));
    }
    let metrics = &trained.metrics;
    let figure = |value: &serde_json::Value| value.as_f64().unwrap_or(f64::NAN);
    lines.push(format!(
        "\n{} steps, {:.2} features/s in training, {:.0} s in all, peak memory {:.0} MiB",
        metrics["steps"],
        figure(&metrics["features_per_second"]),
        figure(&metrics["seconds"]),
        figure(&metrics["peak_memory_bytes"]) / f64::from(1 << 20),
    ));
    let model = trained.model_folder.display();
    lines.extend([
        "\nTry next:".into(),
        format!(
            "  cargo run -p trainer -- predict --model {model} --question 'What do bees collect?' --context 'Bees collect nectar and pollen from flowers.'"
        ),
        format!("  cargo run -p trainer -- evaluate --model {model} --dataset FILE"),
    ]);
    #[cfg(feature = "tensorboard")]
    lines.push(format!(
        "  tensorboard --logdir {}",
        trained.run_dir.join(run_log::TENSORBOARD_DIR).display()
    ));
    lines.join("\n") + "\n"
}
