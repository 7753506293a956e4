//! What a data set becomes under a tokenizer: counts, lengths, and answers that windows lose.

use serde::Serialize;

use crate::chars::{CharIndex, trimmed};
use crate::example::Example;
use crate::features::feature::Feature;

/// Counts over examples and their windows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeatureStats {
    /// Number of questions.
    pub questions: usize,
    /// Number of windows.
    pub features: usize,
    /// Mean length of a window, in tokens with the special ones; 0 where there is none.
    pub mean_length: f64,
    /// Longest window, in tokens with the special ones.
    pub max_length: usize,
    /// Questions that have an answer.
    pub answerable: usize,
    /// Questions that have none.
    pub unanswerable: usize,
    /// Answerable questions of which at least one window holds the whole first answer, and is labelled with it.
    pub labelled: usize,
    /// Answerable questions whose labels do not give the first answer's text back, in order.
    pub lost: Vec<LostAnswer>,
}

/// A question whose labels do not give its first answer's text back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LostAnswer {
    /// The question's id.
    pub id: String,
    /// Why.
    pub reason: LostReason,
    /// The first gold answer.
    pub gold: String,
    /// The text that the labels stand for; `None` where no window is labelled.
    pub decoded: Option<String>,
}

/// Why labels do not give an answer's text back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LostReason {
    /// Every window cuts the answer: none is labelled.
    CutByWindow,
    /// The answer begins or ends inside a token, so that its labels stand for more text.
    InsideToken,
    /// The answer has characters at its ends, or nothing but characters, that the tokenizer drops.
    NotTokenised,
}

/// Counts examples and their windows, and finds the answers that labels lose.
///
/// `features` are those of [`crate::make_features`] for these `examples`. An answer is lost where the labels decode to
/// another text than the first gold answer without white space at its ends.
///
/// ```
/// use squad_data::{Dataset, QaTokenizer, FeatureOptions, inspect, make_features};
/// # use std::path::Path;
/// # let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tokenizer.json"));
/// let tokenizer = QaTokenizer::from_file(path)?;
/// let json = r#"{"data": [{"paragraphs": [{"context": "the cat ate", "qas": [
///     {"id": "q1", "question": "who ate?", "answers": [{"text": "the cat", "answer_start": 0}]}]}]}]}"#;
/// let dataset = Dataset::from_json("cat.json", json.as_bytes())?;
/// let features = make_features(&dataset.examples, &tokenizer, &FeatureOptions::default())?;
/// let stats = inspect(&dataset.examples, &features);
/// assert_eq!((stats.questions, stats.features, stats.labelled), (1, 1, 1));
/// assert!(stats.lost.is_empty());
/// # Ok::<(), squad_data::Error>(())
/// ```
pub fn inspect(examples: &[Example], features: &[Feature]) -> FeatureStats {
    let mut labels: Vec<Option<&Feature>> = vec![None; examples.len()];
    for feature in features.iter().filter(|feature| feature.has_answer()) {
        if let Some(label) = labels.get_mut(feature.example_index) {
            label.get_or_insert(feature);
        }
    }
    let mut has_window = vec![Coverage::default(); examples.len()];
    for feature in features {
        if let Some(coverage) = has_window.get_mut(feature.example_index) {
            coverage.add(&examples[feature.example_index], feature);
        }
    }
    let total: usize = features.iter().map(Feature::len).sum();
    let answerable = examples
        .iter()
        .filter(|example| !example.answers.is_empty())
        .count();
    FeatureStats {
        questions: examples.len(),
        features: features.len(),
        mean_length: if features.is_empty() {
            0.0
        } else {
            total as f64 / features.len() as f64
        },
        max_length: features.iter().map(Feature::len).max().unwrap_or(0),
        answerable,
        unanswerable: examples.len() - answerable,
        labelled: labels.iter().flatten().count(),
        lost: examples
            .iter()
            .zip(&labels)
            .zip(&has_window)
            .filter_map(|((e, l), c)| lost(e, *l, c))
            .collect(),
    }
}

/// Whether any window has a token of the first answer.
#[derive(Clone, Default)]
struct Coverage {
    touched: bool,
}

impl Coverage {
    fn add(&mut self, example: &Example, feature: &Feature) {
        if let Some(answer) = example.answers.first() {
            let gold = trimmed(&answer.text, answer.start);
            let first = feature
                .offsets
                .partition_point(|&(_, end)| end as usize <= gold.start);
            self.touched |= feature
                .offsets
                .get(first)
                .is_some_and(|&(start, _)| (start as usize) < gold.end);
        }
    }
}

fn lost(example: &Example, label: Option<&Feature>, coverage: &Coverage) -> Option<LostAnswer> {
    let answer = example.answers.first()?;
    let gold = trimmed(&answer.text, answer.start);
    let decoded =
        label.and_then(|feature| feature.char_span(feature.start_position, feature.end_position));
    let reason = match &decoded {
        Some(decoded) if *decoded == gold => return None,
        Some(decoded) if decoded.start < gold.start || decoded.end > gold.end => {
            LostReason::InsideToken
        }
        None if coverage.touched => LostReason::CutByWindow,
        Some(_) | None => LostReason::NotTokenised,
    };
    let index = CharIndex::new(&example.context);
    Some(LostAnswer {
        id: example.id.clone(),
        reason,
        gold: answer.text.clone(),
        decoded: decoded
            .and_then(|chars| index.slice(chars))
            .map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::GoldAnswer;

    /// A window of the context "won 1,000 km" whose second token is "1,000" and whose last is missing.
    fn feature(labels: Option<(usize, usize)>) -> Feature {
        let (start_position, end_position) = labels.unwrap_or((0, 0));
        Feature {
            example_index: 0,
            input_ids: vec![0; 6],
            context: 3..5,
            max_context: 3..5,
            offsets: vec![(0, 3), (4, 9)],
            start_position,
            end_position,
        }
    }

    fn example(text: &str, start: usize) -> Example {
        let answers = vec![GoldAnswer {
            text: text.to_owned(),
            start,
        }];
        Example {
            answers,
            is_impossible: false,
            ..Example::new("q", "?", "won 1,000 km")
        }
    }

    fn reason(text: &str, start: usize, labels: Option<(usize, usize)>) -> Option<LostReason> {
        inspect(&[example(text, start)], &[feature(labels)])
            .lost
            .first()
            .map(|lost| lost.reason)
    }

    #[test]
    fn says_why_an_answer_is_lost() {
        assert_eq!(reason("1,000", 4, Some((4, 4))), None);
        assert_eq!(reason(" 1,000 ", 3, Some((4, 4))), None);
        assert_eq!(
            reason("000", 6, Some((4, 4))),
            Some(LostReason::InsideToken)
        );
        assert_eq!(reason("1,000 km", 4, None), Some(LostReason::CutByWindow));
        assert_eq!(reason("km", 10, None), Some(LostReason::NotTokenised));
    }

    #[test]
    fn counts() {
        let stats = inspect(
            &[example("000", 6), Example::new("n", "?", "text")],
            &[feature(Some((4, 4)))],
        );
        assert_eq!(
            (
                stats.questions,
                stats.features,
                stats.answerable,
                stats.unanswerable
            ),
            (2, 1, 1, 1)
        );
        assert_eq!(
            (stats.mean_length, stats.max_length, stats.labelled),
            (6.0, 6, 1)
        );
        assert_eq!(stats.lost[0].decoded.as_deref(), Some("1,000"));
        assert_eq!(inspect(&[], &[]).mean_length, 0.0);
    }
}
