pub(crate) mod calibration;
pub(crate) mod feature_scores;
mod metrics;
pub(crate) mod prediction_files;

use std::time::Instant;

use bert_qa::{BertForQuestionAnswering, check_finite_logits, predict_logits};
use burn::tensor::Device;
use qa_metrics::Metric;
use serde_json::{Value, json};
use squad_data::{Prediction, SpanLogits, extract_answers};

use crate::Error;
use crate::config::AnswerConfig;
use crate::data::FeaturizedDataset;
use crate::eval::feature_scores::FeatureScores;
use metrics::score_predictions;
pub use metrics::{metric_warning, score};

/// The scores and predictions of a dataset.
#[derive(Debug)]
pub struct Evaluation {
    /// Exact match in percent, by the metric and the rules of the dataset's version.
    pub exact_match: f64,
    /// F1 in percent, likewise.
    pub f1: f64,
    /// All metrics under the official script's keys, and `loss`, `span_exact` and `span_f1` of the features. For SQuAD 2.0
    /// also `null_score_diff_threshold`, at which they are computed, and `at_best_f1`: the same metrics at the threshold
    /// with the highest F1.
    pub metrics: Value,
    /// The predictions, in the order of the questions.
    pub predictions: Vec<Prediction>,
    /// SQuAD 2.0: the threshold of the null odds with the highest F1.
    pub best_f1_threshold: Option<f64>,
    /// Durations.
    pub timings: Timings,
}

/// Durations of the parts of an evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timings {
    /// Computing the logits, in seconds.
    pub inference_seconds: f64,
    /// Extracting and scoring the answers, in seconds.
    pub postprocess_seconds: f64,
}

/// Answers all questions and scores the answers. `progress` receives the number of finished features.
///
/// # Errors
/// If the answers cannot be scored.
pub fn evaluate(
    model: &BertForQuestionAnswering,
    questions: &FeaturizedDataset,
    answers: &AnswerConfig,
    metric: Metric,
    device: &Device,
    progress: &mut dyn FnMut(usize),
) -> Result<Evaluation, Error> {
    let started = Instant::now();
    let logits = predict_logits(model, &questions.features, device, progress);
    let inference_seconds = started.elapsed().as_secs_f64();
    let mut evaluation = evaluate_logits(questions, &logits, answers, metric)?;
    evaluation.timings.inference_seconds = inference_seconds;
    Ok(evaluation)
}

/// As [`evaluate`], from the start and end logits of each feature, `[tokens]` each.
///
/// # Errors
/// If the logits do not match the features or are not finite, or the answers cannot be scored.
pub fn evaluate_logits(
    questions: &FeaturizedDataset,
    logits: &[[Vec<f32>; 2]],
    answers: &AnswerConfig,
    metric: Metric,
) -> Result<Evaluation, Error> {
    let started = Instant::now();
    check_finite_logits(&questions.dataset.examples, &questions.features, logits)?;
    let spans: Vec<_> = logits
        .iter()
        .map(|[start, end]| SpanLogits { start, end })
        .collect();
    let dataset = &questions.dataset;
    let options = answers.options(dataset.has_unanswerable());
    let predictions = extract_answers(&dataset.examples, &questions.features, &spans, &options)?;
    let threshold = f64::from(answers.null_score_diff_threshold);
    let scored = score_predictions(dataset, &predictions, threshold, metric);
    let (mut metrics, best_f1_threshold) = scored.map_err(|source| Error::Metrics {
        path: dataset.name.clone().into(),
        source,
    })?;
    let features = FeatureScores::new(&questions.features, logits);
    metrics["loss"] = json!(features.loss);
    metrics["span_exact"] = json!(features.span_exact);
    metrics["span_f1"] = json!(features.span_f1);
    Ok(Evaluation {
        exact_match: figure(&metrics, "exact"),
        f1: figure(&metrics, "f1"),
        metrics,
        predictions,
        best_f1_threshold,
        timings: Timings {
            postprocess_seconds: started.elapsed().as_secs_f64(),
            ..Default::default()
        },
    })
}

/// A metric of either version: `exact` is `exact_match` in SQuAD 1.1.
fn figure(metrics: &Value, key: &str) -> f64 {
    let longer = format!("{key}_match");
    metrics
        .get(key)
        .or_else(|| metrics.get(longer))
        .and_then(Value::as_f64)
        .unwrap_or(f64::NAN)
}
