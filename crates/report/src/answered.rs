//! The questions of the evaluation set with their answers.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt::Display;
use std::ops::Range;
use std::path::Path;

use qa_metrics::{Metric, score_v1, score_v2};
use serde::Deserialize;
use serde_json::Value;
use squad_data::{Dataset, Example};

use crate::Error;
use crate::answer_kind::AnswerKind;
use crate::groups::ScoredExample;
use crate::run::read_json;

/// A question of the evaluation set and its answer.
pub(crate) struct Answered {
    pub(crate) example: Example,
    /// The answer; empty for "no answer".
    pub(crate) text: String,
    /// The place of the answer in the context, in Unicode code points.
    pub(crate) span: Option<Range<usize>>,
    /// The probability of the answer in the question's n-best list.
    pub(crate) probability: Option<f64>,
    /// The score of "no answer" less that of the best span.
    pub(crate) null_odds: Option<f64>,
    /// Whether the answer matches a gold answer exactly.
    pub(crate) exact: bool,
    /// F1, from 0 to 1.
    pub(crate) f1: f64,
    pub(crate) kind: AnswerKind,
}

impl Answered {
    pub(crate) fn scored(&self) -> ScoredExample<'_> {
        ScoredExample {
            example: &self.example,
            exact: self.exact,
            f1: self.f1,
        }
    }
}

/// The answers of a run, as far as they can be shown.
pub(crate) enum Answers {
    /// The run has not answered the questions yet.
    NotYet,
    /// The questions cannot be shown, for this reason.
    Missing(String),
    /// In file order.
    Scored(Vec<Answered>),
}

/// The files of `eval/`, by question id.
struct EvalFiles {
    predictions: HashMap<String, String>,
    n_best: HashMap<String, Vec<Span>>,
    null_odds: HashMap<String, Option<f64>>,
    metrics: Value,
}

/// An entry of `nbest.json`.
#[derive(Deserialize)]
struct Span {
    text: String,
    probability: Option<f64>,
    offsets: [usize; 2],
}

impl Answers {
    /// Reads the answers of a run and the evaluation set.
    ///
    /// # Errors
    /// If a file of `eval/` is damaged, or missing while others are there.
    pub(crate) fn read<E: Display>(
        run_dir: &Path,
        eval_questions: impl FnOnce() -> Result<Dataset, E>,
    ) -> Result<Self, Error> {
        let Some(written) = EvalFiles::read(&run_dir.join(run_log::EVAL_DIR))? else {
            return Ok(Self::NotYet);
        };
        let why = match eval_questions() {
            Ok(mut dataset) => {
                // Under `long_questions = "skip"` the run left out questions that are too long.
                let examples = &mut dataset.examples;
                examples.retain(|example| written.predictions.contains_key(&example.id));
                match written.score(&dataset) {
                    Some(answered) => return Ok(Self::Scored(answered)),
                    None => format!("{} is not what this run answered", dataset.name),
                }
            }
            Err(error) => error.to_string(),
        };
        Ok(Self::Missing(why))
    }
}

