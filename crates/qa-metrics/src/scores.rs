//! The questions that go into the scoring of a dataset, and the scores that come out.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// A question of a dataset, with its gold answers.
///
/// ```
/// use qa_metrics::Question;
///
/// let question = Question { id: "q1", answers: vec!["France", "in France"] };
/// assert!(question.has_answer());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// The id, which predictions refer to.
    pub id: &'a str,
    /// Texts of the gold answers, in any order; empty if the question has no answer.
    pub answers: Vec<&'a str>,
}

impl Question<'_> {
    /// Whether there is a gold answer. As in the official scripts an empty one counts.
    ///
    /// ```
    /// assert!(!qa_metrics::Question { id: "q2", answers: vec![] }.has_answer());
    /// ```
    pub fn has_answer(&self) -> bool {
        !self.answers.is_empty()
    }
}

/// The score of one question.
///
/// ```
/// use qa_metrics::{Metric, Question, score_v1};
/// use std::collections::HashMap;
///
/// let questions = [Question { id: "q1", answers: vec!["France"] }];
/// let predictions = HashMap::from([("q1".to_owned(), "northern France".to_owned())]);
/// let score = &score_v1(&questions, &predictions, Metric::Squad)?.questions[0];
/// assert_eq!((score.id, score.has_answer, score.exact), ("q1", true, 0.0));
/// assert_eq!(score.f1, 2.0 / 3.0);
/// # Ok::<(), qa_metrics::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct QuestionScore<'a> {
    /// The question's id.
    pub id: &'a str,
    /// Whether the question has an answer.
    pub has_answer: bool,
    /// Exact match, 0 or 1.
    pub exact: f64,
    /// F1, from 0 to 1.
    pub f1: f64,
}

/// The scores of a dataset: averages and the score of each question.
///
/// ```
/// use qa_metrics::{Metric, Question, score_v1};
/// use std::collections::HashMap;
///
/// let questions = [
///     Question { id: "q1", answers: vec!["France"] },
///     Question { id: "q2", answers: vec!["911"] },
/// ];
/// let predictions = HashMap::from([
///     ("q1".to_owned(), "France".to_owned()),
///     ("another dataset's question".to_owned(), "1066".to_owned()),
/// ]);
/// let evaluation = score_v1(&questions, &predictions, Metric::Squad)?;
/// assert_eq!(evaluation.scores.exact_match, 50.0);
/// assert_eq!(evaluation.missing, ["q2"]);
/// assert_eq!(evaluation.num_extra, 1);
/// # Ok::<(), qa_metrics::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetScores<'a, S> {
    /// The averages.
    pub scores: S,
    /// The scores of the questions with a prediction, in the dataset's order.
    pub questions: Vec<QuestionScore<'a>>,
    /// Ids of the questions without a prediction, in the dataset's order.
    pub missing: Vec<&'a str>,
    /// Number of predictions for ids that are not in the dataset. They are ignored.
    pub num_extra: usize,
}

/// The scores of the official v1.1 script, in percent.
///
/// ```
/// let scores = qa_metrics::ScoresV1 { exact_match: 81.25, f1: 88.5, total: 16 };
/// assert_eq!(serde_json::to_string(&scores)?, r#"{"exact_match":81.25,"f1":88.5}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ScoresV1 {
    /// Share of questions whose prediction equals a gold answer after normalization.
    pub exact_match: f64,
    /// Mean F1 of normalized words.
    pub f1: f64,
    /// Number of questions, also those without a prediction. Not serialized, because the script does not report it.
    #[serde(skip)]
    pub total: usize,
}

/// The scores of the official v2.0 script, in percent.
///
/// Serializes to the script's flat keys: `exact`, `f1`, `total`, then `HasAns_exact`, `HasAns_f1`, `HasAns_total`, the
/// same with `NoAns_`, then `best_exact`, `best_exact_thresh`, `best_f1`, `best_f1_thresh`. Groups that are `None` are
/// left out.
///
/// ```
/// use qa_metrics::{ScoresV2, SubsetScores};
///
/// let scores = ScoresV2 {
///     exact: 50.0,
///     f1: 62.5,
///     total: 4,
///     has_ans: Some(SubsetScores { exact: 50.0, f1: 62.5, total: 4 }),
///     no_ans: None,
///     best: None,
/// };
/// assert_eq!(
///     serde_json::to_string(&scores)?,
///     r#"{"exact":50.0,"f1":62.5,"total":4,"HasAns_exact":50.0,"HasAns_f1":62.5,"HasAns_total":4}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoresV2 {
    /// Share of questions whose prediction equals a gold answer after normalization, or that rightly get no answer.
    pub exact: f64,
    /// Mean F1 of normalized words.
    pub f1: f64,
    /// Number of questions with a prediction, over which the averages are.
    pub total: usize,
    /// Averages over the questions with an answer, if there are any.
    pub has_ans: Option<SubsetScores>,
    /// Averages over the questions without an answer, if there are any.
    pub no_ans: Option<SubsetScores>,
    /// The scores with the best thresholds, if no-answer probabilities are given.
    pub best: Option<BestThresholds>,
}

