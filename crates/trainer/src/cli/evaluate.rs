use std::time::Instant;

use bert_qa::Pretrained;
use serde_json::{Value, json};
use squad_data::ReadOptions;
use trainer::{Error, Evaluation, FeaturizedDataset, read_scorable};

use super::args::Evaluate;
use super::{LoadedModel, load, print_object, warn_about_metric};

pub(super) fn run(args: &Evaluate) -> Result<(), Error> {
    args.device.run(|| evaluate(args))
}

fn evaluate(args: &Evaluate) -> Result<(), Error> {
    args.answers.check()?;
    let options = ReadOptions {
        on_bad_answer: args.on_bad_answer.into(),
        ..ReadOptions::default()
    };
    let mut dataset = read_scorable(&[&args.dataset], &options)?;
    if let Some(count) = args.max_eval_samples {
        dataset = dataset.take(count.get());
    }
    let metric = args.metric.metric;
    warn_about_metric(&dataset, metric);
    let LoadedModel {
        pretrained: Pretrained { model, assets, .. },
        device,
        features,
        answers,
        ..
    } = load(&args.model, &args.device, &args.features, &args.answers)?;
    let started = Instant::now();
    let features = args.labels.over(features);
    let questions = FeaturizedDataset::new(dataset, &assets.tokenizer, &features)?;
    let tokenization_seconds = started.elapsed().as_secs_f64();
    if let Some(out) = &args.out {
        Evaluation::check_folder(out)?;
    }
    let bar = indicatif::ProgressBar::new(questions.features.len() as u64);
    let done = &mut |finished| bar.set_position(finished as u64);
    let mut evaluation = trainer::evaluate(&model, &questions, &answers, metric, &device, done)?;
    bar.finish_and_clear();
    add_timings(&mut evaluation, &questions, tokenization_seconds);
    if let Some(out) = &args.out {
        evaluation.write(out)?;
    }
    print_object(&evaluation.metrics, args.json)
}

/// What was worked on and how long it took, beside the scores.
fn add_timings(
    evaluation: &mut Evaluation,
    questions: &FeaturizedDataset,
    tokenization_seconds: f64,
) {
    let timings = evaluation.timings;
    let features = questions.features.len();
    let added = json!({
        "questions": questions.dataset.len(),
        "features": features,
        "tokenization_seconds": tokenization_seconds,
        "inference_seconds": timings.inference_seconds,
        "postprocess_seconds": timings.postprocess_seconds,
        "features_per_second": features as f64 / timings.inference_seconds,
    });
    if let (Value::Object(metrics), Value::Object(added)) = (&mut evaluation.metrics, added) {
        metrics.extend(added);
        let flaws = &questions.dataset.flaws;
        for (name, count) in [
            ("skipped_questions", flaws.skipped_questions),
            ("repaired_answers", flaws.repaired_answers),
            ("unlocated_answers", flaws.unlocated_answers),
        ] {
            if count > 0 {
                metrics.insert(name.into(), count.into());
            }
        }
    }
}
