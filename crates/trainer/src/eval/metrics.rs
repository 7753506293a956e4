//! The metrics of answers, under the keys of the official scripts.

use std::collections::HashMap;

use qa_metrics::{Metric, NaProbs, ScoresV1, ScoresV2, score_v1, score_v2, score_v2_with_na_probs};
use serde_json::{Value, json};
use squad_data::{Dataset, Example, Prediction};

/// The metrics, and for SQuAD 2.0 the threshold with the highest F1.
///
/// The metric gets the best spans with their null odds and applies the threshold itself, so that it can search for the best
/// threshold.
pub(super) fn score_predictions(
    dataset: &Dataset,
    predictions: &[Prediction],
    threshold: f64,
    metric: Metric,
) -> Result<(Value, Option<f64>), qa_metrics::Error> {
    let questions = dataset.gold_answers();
    let texts = predictions
        .iter()
        .map(|p| (p.id.clone(), p.best_text().to_owned()))
        .collect();
    if !dataset.has_unanswerable() {
        let scores = to_value(score_v1(&questions, &texts, metric)?.scores);
        return Ok((named(metric, scores), None));
    }
    let null_odds = predictions
        .iter()
        .map(|p| (p.id.clone(), f64::from(p.null_odds)))
        .collect();
    let all = score_v2_with_na_probs(&questions, &texts, &null_odds, f64::INFINITY, metric)?;
    let scores = all.withhold_above(threshold, &null_odds)?.scores;
    let (best_threshold, at_best) = at_best_f1(&all, &null_odds)?;
    let mut metrics = named(metric, to_value(scores));
    metrics["null_score_diff_threshold"] = json!(threshold);
    metrics["at_best_f1"] = to_value(at_best);
    metrics["at_best_f1"]["null_score_diff_threshold"] = json!(best_threshold);
    Ok((metrics, Some(best_threshold)))
}

/// The threshold with the best F1, and the scores at it.
///
/// The official search starts with no question answered and calls that threshold 0, which is right for probabilities. Odds
/// may be negative: then the threshold that answers nothing lies below all of them.
fn at_best_f1(
    all: &qa_metrics::DatasetScores<'_, ScoresV2>,
    null_odds: &NaProbs,
) -> Result<(f64, ScoresV2), qa_metrics::Error> {
    // The search sums in another order than the average.
    const ROUNDING: f64 = 1e-9;
    let at = |threshold| Ok(all.withhold_above(threshold, null_odds)?.scores);
    let (best_f1, threshold) = all
        .scores
        .best
        .map_or((0.0, 0.0), |best| (best.f1, best.f1_thresh));
    let (mut found, mut scores) = (threshold, at(threshold)?);
    if scores.f1 < best_f1 - ROUNDING {
        let lowest = null_odds
            .iter()
            .map(|(_, odds)| odds)
            .fold(f64::INFINITY, f64::min);
        let unanswered = at(lowest - 1.0)?;
        if unanswered.f1 > scores.f1 {
            (found, scores) = (lowest - 1.0, unanswered);
        }
    }
    scores.best = None;
    Ok((found, scores))
}

/// The official metrics under the official script's keys: SQuAD 1.1's if every question has an answer, else SQuAD 2.0's.
/// `null_odds` are the odds of no answer and the threshold; they add the best thresholds.
///
/// With CMRC 2018's metric also the keys of its script, rounded as there.
///
/// # Errors
/// If there is nothing to score.
pub fn score(
    dataset: &Dataset,
    predictions: &HashMap<String, String>,
    null_odds: Option<(&NaProbs, f64)>,
    metric: Metric,
) -> Result<Value, qa_metrics::Error> {
    let questions = dataset.gold_answers();
    let scores = match (dataset.has_unanswerable(), null_odds) {
        (false, _) => {
            let scored = score_v1(&questions, predictions, metric)?;
            let mut scores = to_value(scored.scores);
            if matches!(metric, Metric::Cmrc | Metric::Drcd) {
                add_cmrc_keys(&mut scores, &scored.scores, scored.missing.len());
            }
            scores
        }
        (true, None) => to_value(score_v2(&questions, predictions, metric)?.scores),
        (true, Some((null_odds, threshold))) => {
            let scored =
                score_v2_with_na_probs(&questions, predictions, null_odds, threshold, metric)?;
            to_value(scored.scores)
        }
    };
    Ok(named(metric, scores))
}

/// The keys of `cmrc2018_evaluate.py`: texts with three decimals, and counts.
fn add_cmrc_keys(scores: &mut Value, figures: &ScoresV1, skipped: usize) {
    let rounded = |figure: f64| json!(format!("{figure:.3}"));
    scores["AVERAGE"] = rounded((figures.exact_match + figures.f1) * 0.5);
    scores["F1"] = rounded(figures.f1);
    scores["EM"] = rounded(figures.exact_match);
    scores["TOTAL"] = json!(figures.total);
    scores["SKIP"] = json!(skipped);
}

/// Adds the metric's name, unless it is SQuAD's.
fn named(metric: Metric, mut scores: Value) -> Value {
    if metric != Metric::Squad {
        scores["metric"] = json!(metric);
    }
    scores
}

/// A warning if SQuAD's metric, which compares words between spaces, does not fit the gold answers.
pub fn metric_warning(dataset: &Dataset, metric: Metric) -> Option<String> {
    if metric != Metric::Squad {
        return None;
    }
    let golds = dataset.examples.iter().flat_map(Example::answers);
    let fitting = Metric::for_unspaced(golds.map(|answer| answer.text.as_str()));
    let names: Vec<String> = fitting.iter().map(Metric::to_string).collect();
    (!names.is_empty()).then(|| {
        format!(
            "{}: most answers are in a script for which squad's words between spaces do not fit; the metric {} does",
            dataset.name,
            names.join(", ").replace(", mlqa", " or mlqa")
        )
    })
}

fn to_value(scores: impl serde::Serialize) -> Value {
    serde_json::to_value(scores).expect("scores are plain numbers")
}
