use std::collections::HashMap;
use std::path::Path;

use bert_qa::{BertForQuestionAnswering, predict_logits};
use burn::tensor::Device;
use qa_metrics::{NaProbs, Question, score_v1, score_v2_with_na_probs};
use serde_json::{Map, Value, json};
use squad_data::{Dataset, Prediction, SpanLogits, extract_answers};

use crate::Error;
use crate::config::AnswerConfig;
use crate::data::Questions;
use crate::run_dir::write_whole;

/// A scored dataset.
#[derive(Debug)]
pub struct Evaluation {
    /// Exact match, in percent, of the official script of the dataset's version.
    pub exact_match: f64,
    /// F1, in percent.
    pub f1: f64,
    /// All figures, with the official script's keys.
    pub metrics: Value,
    /// The answers.
    pub predictions: Vec<Prediction>,
}

/// Answers every question and scores the answers; `done` is told how many windows are finished.
///
/// # Errors
/// If the answers cannot be scored.
pub fn evaluate(
    model: &BertForQuestionAnswering,
    questions: &Questions,
    answers: &AnswerConfig,
    device: &Device,
    done: &mut dyn FnMut(usize),
) -> Result<Evaluation, Error> {
    let logits = predict_logits(model, &questions.features, device, done);
    let spans: Vec<_> = logits
        .iter()
        .map(|[start, end]| SpanLogits { start, end })
        .collect();
    let options = answers.options(questions.dataset.has_unanswerable());
    let predictions = extract_answers(
        &questions.dataset.examples,
        &questions.features,
        &spans,
        &options,
    )?;
    // Scored are the best spans with their null odds: the metric applies the threshold itself, and
    // can then search for the best one among answers that this threshold would have withheld.
    let best = |p: &Prediction| {
        p.best_span
            .as_ref()
            .map_or(String::new(), |s| s.text.clone())
    };
    let texts = predictions
        .iter()
        .map(|p| (p.id.clone(), best(p)))
        .collect();
    let null_odds = predictions
        .iter()
        .map(|p| (p.id.clone(), f64::from(p.null_odds)))
        .collect();
    let threshold = f64::from(answers.null_score_diff_threshold);
    let metrics =
        score(&questions.dataset, &texts, Some((&null_odds, threshold))).map_err(|source| {
            Error::Metrics {
                path: questions.dataset.name.clone().into(),
                source,
            }
        })?;
    Ok(Evaluation {
        exact_match: figure(&metrics, "exact"),
        f1: figure(&metrics, "f1"),
        metrics,
        predictions,
    })
}

/// The official metric with the official script's keys: v1.1's for a dataset in which every
/// question has an answer, else v2.0's. `null_odds` adds the best thresholds to v2.0's.
///
/// # Errors
/// If there is nothing to score.
pub fn score(
    dataset: &Dataset,
    predictions: &HashMap<String, String>,
    null_odds: Option<(&NaProbs, f64)>,
) -> Result<Value, qa_metrics::Error> {
    let questions: Vec<_> = dataset
        .examples
        .iter()
        .map(|example| Question {
            id: &example.id,
            answers: example
                .answers
                .iter()
                .map(|answer| answer.text.as_str())
                .collect(),
        })
        .collect();
    let value = match (dataset.has_unanswerable(), null_odds) {
        (false, _) => serde_json::to_value(score_v1(&questions, predictions)?.scores),
        (true, None) => serde_json::to_value(qa_metrics::score_v2(&questions, predictions)?.scores),
        (true, Some((null_odds, threshold))) => {
            let scored = score_v2_with_na_probs(&questions, predictions, null_odds, threshold)?;
            serde_json::to_value(scored.scores)
        }
    };
    Ok(value.expect("scores are plain numbers"))
}

/// A figure of either version: `exact` is `exact_match` in v1.1.
fn figure(metrics: &Value, key: &str) -> f64 {
    let longer = format!("{key}_match");
    metrics
        .get(key)
        .or_else(|| metrics.get(longer))
        .and_then(Value::as_f64)
        .unwrap_or(f64::NAN)
}

impl Evaluation {
    /// Writes `predictions.json`, `nbest.json`, `null_odds.json` and `metrics.json`, each whole or
    /// not at all, with the keys of Hugging Face's `run_qa.py`.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
        let object = |value: &dyn Fn(&Prediction) -> Value| -> Value {
            let entries = self.predictions.iter().map(|p| (p.id.clone(), value(p)));
            Value::Object(entries.collect::<Map<_, _>>())
        };
        let files = [
            ("predictions.json", object(&|p| json!(p.text))),
            (
                "nbest.json",
                object(&|p| p.n_best.iter().map(n_best_entry).collect()),
            ),
            ("null_odds.json", object(&|p| json!(p.null_odds))),
            ("metrics.json", self.metrics.clone()),
        ];
        for (name, value) in files {
            write_whole(&folder.join(name), &format!("{value:#}\n"))?;
        }
        Ok(())
    }
}

fn n_best_entry(span: &squad_data::SpanAnswer) -> Value {
    json!({
        "text": span.text,
        "probability": span.probability,
        "start_logit": span.start_logit,
        "end_logit": span.end_logit,
        "offsets": [span.chars.start, span.chars.end],
    })
}
