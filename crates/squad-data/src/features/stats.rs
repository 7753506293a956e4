//! What a dataset becomes under a tokenizer: counts, lengths, and answers that the labels lose.

use std::ops::Range;

use serde::Serialize;

use crate::chars::{CharIndex, trimmed};
use crate::example::Example;
use crate::features::feature::Feature;

/// Counts of examples and their features.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeatureStats {
    /// Number of questions.
    pub questions: usize,
    /// Number of features.
    pub features: usize,
    /// Mean length of a feature in tokens; 0 if there are none.
    pub mean_length: f64,
    /// Length of the longest feature in tokens.
    pub max_length: usize,
    /// Questions with an answer.
    pub answerable: usize,
    /// Questions without an answer.
    pub unanswerable: usize,
    /// Questions whose gold answers are not known.
    pub unlabelled: usize,
    /// Answerable questions of which at least one feature is labelled with a whole answer: the first, or under
    /// [`crate::LabelAnswer::Any`] any.
    pub labelled: usize,
    /// Answerable questions whose labels stand for another text than the first answer, in order.
    pub lost: Vec<LostAnswer>,
}

/// A question whose labels stand for another text than its first answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LostAnswer {
    /// The question's id.
    pub id: String,
    /// Why the answer is lost.
    pub reason: LostReason,
    /// The first gold answer.
    pub gold: String,
    /// The text that the labels stand for; `None` if no feature is labelled.
    pub decoded: Option<String>,
}

/// Why labels stand for another text than the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LostReason {
    /// No feature holds the whole answer, so none is labelled with it.
    CutByWindow,
    /// The answer begins or ends inside a token, so the labels stand for more text.
    InsideToken,
    /// The tokenizer drops characters at the answer's ends, or all of them.
    NotTokenized,
}

/// Counts examples and their features, and lists the answers that the labels lose.
///
/// `features` are those of [`crate::make_features`] for these `examples`. An answer is lost if the labels stand for
/// another text than the first gold answer without white space at its ends.
///
/// ```
/// use squad_data::{Dataset, FeatureOptions, QaTokenizer, inspect, make_features};
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
    let mut labelled: Vec<Option<&Feature>> = vec![None; examples.len()];
    let mut touched = vec![false; examples.len()];
    for feature in features {
        let index = feature.example_index;
        let Some(example) = examples.get(index) else {
            continue;
        };
        touched[index] |= touches_answer(feature, example);
        if feature.has_answer() {
            let label = labelled[index].get_or_insert(feature);
            // Under `LabelAnswer::Any` features may be labelled with other answers.
            if !labels_first(label, example) && labels_first(feature, example) {
                *label = feature;
            }
        }
    }
    let total: usize = features.iter().map(Feature::len).sum();
    let answerable = examples.iter().filter(|e| !e.answers().is_empty()).count();
    let unanswerable = examples.iter().filter(|e| e.is_impossible()).count();
    let lost = examples.iter().zip(&labelled).zip(&touched);
    FeatureStats {
        questions: examples.len(),
        features: features.len(),
        mean_length: total as f64 / features.len().max(1) as f64,
        max_length: features.iter().map(Feature::len).max().unwrap_or(0),
        answerable,
        unanswerable,
        unlabelled: examples.len() - answerable - unanswerable,
        labelled: labelled.iter().flatten().count(),
        lost: lost
            .filter_map(|((example, label), touched)| lost_answer(example, *label, *touched))
            .collect(),
    }
}

/// The characters of the first answer that has a place, without white space at its ends.
fn first_span(example: &Example) -> Option<Range<usize>> {
    let answer = example.first_located()?;
    Some(trimmed(&answer.text, answer.start?))
}

/// Whether the feature has a token of the first answer.
fn touches_answer(feature: &Feature, example: &Example) -> bool {
    first_span(example).is_some_and(|gold| {
        let first = feature
            .offsets
            .partition_point(|&(_, end)| end as usize <= gold.start);
        feature
            .offsets
            .get(first)
            .is_some_and(|&(start, _)| (start as usize) < gold.end)
    })
}

