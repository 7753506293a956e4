//! One run of one side.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::options::Options;
use super::place::{Place, read};
use super::process;
use super::side::{Kind, Side};
use crate::root;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    Train,
    Answer,
}

/// What one run gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    pub(super) features_per_second: f64,
    /// The highest resident size of the process, in bytes.
    pub(super) peak_memory: f64,
}

/// Lets `side` do its work in a process of its own.
pub(super) fn measure(
    task: Task,
    side: &Side,
    place: &Place,
    options: &Options,
) -> Result<Measured, String> {
    let measured = match (&side.kind, task) {
        (Kind::Peer(pad), _) => peer(task, pad, side, place, options),
        (Kind::Ours(device), Task::Train) => train(device, side, place, options),
        (Kind::Ours(device), Task::Answer) if side.is_f32() => answer(device, place, options),
        (Kind::Ours(_), Task::Answer) => Err("`trainer evaluate` answers in f32 only".into()),
    };
    measured.map_err(|error| format!("{side}: {error}"))
}

fn train(device: &str, side: &Side, place: &Place, options: &Options) -> Result<Measured, String> {
    let run_dir = place.scratch.join("run");
    let precision = if side.medium { "medium" } else { "highest" };
    let settings = [
        format!("train.per_device_train_batch_size={}", options.batch),
        format!("train.max_steps={}", options.steps),
        format!("features.max_seq_length={}", options.max_length),
        format!("features.doc_stride={}", options.stride),
        format!("run.device={device}"),
        format!("run.threads={}", options.threads),
        format!("run.float32_matmul_precision={precision}"),
        format!("run.bf16={}", side.bf16),
    ];
    let mut command = Command::new(&place.trainer);
    command
        .args([
            "train",
            "--config",
            "configs/minilm-squad1.toml",
            "--run-dir",
        ])
        .arg(&run_dir);
    command.args([
        "train.num_train_epochs=1",
        "eval.max_eval_samples=1",
        "eval.every_epochs=0",
        "checkpoints.every_epochs=0",
    ]);
    command.args(place.settings()).args(settings);
    let finished = process::run(command.current_dir(root()))?;
    let metrics = read(&run_dir.join("metrics.json"))?;
    fs::remove_dir_all(&run_dir).map_err(|error| format!("{}: {error}", run_dir.display()))?;
    measured(&metrics, finished.peak_memory)
}

fn answer(device: &str, place: &Place, options: &Options) -> Result<Measured, String> {
    let mut command = Command::new(&place.trainer);
    command
        .arg("evaluate")
        .arg("--model")
        .arg(&place.model)
        .arg("--dataset")
        .arg(&place.questions);
    command
        .args(["--json", "--device", device, "--threads"])
        .arg(options.threads.to_string());
    let finished = process::run(command.args(window_arguments(
        "--max-seq-length",
        "--doc-stride",
        options,
    )))?;
    measured(&finished.json()?, finished.peak_memory)
}

fn peer(
    task: Task,
    pad: &str,
    side: &Side,
    place: &Place,
    options: &Options,
) -> Result<Measured, String> {
    let task = if task == Task::Train {
        "train"
    } else {
        "answer"
    };
    let mut command = peer_command(task, place, options);
    command.args(["--pad", pad]);
    if side.medium {
        command.args(["--matmul-precision", "medium"]);
    }
    if side.bf16 {
        command.arg("--bf16");
    }
    let finished = process::run(&mut command)?;
    measured(&finished.json()?, finished.peak_memory)
}

/// `tools/reference/peer.py` on the same windows.
pub(super) fn peer_command(task: &str, place: &Place, options: &Options) -> Command {
    let mut command = Command::new(&place.python);
    command
        .arg(root().join("tools/reference/peer.py"))
        .arg(task)
        .arg(&place.model)
        .arg(&place.questions);
    command.args(window_arguments("--max-length", "--stride", options));
    for (name, value) in [
        ("--batch", options.batch),
        ("--threads", options.threads),
        ("--steps", options.steps),
    ] {
        command.arg(name).arg(value.to_string());
    }
    command
}

/// The windows that our side makes of the questions: how many, and their tokens.
pub(super) fn our_windows(place: &Place, options: &Options) -> Result<(f64, f64), String> {
    let mut command = Command::new(&place.trainer);
    command
        .arg("inspect")
        .arg("--dataset")
        .arg(&place.questions)
        .arg("--tokenizer")
        .arg(&place.model)
        .arg("--json");
    let counts = process::run(command.args(window_arguments(
        "--max-seq-length",
        "--doc-stride",
        options,
    )))?
    .json()?;
    let windows = figure(&counts, "features")?;
    Ok((windows, (windows * figure(&counts, "mean_length")?).round()))
}

fn window_arguments(length: &str, stride: &str, options: &Options) -> [String; 4] {
    let [max_length, overlap] =
        [options.max_length, options.stride].map(|number| number.to_string());
    [length.into(), max_length, stride.into(), overlap]
}

fn measured(figures: &Value, peak_memory: u64) -> Result<Measured, String> {
    Ok(Measured {
        features_per_second: figure(figures, "features_per_second")?,
        peak_memory: peak_memory as f64,
    })
}

pub(super) fn figure(figures: &Value, key: &str) -> Result<f64, String> {
    figures[key]
        .as_f64()
        .ok_or_else(|| format!("no {key} in {figures}"))
}

/// A model folder with weights, for answering: a random one is one step of training away.
pub(super) fn trained_model(place: &Place, options: &Options) -> Result<Place, String> {
    let run_dir = place.scratch.join("weights");
    let mut command = Command::new(&place.trainer);
    command
        .args([
            "train",
            "--config",
            "configs/minilm-squad1.toml",
            "--run-dir",
        ])
        .arg(&run_dir);
    command.args([
        "train.max_steps=1",
        "train.per_device_train_batch_size=1",
        "train.max_train_samples=1",
        "eval.max_eval_samples=1",
    ]);
    command.args(["model.init=random", "checkpoints.every_epochs=0"]);
    for (key, path) in [
        ("model.source", &place.model),
        ("train.files", &place.questions),
        ("eval.file", &place.questions),
    ] {
        command.arg(format!("{key}={}", path.display()));
    }
    command.arg(format!("run.threads={}", options.threads));
    process::run(command.current_dir(root()))?;
    let model: &Path = &run_dir.join("model");
    Ok(Place {
        model: model.to_owned(),
        ..place.with_config(&[])?
    })
}
