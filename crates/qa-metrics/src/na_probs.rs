//! No-answer probabilities.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// The default threshold of the official v2.0 script. No probability is above it, so it changes no prediction.
///
/// ```
/// assert_eq!(qa_metrics::DEFAULT_NA_PROB_THRESH, 1.0);
/// ```
pub const DEFAULT_NA_PROB_THRESH: f64 = 1.0;

/// For each question the probability, or any other score, that it has no answer. BERT's null odds are such a score.
///
/// The order matters if questions have equal scores: the search for the best threshold takes them one at a time, in the
/// order of the file, as the official script does.
///
/// Collect it from pairs, or deserialize it from a map such as the JSON object `{"id": 0.25, …}`. An id that occurs twice
/// keeps its first place and its last value, as in a Python dict. (`serde_json` reads every number to the last digit only
/// with its feature `float_roundtrip`; without it a best threshold may be off by one unit in the last place.)
///
/// ```
/// use qa_metrics::NaProbs;
///
/// let from_pairs = NaProbs::from_iter([("q1", 0.25), ("q2", 0.875)]);
/// let from_json: NaProbs = serde_json::from_str(r#"{"q1": 0.25, "q2": 0.875}"#)?;
/// assert_eq!(from_json, from_pairs);
/// assert_eq!(from_json.get("q2"), Some(0.875));
/// assert_eq!(from_json.len(), 2);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NaProbs {
    entries: Vec<(String, f64)>,
    positions: HashMap<String, usize>,
}

impl NaProbs {
    /// The value of a question.
    ///
    /// ```
    /// let na_probs = qa_metrics::NaProbs::from_iter([("q1", 0.25)]);
    /// assert_eq!((na_probs.get("q1"), na_probs.get("q2")), (Some(0.25), None));
    /// ```
    pub fn get(&self, id: &str) -> Option<f64> {
        self.positions
            .get(id)
            .map(|&position| self.entries[position].1)
    }

    /// Number of questions.
    ///
    /// ```
    /// assert_eq!(qa_metrics::NaProbs::from_iter([("q1", 0.25), ("q1", 0.5)]).len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no questions.
    ///
    /// ```
    /// assert!(qa_metrics::NaProbs::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Ids and values in order.
    ///
    /// ```
    /// let na_probs = qa_metrics::NaProbs::from_iter([("q2", 0.5), ("q1", 0.25)]);
    /// assert_eq!(na_probs.iter().collect::<Vec<_>>(), [("q2", 0.5), ("q1", 0.25)]);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.entries.iter().map(|(id, value)| (id.as_str(), *value))
    }

    fn insert(&mut self, id: String, value: f64) {
        if let Some(&position) = self.positions.get(&id) {
            self.entries[position].1 = value;
        } else {
            self.positions.insert(id.clone(), self.entries.len());
            self.entries.push((id, value));
        }
    }
}

impl<T: Into<String>> FromIterator<(T, f64)> for NaProbs {
    fn from_iter<I: IntoIterator<Item = (T, f64)>>(pairs: I) -> Self {
        let mut na_probs = Self::default();
        for (id, value) in pairs {
            na_probs.insert(id.into(), value);
        }
        na_probs
    }
}

impl<'de> Deserialize<'de> for NaProbs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InFileOrder)
    }
}

struct InFileOrder;

impl<'de> Visitor<'de> for InFileOrder {
    type Value = NaProbs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from question ids to no-answer probabilities")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NaProbs, A::Error> {
        let mut na_probs = NaProbs::default();
        while let Some((id, value)) = map.next_entry()? {
            na_probs.insert(id, value);
        }
        Ok(na_probs)
    }
}
