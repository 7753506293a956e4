//! Answers as transformers' question-answering pipeline gave them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use rayon::prelude::*;
use serde::Serialize;

use crate::answers::search::{
    ScoredFeature, SpanLogits, answer_text, descending, group_by_example,
};
use crate::chars::CharIndex;
use crate::error::Error;
use crate::example::Example;
use crate::features::Feature;

/// More answers would need gigabytes for a long text.
const MAX_TOP_K: usize = 10_000;

/// Options of transformers' question-answering pipeline (4.57), with its names and defaults.
///
/// Its `max_seq_len` and `doc_stride` are [`crate::FeatureOptions::max_seq_length`] and
/// [`crate::FeatureOptions::doc_stride`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineOptions {
    /// Maximum number of answers. Default 1.
    pub top_k: usize,
    /// Maximum length of an answer in tokens. Default 15.
    pub max_answer_len: usize,
    /// Whether "no answer" is among the answers. Default `false`.
    pub handle_impossible_answer: bool,
    /// Whether an answer begins and ends with whole words, as the pre-tokenizer cuts them. Default `true`.
    pub align_to_words: bool,
}

impl Default for PipelineOptions {
    fn default() -> Self {
        Self {
            top_k: 1,
            max_answer_len: 15,
            handle_impossible_answer: false,
            align_to_words: true,
        }
    }
}

impl PipelineOptions {
    /// Checks the options.
    ///
    /// # Errors
    ///
    /// `top_k` or `max_answer_len` is 0, or `top_k` is more than 10000.
    pub fn validate(&self) -> Result<(), Error> {
        let wrong = |option, value: usize, problem: &str| {
            Err(Error::Option {
                option,
                value: value.to_string(),
                problem: problem.to_owned(),
            })
        };
        if self.top_k == 0 {
            wrong("top_k", 0, "must be at least 1")
        } else if self.top_k > MAX_TOP_K {
            wrong("top_k", self.top_k, "must be at most 10000")
        } else if self.max_answer_len == 0 {
            wrong("max_answer_len", 0, "must be at least 1")
        } else {
            Ok(())
        }
    }
}

/// An answer of [`pipeline_answers`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PipelineAnswer {
    /// Probability of its start times that of its end, each a softmax over one feature's context and first token;
    /// summed over the spans that have this text.
    pub score: f32,
    /// Its first character in the context, in Unicode code points.
    pub start: usize,
    /// The character behind its last one.
    pub end: usize,
    /// The text, a slice of the context; empty for "no answer".
    pub answer: String,
}