impl EvalFiles {
    fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let Some(predictions) = read_json(&folder.join(run_log::PREDICTIONS))? else {
            return Ok(None);
        };
        fn needed<T: serde::de::DeserializeOwned>(folder: &Path, name: &str) -> Result<T, Error> {
            let path = folder.join(name);
            let missing = || Error::file(&path, "is missing, but predictions.json is there");
            read_json(&path)?.ok_or_else(missing)
        }
        Ok(Some(Self {
            predictions,
            n_best: needed(folder, run_log::NBEST)?,
            null_odds: needed(folder, run_log::NULL_ODDS)?,
            metrics: needed(folder, run_log::METRICS)?,
        }))
    }

    /// Scores each question as the official script does; `None` if the run answered another dataset.
    fn score(&self, dataset: &Dataset) -> Option<Vec<Answered>> {
        let examples = &dataset.examples;
        let questions = dataset.gold_answers();
        let named = self.metrics.get("metric").cloned();
        let metric: Metric = named
            .map_or(Ok(Metric::Squad), serde_json::from_value)
            .ok()?;
        let (scores, missing, [exact, f1]) = if dataset.has_unanswerable() {
            let scored = score_v2(&questions, &self.predictions, metric).ok()?;
            let means = [scored.scores.exact, scored.scores.f1];
            (scored.questions, scored.missing, means)
        } else {
            let scored = score_v1(&questions, &self.predictions, metric).ok()?;
            let means = [scored.scores.exact_match, scored.scores.f1];
            (scored.questions, scored.missing, means)
        };
        let agrees = |key: &str, value: f64| {
            let before = self.metrics.get(key).and_then(Value::as_f64);
            // Half of the sixth decimal: only the order of the sums may differ.
            before.is_some_and(|before| (before - value).abs() < 5e-7)
        };
        let is_the_same = missing.is_empty()
            && self.predictions.len() == examples.len()
            && (agrees("exact", exact) || agrees("exact_match", exact))
            && agrees("f1", f1);
        if !is_the_same {
            return None;
        }
        let pairs = examples.iter().zip(&scores);
        pairs
            .map(|(example, score)| self.answered(example, score.exact == 1.0, score.f1))
            .collect()
    }

    /// `None` if the context does not have the answer at its place.
    fn answered(&self, example: &Example, exact: bool, f1: f64) -> Option<Answered> {
        let text = self.predictions.get(&example.id)?;
        let n_best = self.n_best.get(&example.id).map_or(&[][..], Vec::as_slice);
        let entry = n_best.iter().find(|entry| entry.text == *text);
        let span = entry
            .filter(|_| !text.is_empty())
            .map(|entry| entry.offsets[0]..entry.offsets[1]);
        if let Some(span) = &span
            && example.slice(span.clone()) != Some(text)
        {
            return None;
        }
        Some(Answered {
            text: text.clone(),
            probability: entry.and_then(|entry| entry.probability),
            null_odds: self.null_odds.get(&example.id).copied().flatten(),
            exact,
            f1,
            kind: AnswerKind::of(example, (exact, f1), text, span.as_ref()),
            example: example.clone(),
            span,
        })
    }
}

/// The answered questions with the highest F1; of equal ones the most probable first.
pub(crate) fn best(answered: &[Answered], count: usize) -> Vec<&Answered> {
    let spans = answered.iter().filter(|a| !a.text.is_empty() && a.f1 > 0.0);
    ordered(spans, count, |a, b| b.f1.total_cmp(&a.f1))
}

/// The wrong answers with the lowest F1; of equal ones the most probable first.
pub(crate) fn worst(answered: &[Answered], count: usize) -> Vec<&Answered> {
    let wrong = answered.iter().filter(|a| !a.kind.is_right());
    ordered(wrong, count, |a, b| a.f1.total_cmp(&b.f1))
}

/// Sorts by F1, then by probability; ties keep the order of the file.
fn ordered<'a>(
    answered: impl Iterator<Item = &'a Answered>,
    count: usize,
    by_f1: impl Fn(&Answered, &Answered) -> Ordering,
) -> Vec<&'a Answered> {
    let mut all: Vec<_> = answered.collect();
    let sure = |a: &Answered| a.probability.unwrap_or(0.0);
    all.sort_by(|a, b| by_f1(a, b).then_with(|| sure(b).total_cmp(&sure(a))));
    all.truncate(count);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(id: &str, text: &str, probability: f64, f1: f64) -> Answered {
        let example = Example::new(id, "Who?", "Ann and Bo");
        let exact = f1 == 1.0;
        Answered {
            text: text.into(),
            span: None,
            probability: Some(probability),
            null_odds: None,
            exact,
            f1,
            kind: AnswerKind::of(&example, (exact, f1), text, None),
            example,
        }
    }

    #[test]
    fn sorts_by_f1_then_by_probability_then_by_place() {
        let all = [
            answered("a", "Ann", 0.5, 1.0),
            answered("b", "Ann", 0.9, 1.0),
            answered("c", "Ann", 0.9, 1.0),
            answered("d", "and Bo", 0.3, 0.5),
            answered("e", "and", 0.2, 0.0),
            answered("f", "", 0.8, 0.0),
            answered("g", "and", 0.8, 0.0),
        ];
        let ids = |answered: Vec<&Answered>| -> String {
            answered.iter().map(|a| a.example.id.as_str()).collect()
        };
        assert_eq!(ids(best(&all, 9)), "bcad");
        assert_eq!(ids(best(&all, 2)), "bc");
        assert_eq!(ids(worst(&all, 9)), "fged");
        assert_eq!(ids(worst(&all[..3], 9)), "");
    }
}
