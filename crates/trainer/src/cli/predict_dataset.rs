use std::path::Path;
use std::time::Instant;

use serde_json::json;
use squad_data::counted;
use trainer::{
    DatasetShard, Error, PredictDataset, PredictedDataset, PredictionFormat, Predictor,
    ResultWriter,
};

use super::args::Predict;
use super::files::{check_output, check_twice};
use super::{LoadedModel, config_error, load, notice, print_object, warn_about_numbered};

pub(super) fn run(args: &Predict, dataset: &Path) -> Result<(), Error> {
    let format = format(args);
    check(args, dataset, format)?;
    let predictor = predictor(args)?;
    if is_standard_input(dataset) {
        let (input, output) = (std::io::stdin().lock(), ResultWriter::new());
        let done = predictor.predict_lines(input, output, format)?;
        print_notices(&done);
        return Ok(());
    }
    let what = PredictDataset {
        dataset: dataset.into(),
        shard: args.shard.unwrap_or(DatasetShard::WHOLE),
        out: args.out.clone(),
        format,
    };
    let started = Instant::now();
    let bar = indicatif::ProgressBar::new(0);
    let done = predictor.predict_dataset(&what, &mut |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    print_notices(&done);
    if args.json {
        let summary = json!({
            "questions": done.questions,
            "resumed": done.resumed,
            "too_long": done.too_long,
            "seconds": started.elapsed().as_secs_f64(),
            "peak_memory_bytes": trainer::peak_memory_bytes(),
        });
        print_object(&summary, true)?;
    }
    Ok(())
}

fn is_standard_input(dataset: &Path) -> bool {
    dataset == Path::new("-")
}

/// Checks before a model is loaded that the arguments go together, and the files.
fn check(args: &Predict, dataset: &Path, format: PredictionFormat) -> Result<(), Error> {
    if args.top_k.is_some() {
        let message = "--top-k with --dataset needs --pipeline; --n-best-size sets the length of n-best lists";
        return Err(config_error(message));
    }
    let is_standard_input = is_standard_input(dataset);
    if is_standard_input && (args.shard.is_some() || args.out.is_some() || args.json) {
        let message =
            "--dataset - takes neither --shard nor --out nor --json: it answers line by line";
        return Err(config_error(message));
    }
    if args.json && args.out.is_none() {
        let message = "--json needs --out: without it the answers go to standard output";
        return Err(config_error(message));
    }
    if !is_standard_input {
        check_twice(dataset)?;
    }
    let mut files = args.out.iter().flat_map(|out| format.files(out));
    files.try_for_each(|file| check_output(&file, &[dataset]))
}

fn predictor(args: &Predict) -> Result<Predictor, Error> {
    let LoadedModel {
        pretrained,
        device,
        features,
        answers,
        has_no_answer,
        folder,
        ..
    } = load(&args.model, &args.device, &args.features, &args.answers)?;
    // Only a run that writes a file can be resumed.
    let digest = match &args.out {
        Some(_) => trainer::model_digest(&folder)?,
        None => String::new(),
    };
    Ok(Predictor {
        digest: format!("{digest} in {:?}", args.device.precision()),
        pretrained,
        features,
        answers,
        must_answer: args.must_answer || !has_no_answer,
        weights: bert_qa::WeightCache::default(),
        device,
    })
}

fn print_notices(done: &PredictedDataset) {
    warn_about_numbered(done.numbered);
    if done.resumed > 0 {
        notice(&format!("{} answers are of an earlier run", done.resumed));
    }
    if done.too_long > 0 {
        tracing::warn!(
            "{} too long for a feature, with an empty answer",
            counted(done.too_long, "question")
        );
    }
}

/// The form of `--format`, else that of the ending of `--out`.
fn format(args: &Predict) -> PredictionFormat {
    let ending = args.out.as_deref().and_then(Path::extension);
    let is = |name: &str| ending.is_some_and(|ending| ending.eq_ignore_ascii_case(name));
    match args.format {
        Some(format) => format.into(),
        None if is("json") => PredictionFormat::Squad,
        None if is("csv") => PredictionFormat::Csv,
        None => PredictionFormat::Jsonl,
    }
}