/// Averages over the questions with an answer, or over those without, in percent.
///
/// ```
/// use qa_metrics::{Metric, Question, score_v2};
/// use std::collections::HashMap;
///
/// let questions = [Question { id: "q1", answers: vec![] }];
/// let predictions = HashMap::from([("q1".to_owned(), String::new())]);
/// let scores = score_v2(&questions, &predictions, Metric::Squad)?.scores;
/// assert_eq!(scores.no_ans.unwrap().exact, 100.0);
/// assert_eq!(scores.has_ans, None);
/// # Ok::<(), qa_metrics::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SubsetScores {
    /// Share of questions with an exact match, or that rightly get no answer.
    pub exact: f64,
    /// Mean F1.
    pub f1: f64,
    /// Number of questions in these averages.
    pub total: usize,
}

/// The highest scores that a threshold on the no-answer probabilities gives, and these thresholds.
///
/// A question gets no answer if its probability is above the threshold.
///
/// ```
/// use qa_metrics::{DEFAULT_NA_PROB_THRESH, Metric, NaProbs, Question, score_v2_with_na_probs};
/// use std::collections::HashMap;
///
/// let questions = [
///     Question { id: "q1", answers: vec!["France"] },
///     Question { id: "q2", answers: vec![] },
/// ];
/// let predictions = HashMap::from([
///     ("q1".to_owned(), "France".to_owned()),
///     ("q2".to_owned(), "wrongly answered".to_owned()),
/// ]);
/// let na_probs = NaProbs::from_iter([("q1", 0.25), ("q2", 0.75)]);
/// let scored = score_v2_with_na_probs(&questions, &predictions, &na_probs, DEFAULT_NA_PROB_THRESH, Metric::Squad)?;
/// let scores = scored.scores;
/// assert_eq!(scores.exact, 50.0);
///
/// let best = scores.best.unwrap();
/// assert_eq!((best.exact, best.exact_thresh), (100.0, 0.25));
/// assert_eq!((best.f1, best.f1_thresh), (100.0, 0.25));
/// # Ok::<(), qa_metrics::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BestThresholds {
    /// The highest exact match, in percent.
    pub exact: f64,
    /// The threshold that gives it.
    pub exact_thresh: f64,
    /// The highest F1, in percent.
    pub f1: f64,
    /// The threshold that gives it.
    pub f1_thresh: f64,
}

impl Serialize for ScoresV2 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("exact", &self.exact)?;
        map.serialize_entry("f1", &self.f1)?;
        map.serialize_entry("total", &self.total)?;
        if let Some(has_ans) = &self.has_ans {
            map.serialize_entry("HasAns_exact", &has_ans.exact)?;
            map.serialize_entry("HasAns_f1", &has_ans.f1)?;
            map.serialize_entry("HasAns_total", &has_ans.total)?;
        }
        if let Some(no_ans) = &self.no_ans {
            map.serialize_entry("NoAns_exact", &no_ans.exact)?;
            map.serialize_entry("NoAns_f1", &no_ans.f1)?;
            map.serialize_entry("NoAns_total", &no_ans.total)?;
        }
        if let Some(best) = &self.best {
            map.serialize_entry("best_exact", &best.exact)?;
            map.serialize_entry("best_exact_thresh", &best.exact_thresh)?;
            map.serialize_entry("best_f1", &best.f1)?;
            map.serialize_entry("best_f1_thresh", &best.f1_thresh)?;
        }
        map.end()
    }
}

pub(crate) fn num_extra(
    questions: &[Question<'_>],
    predictions: &HashMap<String, String>,
) -> usize {
    let ids: HashSet<&str> = questions.iter().map(|question| question.id).collect();
    predictions
        .keys()
        .filter(|id| !ids.contains(id.as_str()))
        .count()
}

/// `100 * sum / count`. Adds in order and without compensation, as the official scripts do.
pub(crate) fn percentage(values: impl Iterator<Item = f64>, count: usize) -> f64 {
    100.0 * values.fold(0.0, |sum, value| sum + value) / count as f64
}
