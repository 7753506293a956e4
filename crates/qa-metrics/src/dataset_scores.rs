//! What goes into the scoring of a data set, and what comes out.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

/// A question of the data set: its id and its gold answers, none if it has no answer.
///
/// ```
/// use qa_metrics::Question;
///
/// let question = Question { id: "q1", answers: vec!["France", "in France"] };
/// assert!(question.has_answer());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// The id under which its prediction is found.
    pub id: &'a str,
    /// The texts of its gold answers, in any order.
    pub answers: Vec<&'a str>,
}

impl Question<'_> {
    /// Whether it has an answer, which for the official scripts means any gold answer, even an empty one.
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
/// use qa_metrics::{Question, score_v1};
/// use std::collections::HashMap;
///
/// let questions = [Question { id: "q1", answers: vec!["France"] }];
/// let predictions = HashMap::from([("q1".to_owned(), "northern France".to_owned())]);
/// let score = &score_v1(&questions, &predictions)?.questions[0];
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

/// A scored data set: the averages, and what they are averages of.
///
/// Nothing is printed about predictions that are missing or superfluous; `missing` and `num_extra` let a caller do so.
///
/// ```
/// use qa_metrics::{Question, score_v1};
/// use std::collections::HashMap;
///
/// let questions = [
///     Question { id: "q1", answers: vec!["France"] },
///     Question { id: "q2", answers: vec!["911"] },
/// ];
/// let predictions = HashMap::from([
///     ("q1".to_owned(), "France".to_owned()),
///     ("another data set's question".to_owned(), "1066".to_owned()),
/// ]);
/// let evaluation = score_v1(&questions, &predictions)?;
/// assert_eq!(evaluation.scores.exact_match, 50.0);
/// assert_eq!(evaluation.missing, ["q2"]);
/// assert_eq!(evaluation.num_extra, 1);
/// # Ok::<(), qa_metrics::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetScores<'a, S> {
    /// The averages.
    pub scores: S,
    /// Every question that has a prediction, in the data set's order.
    pub questions: Vec<QuestionScore<'a>>,
    /// The ids of the questions without a prediction, in the data set's order.
    pub missing: Vec<&'a str>,
    /// How many predictions belong to no question. They change no figure.
    pub num_extra: usize,
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

/// `100 * sum / count`, added up in order and without compensation, as the official scripts do.
pub(crate) fn percentage(values: impl Iterator<Item = f64>, count: usize) -> f64 {
    100.0 * values.fold(0.0, |sum, value| sum + value) / count as f64
}
