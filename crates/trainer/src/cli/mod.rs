mod args;
mod log;
mod report;
mod train;

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;

use bert_qa::{Pretrained, QuestionAnswerer};
use burn::tensor::Device;
use clap::Parser;
use qa_metrics::NaProbs;
use serde::de::DeserializeOwned;
use serde_json::json;
use squad_data::{Dataset, QaTokenizer, make_features};
use trainer::{AnswerConfig, Error, Questions, WindowConfig};

use args::{Cli, Command, Devices, Evaluate, Fetch, FetchWhat, Inspect, Predict, Score};

pub(crate) fn run() -> ExitCode {
    log::to_standard_error();
    let cli = Cli::parse();
    let result = match cli.command {
        None => return finish(train::run(cli.train)),
        Some(Command::Train(args)) => return finish(train::run(args)),
        Some(Command::Evaluate(args)) => evaluate(args),
        Some(Command::Score(args)) => score(&args),
        Some(Command::Predict(args)) => predict(args),
        Some(Command::Inspect(args)) => inspect(&args),
        Some(Command::Fetch(Fetch {
            what: FetchWhat::Model { name },
        })) => fetch_model(&name),
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
    match text {
        "" => "(no answer)",
        text => text,
    }
}

fn load(model: &str, device: &str, windows: &WindowConfig) -> Result<(Pretrained, Device), Error> {
    let (_, device) = trainer::device(device)?;
    windows.options().validate()?;
    let folder = trainer::model_folder(model, &notice)?;
    let pretrained = Pretrained::load(&folder, 0, &device)?;
    windows.check_positions(&pretrained.companions.config)?;
    if !pretrained.report.missing.is_empty() {
        notice(&format!(
            "warning: {model} has no trained span head: its answers are random"
        ));
    }
    Ok((pretrained, device))
}

fn evaluate(args: Evaluate) -> Result<(), Error> {
    let dataset = Dataset::read(&args.dataset)?;
    let windows = args.windows.config();
    let (loaded, device) = load(&args.model, &args.device, &windows)?;
    let Pretrained {
        model, companions, ..
    } = loaded;
    let questions = Questions::new(dataset, &companions.tokenizer, &windows)?;
    let bar = indicatif::ProgressBar::new(questions.features.len() as u64);
    let done = &mut |finished| bar.set_position(finished as u64);
    let evaluation =
        trainer::evaluate(&model, &questions, &AnswerConfig::default(), &device, done)?;
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
    let null_odds = na_probs
        .as_ref()
        .map(|probs| (probs, qa_metrics::DEFAULT_NA_PROB_THRESH));
    let answered = |id: &str| predictions.contains_key(id);
    let missing = dataset
        .examples
        .iter()
        .filter(|example| !answered(&example.id))
        .count();
    if missing > 0 {
        notice(&format!("warning: {missing} questions have no prediction"));
    }
    let scores =
        trainer::score(&dataset, &predictions, null_odds).map_err(|source| Error::Metrics {
            path: args.predictions.clone(),
            source,
        })?;
    print_object(&scores, args.json);
    Ok(())
}

fn predict(args: Predict) -> Result<(), Error> {
    let context = match (args.context, args.context_file) {
        (Some(context), _) => context,
        (None, Some(path)) => read_text(&path)?,
        (None, None) => unreachable!("clap asks for one of the two"),
    };
    for (what, text) in [("question", &args.question), ("context", &context)] {
        if text.trim().is_empty() {
            return Err(Error::Config(vec![format!("the {what} is empty")]));
        }
    }
    let windows = args.windows.config();
    let (loaded, device) = load(&args.model, &args.device, &windows)?;
    let Pretrained {
        model, companions, ..
    } = loaded;
    let answers = squad_data::AnswerOptions {
        allow_no_answer: true,
        ..Default::default()
    };
    let windows = windows.options();
    let answerer = QuestionAnswerer::new(model, companions.tokenizer, windows, answers, device);
    let prediction = answerer.answer(&args.question, &context)?;
    let answers: Vec<_> = prediction.n_best.iter().take(args.top_k.max(1)).collect();
    if args.json {
        println!(
            "{}",
            json!({ "answer": prediction.text, "null_odds": prediction.null_odds, "answers": answers })
        );
        return Ok(());
    }
    for span in answers {
        let range = &span.chars;
        println!(
            "{:6.3}  {}  [{}..{}]",
            span.probability,
            or_none(&span.text),
            range.start,
            range.end
        );
    }
    Ok(())
}

fn inspect(args: &Inspect) -> Result<(), Error> {
    let windows = args.windows.config().options();
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
    let folder = trainer::model_folder(name, &notice)?;
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
    std::fs::read_to_string(path).map_err(|e| Error::File {
        path: path.into(),
        message: e.to_string(),
    })
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    serde_json::from_str(&read_text(path)?).map_err(|e| Error::File {
        path: path.into(),
        message: e.to_string(),
    })
}
