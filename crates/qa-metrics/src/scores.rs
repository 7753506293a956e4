//! Averages over a data set, under the official scripts' key names.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// What the official v1.1 script reports. Percentages.
///
/// ```
/// let scores = qa_metrics::ScoresV1 { exact_match: 81.25, f1: 88.5, total: 16 };
/// assert_eq!(serde_json::to_string(&scores)?, r#"{"exact_match":81.25,"f1":88.5}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ScoresV1 {
    /// Questions answered with a gold answer's exact normalised text.
    pub exact_match: f64,
    /// Mean F1 over normalised words.
    pub f1: f64,
    /// Questions in the data set, those without a prediction included. Not serialised: the script does not report it.
    #[serde(skip)]
    pub total: usize,
}

/// What the official v2.0 script reports. Percentages, except `total` and the thresholds.
///
/// It serialises flat, as the script prints it: `exact`, `f1`, `total`, then `HasAns_exact`, `HasAns_f1`, `HasAns_total`,
/// the same with `NoAns_`, then `best_exact`, `best_exact_thresh`, `best_f1`, `best_f1_thresh`, each group only where it
/// exists.
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
    /// Questions answered with a gold answer's exact normalised text, or rightly not answered.
    pub exact: f64,
    /// Mean F1 over normalised words.
    pub f1: f64,
    /// Questions in these averages: those with a prediction.
    pub total: usize,
    /// The questions that have an answer, if there are any.
    pub has_ans: Option<SubsetScores>,
    /// The questions that have none, if there are any.
    pub no_ans: Option<SubsetScores>,
    /// What the best thresholds would give, if no-answer probabilities were given.
    pub best: Option<BestThresholds>,
}

/// Averages over the questions that have an answer, or over those that have none. Percentages.
///
/// ```
/// use qa_metrics::{Question, score_v2};
/// use std::collections::HashMap;
///
/// let questions = [Question { id: "q1", answers: vec![] }];
/// let predictions = HashMap::from([("q1".to_owned(), String::new())]);
/// let scores = score_v2(&questions, &predictions)?.scores;
/// assert_eq!(scores.no_ans.unwrap().exact, 100.0);
/// assert_eq!(scores.has_ans, None);
/// # Ok::<(), qa_metrics::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SubsetScores {
    /// Questions answered exactly, or rightly not answered.
    pub exact: f64,
    /// Mean F1.
    pub f1: f64,
    /// Questions in these averages.
    pub total: usize,
}

/// The highest scores that any threshold on the no-answer probabilities would give, and those thresholds: a question
/// whose probability is above the threshold gets no answer.
///
/// ```
/// use qa_metrics::{DEFAULT_NA_PROB_THRESH, NaProbs, Question, score_v2_with_na_probs};
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
/// let scores = score_v2_with_na_probs(&questions, &predictions, &na_probs, DEFAULT_NA_PROB_THRESH)?.scores;
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