fn overlaps(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// The text that the labels stand for.
fn label_span(feature: &Feature) -> Option<Range<usize>> {
    feature.char_span(feature.start_position, feature.end_position)
}

/// Whether a feature's labels stand for the first answer, or a part of it.
fn labels_first(feature: &Feature, example: &Example) -> bool {
    let spans = label_span(feature).zip(first_span(example));
    spans.is_some_and(|(label, gold)| overlaps(&label, &gold))
}

/// `label` is the example's first feature that is labelled with the first answer, else the first with another;
/// `touched` says whether any feature has a token of the first answer.
fn lost_answer(example: &Example, label: Option<&Feature>, touched: bool) -> Option<LostAnswer> {
    let answer = example.first_located()?;
    let gold = first_span(example)?;
    let decoded = label.and_then(label_span);
    let reason = match decoded.as_ref().filter(|label| overlaps(label, &gold)) {
        Some(label) if *label == gold => return None,
        Some(label) if label.start < gold.start || label.end > gold.end => LostReason::InsideToken,
        None if touched => LostReason::CutByWindow,
        Some(_) | None => LostReason::NotTokenized,
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
    use crate::features::pair_template::PairTemplate;

    /// A feature of the context "won 1,000 km" whose second token is "1,000" and whose last one is missing.
    fn feature(labels: Option<(usize, usize)>) -> Feature {
        let (start_position, end_position) = labels.unwrap_or((0, 0));
        Feature {
            example_index: 0,
            input_ids: vec![0; 6],
            template: PairTemplate::bert(2, 3).into(),
            context: 3..5,
            max_context: 3..5,
            offsets: vec![(0, 3), (4, 9)],
            word_starts: vec![true; 2],
            start_position,
            end_position,
        }
    }

    fn example(text: &str, start: usize) -> Example {
        let answers = vec![GoldAnswer {
            text: text.to_owned(),
            start: Some(start),
        }];
        Example::new("q", "?", "won 1,000 km").with_answers(answers)
    }

    #[test]
    fn a_lost_answer_has_its_reason() {
        let reason = |text, start, labels| {
            let stats = inspect(&[example(text, start)], &[feature(labels)]);
            stats.lost.first().map(|lost| lost.reason)
        };
        let second = Some((4, 4));
        assert_eq!(reason("1,000", 4, second), None);
        assert_eq!(reason(" 1,000 ", 3, second), None);
        assert_eq!(reason("000", 6, second), Some(LostReason::InsideToken));
        assert_eq!(reason("1,000 km", 4, None), Some(LostReason::CutByWindow));
        assert_eq!(reason("km", 10, None), Some(LostReason::NotTokenized));
    }

    #[test]
    fn a_label_of_another_answer_is_not_the_first_answers() {
        let other = GoldAnswer {
            text: "won".to_owned(),
            start: Some(0),
        };
        let with_other = |text, start| {
            let first = example(text, start).answers()[0].clone();
            Example::new("q", "?", "won 1,000 km").with_answers(vec![first, other.clone()])
        };
        let [of_other, of_first] = [3, 4].map(|token| feature(Some((token, token))));
        let features = [of_other.clone(), of_first];
        assert_eq!(inspect(&[with_other("1,000", 4)], &features).lost, []);
        let lost = inspect(&[with_other("1,000 km", 4)], &[of_other]).lost;
        assert_eq!(lost[0].reason, LostReason::CutByWindow);
        assert_eq!(lost[0].decoded.as_deref(), Some("won"));
    }

    #[test]
    fn questions_features_and_lengths_are_counted() {
        let examples = [
            example("000", 6),
            Example::new("n", "?", "text").with_answers(Vec::new()),
        ];
        let stats = inspect(&examples, &[feature(Some((4, 4)))]);
        assert_eq!((stats.questions, stats.features), (2, 1));
        assert_eq!((stats.answerable, stats.unanswerable), (1, 1));
        assert_eq!((stats.mean_length, stats.max_length), (6.0, 6));
        assert_eq!(stats.labelled, 1);
        assert_eq!(stats.lost[0].decoded.as_deref(), Some("1,000"));
        assert_eq!(inspect(&[], &[]).mean_length, 0.0);
    }
}