/// Finds the answers that transformers' question-answering pipeline finds: for each example at most `top_k`, best first.
///
/// Each feature's best `2 * top_k + 10` spans (`top_k` without `align_to_words`) are candidates. Those with the same
/// text, whatever its case, count as one, at the place that was found first. "No answer" has the lowest score that the
/// first token has in a feature.
///
/// Two things differ from the pipeline: spans of probability 0, which it lists if there are not enough others, are left
/// out; and a question that is too long is an error, as in [`crate::make_features`].
///
/// # Errors
///
/// The options cannot work, features, logits and examples do not belong together, or an example has no feature.
pub fn pipeline_answers(
    examples: &[Example],
    features: &[Feature],
    logits: &[SpanLogits<'_>],
    options: &PipelineOptions,
) -> Result<Vec<Vec<PipelineAnswer>>, Error> {
    options.validate()?;
    let scored = group_by_example(examples, features, logits)?;
    let answers: Vec<_> = examples
        .par_iter()
        .zip(&scored)
        .map(|(example, features)| answer_one(example, features, options))
        .collect();
    answers.into_iter().collect()
}

fn answer_one(
    example: &Example,
    features: &[ScoredFeature<'_>],
    options: &PipelineOptions,
) -> Result<Vec<PipelineAnswer>, Error> {
    let count = if options.align_to_words {
        options.top_k.saturating_mul(2).saturating_add(10)
    } else {
        options.top_k
    };
    let index = CharIndex::new(&example.context);
    let mut answers: Vec<PipelineAnswer> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut null_score = f32::INFINITY;
    for (feature, logits) in features {
        let start = probabilities(logits.start, &feature.context);
        let end = probabilities(logits.end, &feature.context);
        let (Some(start), Some(end)) = (start, end) else {
            continue;
        };
        null_score = null_score.min(start.null * end.null);
        for span in best_spans(&start.tokens, &end.tokens, count, options.max_answer_len) {
            let chars = chars(feature, &span, options.align_to_words);
            let text = answer_text(example, &index, &chars)?;
            match known.entry(text.to_lowercase()) {
                Entry::Occupied(entry) => answers[*entry.get()].score += span.score,
                Entry::Vacant(entry) => {
                    entry.insert(answers.len());
                    answers.push(PipelineAnswer {
                        score: span.score,
                        start: chars.start,
                        end: chars.end,
                        answer: text.to_owned(),
                    });
                }
            }
        }
    }
    if options.handle_impossible_answer && null_score.is_finite() {
        answers.push(PipelineAnswer {
            score: null_score,
            start: 0,
            end: 0,
            answer: String::new(),
        });
    }
    answers.sort_by(|a, b| descending(a.score, b.score));
    answers.truncate(options.top_k);
    Ok(answers)
}

/// A softmax over the first token and the context.
struct Probabilities {
    null: f32,
    /// `[context.len()]`
    tokens: Vec<f32>,
}

/// `None` if a logit is NaN or `+inf`, or all are `-inf`.
fn probabilities(logits: &[f32], context: &Range<usize>) -> Option<Probabilities> {
    let null = *logits.first()?;
    let tokens = logits.get(context.clone())?;
    let highest = tokens.iter().copied().fold(null, f32::max);
    let weight = |logit: f32| (logit - highest).exp();
    let tokens: Vec<f32> = tokens.iter().map(|&logit| weight(logit)).collect();
    let null = weight(null);
    let total: f64 = tokens.iter().map(|&w| f64::from(w)).sum::<f64>() + f64::from(null);
    let total = total as f32;
    (total.is_finite() && total > 0.0).then(|| Probabilities {
        null: null / total,
        tokens: tokens.into_iter().map(|weight| weight / total).collect(),
    })
}

/// A span of tokens, counted from the context's first.
struct Span {
    score: f32,
    first: usize,
    last: usize,
}

/// The `count` best spans of at most `max_answer_len` tokens, best first.
fn best_spans(start: &[f32], end: &[f32], count: usize, max_answer_len: usize) -> Vec<Span> {
    let order = |a: &Span, b: &Span| {
        descending(a.score, b.score).then((a.first, a.last).cmp(&(b.first, b.last)))
    };
    let mut spans: Vec<Span> = Vec::new();
    let mut least = 0.0;
    for (first, &at_start) in start.iter().enumerate() {
        for (last, &at_end) in end.iter().enumerate().skip(first).take(max_answer_len) {
            let score = at_start * at_end;
            if score > least {
                spans.push(Span { score, first, last });
            }
        }
        if spans.len() >= count.saturating_mul(4).saturating_add(64) {
            spans.select_nth_unstable_by(count, order);
            spans.truncate(count);
            least = spans
                .iter()
                .map(|span| span.score)
                .fold(f32::INFINITY, f32::min);
        }
    }
    spans.sort_unstable_by(order);
    spans.truncate(count);
    spans
}

/// The characters of a span of tokens, or of the words in which it begins and ends.
fn chars(feature: &Feature, span: &Span, align_to_words: bool) -> Range<usize> {
    let (mut first, mut last) = (span.first, span.last);
    if align_to_words {
        let begins_word = |token: usize| feature.word_starts.get(token).copied().unwrap_or(true);
        while first > 0 && !begins_word(first) {
            first -= 1;
        }
        while last + 1 < feature.offsets.len() && !begins_word(last + 1) {
            last += 1;
        }
    }
    let start = feature.offsets[first].0 as usize;
    start..(feature.offsets[last].1 as usize).max(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::PairTemplate;

    /// "red cars, Red": four words, the second of two tokens.
    fn feature() -> (Example, Feature) {
        let feature = Feature {
            example_index: 0,
            input_ids: vec![0; 9],
            template: PairTemplate::bert(2, 3).into(),
            context: 3..8,
            max_context: 3..8,
            offsets: vec![(0, 3), (4, 7), (7, 8), (8, 9), (10, 13)],
            word_starts: vec![true, true, false, true, true],
            start_position: 0,
            end_position: 0,
        };
        (Example::new("q", "?", "red cars, Red"), feature)
    }

    fn answers(start: [f32; 9], end: [f32; 9], options: &PipelineOptions) -> Vec<PipelineAnswer> {
        let (example, feature) = feature();
        let (start, end) = (&start, &end);
        let logits = SpanLogits { start, end };
        pipeline_answers(&[example], &[feature], &[logits], options)
            .unwrap()
            .swap_remove(0)
    }

    #[test]
    fn texts_that_differ_in_case_are_one_answer() {
        let mut logits = [-9.0; 9];
        // The question's tokens do not count.
        logits[1] = 90.0;
        (logits[3], logits[7]) = (5.0, 5.0);
        let options = PipelineOptions {
            max_answer_len: 1,
            ..PipelineOptions::default()
        };
        let answers = answers(logits, logits, &options);
        assert_eq!(answers[0].answer, "red");
        assert_eq!((answers[0].start, answers[0].end), (0, 3));
        assert!((answers[0].score - 0.5).abs() < 1e-4, "{answers:?}");
    }

    #[test]
    fn answers_are_whole_words_unless_asked_otherwise() {
        let mut logits = [-9.0; 9];
        logits[5] = 5.0;
        let mut options = PipelineOptions::default();
        assert_eq!(answers(logits, logits, &options)[0].answer, "cars");
        options.align_to_words = false;
        let answer = &answers(logits, logits, &options)[0];
        assert_eq!((answer.answer.as_str(), answer.start), ("s", 7));
    }

    #[test]
    fn no_answer_is_listed_if_it_is_allowed() {
        let mut logits = [0.0; 9];
        logits[0] = 8.0;
        let mut options = PipelineOptions::default();
        assert_ne!(answers(logits, logits, &options)[0].answer, "");
        options.handle_impossible_answer = true;
        let answer = &answers(logits, logits, &options)[0];
        assert_eq!((answer.answer.as_str(), answer.end), ("", 0));
        assert!(answer.score > 0.9);
        options.top_k = 0;
        let (example, feature) = feature();
        let logits = SpanLogits {
            start: &[0.0; 9],
            end: &[0.0; 9],
        };
        assert!(pipeline_answers(&[example], &[feature], &[logits], &options).is_err());
    }

    #[test]
    fn nan_is_no_answer() {
        let options = PipelineOptions {
            handle_impossible_answer: true,
            ..PipelineOptions::default()
        };
        assert_eq!(answers([f32::NAN; 9], [0.0; 9], &options), []);
    }
}
