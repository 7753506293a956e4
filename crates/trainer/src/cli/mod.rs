mod args;
mod devices;
mod evaluate;
mod fetch;
mod files;
mod home;
mod inspect;
mod log;
mod pipeline;
mod predict;
mod predict_dataset;
mod report;
mod score;
#[cfg(feature = "serve")]
mod serve;
mod signals;
mod train;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bert_qa::{AnswerOptions, BertConfig, Precision, Pretrained, QuestionAnswerer};
use burn::tensor::Device;
use clap::Parser;
use clap::error::ContextKind;
use qa_metrics::Metric;
use squad_data::{Dataset, counted};
use trainer::{AnswerConfig, Config, Error, FeatureConfig, print_result};

use args::{AnswerArgs, Cli, Command, DeviceArgs, FeatureArgs};

pub(crate) fn run() -> ExitCode {
    signals::report_files_that_are_too_large();
    let log = log::to_standard_error();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => return usage(&message),
    };
    let result = match cli.command {
        None => return train::run(cli.train, &log),
        Some(Command::Train(args)) => return train::run(args, &log),
        Some(Command::Evaluate(args)) => {
            evaluate::run(&args).map_err(|error| of_model(error, &args.model))
        }
        Some(Command::Score(args)) => score::run(&args),
        #[cfg(feature = "serve")]
        Some(Command::Serve(args)) => serve::run(&args),
        Some(Command::Predict(args)) => {
            let model = args.model.clone();
            predict::run(args).map_err(|error| of_model(error, &model))
        }
        Some(Command::Inspect(args)) => inspect::run(&args),
        Some(Command::Fetch(args)) => fetch::run(args.what),
        Some(Command::Report(args)) => report::run(&args),
        Some(Command::Devices(args)) => devices::run(&args),
    };
    finish(result.map(|()| ExitCode::SUCCESS))
}

/// Prints help, version or what is wrong with the arguments.
fn usage(message: &clap::Error) -> ExitCode {
    let text = message.render().to_string();
    if message.use_stderr() {
        trainer::print_log(setting_hint(message).as_deref().unwrap_or(text.trim_end()));
        return ExitCode::from(2);
    }
    finish(trainer::print_result(&text).map(|()| ExitCode::SUCCESS))
}

/// How a setting is written that was given as an option, as transformers' scripts take it: `--learning_rate 3e-5`.
fn setting_hint(message: &clap::Error) -> Option<String> {
    let is_training = std::env::args()
        .nth(1)
        .is_some_and(|first| first == "train" || first.starts_with('-'));
    let argument = message
        .get(ContextKind::InvalidArg)
        .filter(|_| is_training)?
        .to_string();
    let name = argument
        .trim_start_matches('-')
        .split('=')
        .next()?
        .replace('-', "_");
    let settings = toml::Table::try_from(Config::default()).ok()?;
    let mut paths = settings.iter().flat_map(|(section, keys)| {
        let keys = keys.as_table().into_iter().flat_map(toml::Table::keys);
        keys.map(move |key| (format!("{section}.{key}"), key))
    });
    let (path, _) = paths.find(|(path, key)| name == *path || name == **key)?;
    Some(format!(
        "error: {argument}: settings are written without --, as {path}=VALUE"
    ))
}

/// Makes NaN or infinity in a model that the user named an error in that model: exit code 2, and not a run that diverged.
fn of_model(error: Error, model: &str) -> Error {
    match error {
        Error::Model(bert_qa::Error::NotFinite { what }) => file_error(Path::new(model), what),
        error => error,
    }
}

fn finish(result: Result<ExitCode, Error>) -> ExitCode {
    result.unwrap_or_else(|error| {
        trainer::print_log(&format!("error: {error}"));
        ExitCode::from(error.exit_code())
    })
}

fn notice(line: &str) {
    tracing::info!("{line}");
}

/// Warns about questions of a file to be answered that have no id.
fn warn_about_numbered(count: usize) {
    if count > 0 {
        tracing::warn!(
            "{} without an id: the number in the file, from 0, takes its place",
            counted(count, "question")
        );
    }
}

fn warn_about_metric(dataset: &Dataset, metric: Metric) {
    if let Some(warning) = trainer::metric_warning(dataset, metric) {
        tracing::warn!("{warning}: give --metric");
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "(no answer)" } else { text }
}

