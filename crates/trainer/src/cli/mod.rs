mod args;
mod evaluate;
mod fetch;
mod log;
mod predict;
mod report;
mod score;
mod train;

use std::path::Path;
use std::process::ExitCode;

use bert_qa::Pretrained;
use burn::tensor::Device;
use clap::Parser;
use serde_json::json;
use squad_data::{Dataset, Feature, QaTokenizer, make_features};
use trainer::{Error, FeatureConfig};

use args::{Cli, Command, Devices, Inspect};

pub(crate) fn run() -> ExitCode {
    let log = log::to_standard_error();
    let cli = Cli::parse();
    let result = match cli.command {
        None => return train::run(cli.train, &log),
        Some(Command::Train(args)) => return train::run(args, &log),
        Some(Command::Evaluate(args)) => evaluate::run(&args),
        Some(Command::Score(args)) => score::run(&args),
        Some(Command::Predict(args)) => predict::run(args),
        Some(Command::Inspect(args)) => inspect(&args),
        Some(Command::Fetch(args)) => fetch::run(args.what),
        Some(Command::Report(args)) => report::run(&args),
        Some(Command::Devices(args)) => devices(&args),
    };
    finish(result.map(|()| ExitCode::SUCCESS))
}

fn finish(result: Result<ExitCode, Error>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(error.exit_code())
    })
}

fn notice(line: &str) {
    tracing::info!("{line}");
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "(no answer)" } else { text }
}

fn load(
    model: &str,
    device: &str,
    features: &FeatureConfig,
) -> Result<(Pretrained, Device), Error> {
    let (info, device) = trainer::device(device)?;
    trainer::warn_without_gpu(&info);
    features.options().validate()?;
    let folder = trainer::model_folder(model, &notice)?;
    let pretrained = Pretrained::load(&folder, 0, &device)?;
    for warning in pretrained.assets.tokenizer.warnings() {
        notice(&format!("warning: {warning}"));
    }
    features.check_positions(&pretrained.assets.config)?;
    if !pretrained.report.missing.is_empty() {
        notice(&format!(
            "warning: {model} has no trained span head: its answers are random"
        ));
    }
    Ok((pretrained, device))
}

fn inspect(args: &Inspect) -> Result<(), Error> {
    let options = args.features.config().options();
    options.validate()?;
    let (dataset, text_bytes) = Dataset::read_with_size(&args.dataset)?;
    let tokenizer = QaTokenizer::from_file(&args.tokenizer)?;
    for warning in tokenizer.warnings() {
        notice(&format!("warning: {warning}"));
    }
    let features = make_features(&dataset.examples, &tokenizer, &options)?;
    let peak_memory_bytes = trainer::peak_memory_bytes();
    let stats = squad_data::inspect(&dataset.examples, &features);
    let mut stats = serde_json::to_value(&stats).expect("counts and texts are plain JSON");
    let feature_bytes: usize = features.iter().map(Feature::memory_bytes).sum();
    stats["text_bytes"] = text_bytes.into();
    stats["feature_bytes"] = feature_bytes.into();
    stats["peak_memory_bytes"] = peak_memory_bytes.into();
    if !args.json {
        for lost in stats["lost"].as_array().into_iter().flatten() {
            println!("answer lost: {lost}");
        }
    }
    print_object(&stats, args.json);
    Ok(())
}

fn devices(args: &Devices) -> Result<(), Error> {
    let (devices, absent) = (trainer::devices(), trainer::absent_devices());
    if args.json {
        println!("{}", json!({ "devices": devices, "absent": absent }));
        return Ok(());
    }
    for device in devices {
        println!("{:10} {}", device.name, device.description);
    }
    for device in absent {
        println!("{:10} not present: {}", device.name, device.description);
    }
    Ok(())
}

/// Prints one JSON object, or a line for each of its figures.
fn print_object(value: &serde_json::Value, json: bool) {
    if json {
        println!("{value}");
    } else {
        print_figures("", value);
    }
}

fn print_figures(prefix: &str, value: &serde_json::Value) {
    for (key, value) in value.as_object().into_iter().flatten() {
        if value.is_object() {
            print_figures(&format!("{prefix}{key}."), value);
        } else if !value.is_array() {
            println!("{prefix}{key}: {value}");
        }
    }
}

fn read_text(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|e| file_error(path, e))
}

fn file_error(path: &Path, message: impl ToString) -> Error {
    Error::File {
        path: path.into(),
        message: message.to_string(),
    }
}
