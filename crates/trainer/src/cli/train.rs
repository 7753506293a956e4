use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use qa_metrics::{max_exact_match, max_f1};
use squad_data::{Example, counted};
use trainer::{
    Config, DistributedConfig, Error, Observer, Outcome, RunDir, RunStart, Trained, Trainer,
};

use super::args::Train;
use super::log::Log;
use super::signals::{AtOnce, STOPPED};
use super::{config_error, file_error, finish, home, notice, or_none, signals};

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
    let is_alone = group.world_size() == 1;
    let trainer = resolved.and_then(|(file, config)| prepare(args, &file, config, is_alone));
    let result = trainer::check_all_ranks(&*group, trainer)
        .and_then(|trainer| fit(trainer.group(Arc::clone(&group)), group.rank()));
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
    let device = args.device.iter().map(|name| format!("run.device={name}"));
    let settings: Vec<_> = args.settings.iter().cloned().chain(device).collect();
    let file = match (&args.config, &args.resume) {
        (Some(file), _) => file.clone(),
        (None, Some(run)) => RunDir::config_in(run)?,
        (None, None) => PathBuf::from("configs/quickstart.toml"),
    };
    let is_named = args.config.is_some() || args.resume.is_some();
    let mut config = if is_named || file.exists() {
        Config::resolve(&file, &settings)?
    } else {
        quick_start(&settings)?
    };
    home::expand_in(&mut config);
    if args.resume.is_some() {
        check_relative_paths(&config)?;
    }
    Ok((file, config))
}

/// Finds out whether a run is resumed in another folder than it was begun in.
fn check_relative_paths(config: &Config) -> Result<(), Error> {
    let mut files = config.train.files.iter().chain([&config.eval.file]);
    let is_missing = |file: &&PathBuf| file.is_relative() && !file.exists();
    let Some(file) = files.find(|file| !file.as_os_str().is_empty() && is_missing(file)) else {
        return Ok(());
    };
    let message = "no such file; a run's relative paths start at the folder that the run was begun in: resume it there";
    Err(file_error(file, message))
}

/// The quick start's settings in a folder that is not the repository's.
fn quick_start(settings: &[String]) -> Result<Config, Error> {
    let config = Config::quick_start(settings)?;
    let sample = Path::new("datasets/sample");
    let is_in_sample = |file: &PathBuf| file.starts_with(sample);
    let asks_for_sample =
        config.train.files.iter().any(is_in_sample) || is_in_sample(&config.eval.file);
    if asks_for_sample && !sample.exists() {
        let message = "the quick start's questions are in the repository's datasets/sample: run it there, or give train.files=FILE \
                       and eval.file=FILE; trainer fetch dataset squad1 downloads SQuAD";
        return Err(config_error(message));
    }
    Ok(config)
}

fn prepare(
    args: Train,
    config_file: &Path,
    config: Config,
    is_alone: bool,
) -> Result<Trainer<'static>, Error> {
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
    let at_once = signals::stop_on_signals(&trainer.stop_flag())?;
    // Of several processes each would have to end so.
    at_once.set(is_alone);
    Ok(trainer.observer(BeforeTheFirstStep(at_once)))
}

/// Until the first step nothing would be lost: a signal ends the process at once, and not after data and model are there.
struct BeforeTheFirstStep(AtOnce);

impl Observer for BeforeTheFirstStep {
    fn start(&mut self, _: &RunStart) {
        self.0.set(false);
    }
}

fn fit(trainer: Trainer<'_>, rank: usize) -> Result<ExitCode, Error> {
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
                "stopped after step {}; to go on: {} --resume {}",
                stopped.step,
                program(),
                quoted(&stopped.run_dir)
            ));
            Ok(ExitCode::from(STOPPED))
        }
        Outcome::Worker { stopped: true } => Ok(ExitCode::from(STOPPED)),
        Outcome::Worker { stopped: false } => Ok(ExitCode::SUCCESS),
    }
}