/// A model and how it answers: what the arguments say, else the model's `qa_config.json`.
struct LoadedModel {
    folder: PathBuf,
    pretrained: Pretrained,
    device: Device,
    features: FeatureConfig,
    answers: AnswerConfig,
    /// Whether a question about one text may get no answer.
    has_no_answer: bool,
    precision: Precision,
}

impl LoadedModel {
    /// How a question about one text is answered.
    fn options(&self, must_answer: bool) -> AnswerOptions {
        self.answers.options(self.has_no_answer && !must_answer)
    }

    fn answerer(self, options: AnswerOptions) -> QuestionAnswerer {
        let Pretrained { model, assets, .. } = self.pretrained;
        let features = self.features.options();
        QuestionAnswerer::new(model, assets.tokenizer, features, options, self.device)
            .with_precision(self.precision)
    }
}

fn load(
    model: &str,
    device: &DeviceArgs,
    features: &FeatureArgs,
    answers: &AnswerArgs,
) -> Result<LoadedModel, Error> {
    let precision = device.precision();
    answers.check()?;
    let (info, device) = trainer::device(&device.device)?;
    trainer::warn_without_gpu(&info);
    if precision == Precision::Int8 && !matches!(info.name.as_str(), "ndarray" | "flex") {
        return Err(Error::Device(format!(
            "--precision int8 is for --device ndarray or flex, not {}: take bf16 or f32 there",
            info.name
        )));
    }
    let folder = trainer::model_folder(model, &notice)?;
    let mut pretrained = Pretrained::load(&folder, 0, &device)?;
    let tokenizer = &pretrained.assets.tokenizer;
    for warning in pretrained
        .report
        .warnings
        .iter()
        .chain(tokenizer.warnings())
    {
        tracing::warn!("{warning}");
    }
    let default = pretrained.assets.qa_config_or_default();
    let config = features.over((&default).into());
    config.options().validate()?;
    config.check_positions(&pretrained.assets.config)?;
    let answer_config = answers.over((&default).into());
    if pretrained.assets.qa_config.is_none() && features.max_seq_length.is_none() {
        notice_short_features(&config, &pretrained.assets.config);
    }
    if let Some(problem) = pretrained.report.untrained_head() {
        tracing::warn!("{model} has no trained span head: its answers are random ({problem})");
    }
    let model = pretrained.model.with_precision(precision, &device);
    pretrained.model = model.fuse_qkv_projections();
    // A model that was evaluated on answerable questions alone always answers, unless a threshold is given.
    let known = pretrained.assets.qa_config.as_ref();
    let has_no_answer = known.is_none_or(|config| config.allow_no_answer)
        || answers.null_score_diff_threshold.is_some();
    Ok(LoadedModel {
        folder,
        pretrained,
        device,
        features: config,
        answers: answer_config,
        has_no_answer,
        precision,
    })
}

/// Says what limits the features of a model without `qa_config.json`, if they are shorter than by default.
fn notice_short_features(features: &FeatureConfig, model: &BertConfig) {
    let length = features.max_seq_length;
    if length >= FeatureConfig::default().max_seq_length {
        return;
    }
    let limit = if length < model.max_seq_length() {
        format!("tokenizer_config.json has model_max_length {length}")
    } else {
        format!("the model holds {length} tokens")
    };
    let doc_stride = features.doc_stride;
    notice(&format!(
        "{limit}: max_seq_length {length}, doc_stride {doc_stride}"
    ));
}

/// Prints one JSON object, or a line for each of its figures.
fn print_object(value: &serde_json::Value, json: bool) -> Result<(), Error> {
    let mut text = String::new();
    if json {
        text = format!("{value}\n");
    } else {
        add_figures("", value, &mut text);
    }
    print_result(&text)
}

fn add_figures(prefix: &str, value: &serde_json::Value, lines: &mut String) {
    for (key, value) in value.as_object().into_iter().flatten() {
        if value.is_object() {
            add_figures(&format!("{prefix}{key}."), value, lines);
        } else if !value.is_array() {
            *lines += &format!("{prefix}{key}: {value}\n");
        }
    }
}

/// One complaint about the arguments.
fn config_error(message: impl Into<String>) -> Error {
    Error::Config(vec![message.into()])
}

fn file_error(path: &Path, message: impl ToString) -> Error {
    Error::File {
        path: path.into(),
        message: message.to_string(),
    }
}