/// Three answers, the metrics and the next commands.
fn summary(trained: &Trained) -> String {
    let examples = &trained.eval.dataset.examples;
    let shown = examples.len().min(3);
    let title = if shown < examples.len() {
        "Three of the evaluation set's questions:"
    } else {
        "The evaluation set's questions:"
    };
    let mut lines = vec![String::new(), title.into()];
    // The first question of each third of the set, so that their contexts differ.
    for index in (0..shown).map(|part| part * examples.len() / shown) {
        let (example, prediction) = (&examples[index], &trained.predictions[index]);
        lines.push(format!("  Q: {}", example.question.trim()));
        lines.push(format!(
            "  A: {}   ({})",
            or_none(&prediction.text),
            verdict(example, &prediction.text)
        ));
    }
    let metrics = &trained.metrics;
    let figure = |value: &serde_json::Value| value.as_f64().unwrap_or(f64::NAN);
    lines.push(format!(
        "\n{}, {:.2} features/s in training, {:.0} s in all, peak memory {:.0} MiB",
        counted(figure(&metrics["steps"]) as usize, "step"),
        figure(&metrics["features_per_second"]),
        figure(&metrics["seconds"]),
        figure(&metrics["peak_memory_bytes"]) / f64::from(1 << 20),
    ));
    let (program, model) = (program(), quoted(&trained.model_folder));
    lines.extend([
        "\nTry next:".into(),
        format!(
            "  {program} predict --model {model} --question 'What do bees collect?' --context 'Bees collect nectar and pollen from flowers.'"
        ),
        format!("  {program} evaluate --model {model} --dataset FILE"),
    ]);
    #[cfg(feature = "serve")]
    lines.push(format!("  {program} serve --model {model}"));
    #[cfg(feature = "tensorboard")]
    lines.push(format!(
        "  tensorboard --logdir {}",
        quoted(&trained.run_dir.join(run_log::TENSORBOARD_DIR))
    ));
    lines.join("\n") + "\n"
}

/// How this program was called, as a shell can call it again.
fn program() -> String {
    // Cargo sets it for what it runs.
    if std::env::var_os("CARGO_MANIFEST_DIR").is_some() {
        return "cargo run -p trainer --".into();
    }
    let called = std::env::args_os().next();
    let called = called.map_or_else(|| "trainer".into(), PathBuf::from);
    quoted(&called).into_owned()
}

/// A path as a word for a shell.
fn quoted(path: &Path) -> Cow<'_, str> {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    if text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''")).into()
}

/// Whether an answer is right by the official metric; if not, with the first gold answer.
fn verdict(example: &Example, answer: &str) -> String {
    let gold: Vec<&str> = example
        .answers()
        .iter()
        .map(|gold| gold.text.as_str())
        .collect();
    if max_exact_match(answer, &gold) {
        return "right".into();
    }
    let part = if max_f1(answer, &gold) > 0.0 {
        "partly right"
    } else {
        "wrong"
    };
    format!("{part}: {}", or_none(gold.first().unwrap_or(&"")))
}

#[cfg(test)]
mod tests {
    use squad_data::{Gold, GoldAnswer};

    use super::*;

    #[test]
    fn paths_in_commands_are_words_for_a_shell() {
        for (path, word) in [
            ("runs/minilm-squad1.5/model", "runs/minilm-squad1.5/model"),
            ("läufe/日本", "läufe/日本"),
            ("my runs/a", "'my runs/a'"),
            ("it's $HOME", r"'it'\''s $HOME'"),
            ("~/a", "'~/a'"),
        ] {
            assert_eq!(quoted(path.as_ref()), word);
        }
    }

    #[test]
    fn a_verdict_is_that_of_the_official_metric() {
        let mut example = Example::new("q", "Who?", "The old Ane Holm did.");
        example.gold = Gold::Unanswerable;
        assert_eq!(verdict(&example, ""), "right");
        assert_eq!(verdict(&example, "Ane"), "wrong: (no answer)");
        let answer = |text: &str| GoldAnswer {
            text: text.into(),
            start: example.context.find(text),
        };
        example.gold = Gold::Answers([answer("Ane Holm"), answer("Holm")].into());
        assert_eq!(verdict(&example, "the Holm"), "right");
        assert_eq!(verdict(&example, "old Ane"), "partly right: Ane Holm");
        assert_eq!(verdict(&example, "did"), "wrong: Ane Holm");
        assert_eq!(verdict(&example, ""), "wrong: Ane Holm");
    }
}
