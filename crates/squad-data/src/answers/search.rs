//! The best answer of each question over all its features.
//!
//! The search follows `postprocess_qa_predictions` in `utils_qa.py` of Hugging Face's question-answering examples, with
//! one exception: it takes the `n_best_size` best starts and ends among the tokens of the context, not among all tokens.
//! The restriction of starts to `max_context` is that of `write_predictions` in Google's `run_squad.py`.

use std::cmp::Ordering;
use std::ops::Range;

use rayon::prelude::*;

use crate::answers::options::AnswerOptions;
use crate::answers::prediction::{Prediction, SpanAnswer, lowered};
use crate::chars::CharIndex;
use crate::error::Error;
use crate::example::Example;
use crate::features::Feature;

/// The model's logits for one feature, special tokens included.
#[derive(Clone, Copy, Debug)]
pub struct SpanLogits<'a> {
    /// For each token the logit that an answer starts there, `[feature.len()]`.
    pub start: &'a [f32],
    /// For each token the logit that an answer ends there, `[feature.len()]`.
    pub end: &'a [f32],
}

/// Answers every question from the logits of all its features, on all of rayon's threads.
///
/// Returns one prediction for each example, in order. In each feature the `n_best_size` best starts in
/// [`Feature::max_context`] and the `n_best_size` best ends in [`Feature::context`] are combined to spans of at most
/// `max_answer_length` tokens. The span with the highest sum of logits wins; of equal ones the one in the earlier
/// feature, then with the earlier start, then with the earlier end. Tokens with a NaN logit are skipped. With
/// `allow_no_answer` the text is empty if `null_odds` exceeds the threshold.
///
/// ```
/// use squad_data::{AnswerOptions, Example, QaTokenizer, SpanLogits, FeatureOptions, extract_answers, make_features};
/// # use std::path::Path;
/// # let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tokenizer.json"));
/// let tokenizer = QaTokenizer::from_file(path)?;
/// let examples = [Example::new("q1", "who ate?", "the old cat ate")];
/// let features = make_features(&examples, &tokenizer, &FeatureOptions::default())?;
///
/// let (mut start, mut end) = (vec![0.0; features[0].len()], vec![0.0; features[0].len()]);
/// start[features[0].context.start] = 5.0; // "the"
/// end[features[0].context.start + 2] = 4.0; // "cat"
/// let logits = [SpanLogits { start: &start, end: &end }];
/// let predictions = extract_answers(&examples, &features, &logits, &AnswerOptions::default())?;
/// assert_eq!(predictions[0].text, "the old cat");
/// assert_eq!(predictions[0].null_odds, 0.0 - 9.0);
/// # Ok::<(), squad_data::Error>(())
/// ```
///
/// # Errors
///
/// The options cannot work, features, logits and examples do not belong together, or an example has no feature.
pub fn extract_answers(
    examples: &[Example],
    features: &[Feature],
    logits: &[SpanLogits<'_>],
    options: &AnswerOptions,
) -> Result<Vec<Prediction>, Error> {
    options.validate()?;
    let scored = group_by_example(examples, features, logits)?;
    let predictions: Vec<_> = examples
        .par_iter()
        .zip(&scored)
        .map(|(example, features)| extract_one(example, features, options))
        .collect();
    // Errors are looked at in order, so the returned one does not depend on the threads.
    predictions.into_iter().collect()
}

pub(super) type ScoredFeature<'a> = (&'a Feature, SpanLogits<'a>);

/// The features of each example, in order.
pub(super) fn group_by_example<'a>(
    examples: &[Example],
    features: &'a [Feature],
    logits: &[SpanLogits<'a>],
) -> Result<Vec<Vec<ScoredFeature<'a>>>, Error> {
    let wrong = |problem| Err(Error::Inconsistent { problem });
    if features.len() != logits.len() {
        return wrong(format!(
            "there are {} features but logits for {}",
            features.len(),
            logits.len()
        ));
    }
    let mut scored: Vec<Vec<ScoredFeature<'a>>> = vec![Vec::new(); examples.len()];
    for (index, (feature, logits)) in features.iter().zip(logits).enumerate() {
        let Some(of_example) = scored.get_mut(feature.example_index) else {
            return wrong(format!(
                "feature {index} belongs to example {}, but there are only {} examples",
                feature.example_index,
                examples.len()
            ));
        };
        let (tokens, start, end) = (feature.len(), logits.start.len(), logits.end.len());
        if start != tokens || end != tokens {
            return wrong(format!(
                "feature {index} has {tokens} tokens but {start} start and {end} end logits"
            ));
        }
        let (context, max_context) = (&feature.context, &feature.max_context);
        if context.end > tokens
            || max_context.end > tokens
            || feature.offsets.len() != context.len()
        {
            return wrong(format!(
                "feature {index} has {tokens} tokens and {} offsets, but its context is {context:?} and its \
                 max_context {max_context:?}",
                feature.offsets.len()
            ));
        }
        of_example.push((feature, *logits));
    }
    match scored.iter().position(Vec::is_empty) {
        Some(index) => wrong(format!(
            "question {:?} has no feature; pass the features of all examples",
            examples[index].id
        )),
        None => Ok(scored),
    }
}

/// A span of tokens of one feature, before its text is cut out.
#[derive(Clone)]
struct Candidate {
    score: f32,
    start_logit: f32,
    end_logit: f32,
    /// Feature, first and last token: breaks ties.
    tie_break: (usize, usize, usize),
    /// Empty for "no answer".
    chars: Range<usize>,
}

impl Candidate {
    fn order(&self, other: &Self) -> Ordering {
        descending(self.score, other.score).then(self.tie_break.cmp(&other.tie_break))
    }
}

pub(super) fn descending(a: f32, b: f32) -> Ordering {
    b.partial_cmp(&a).unwrap_or(Ordering::Equal)
}

/// The characters of an example's context, of which `index` is made, that a feature says an answer has.
pub(super) fn answer_text<'c>(
    example: &Example,
    index: &CharIndex<'c>,
    chars: &Range<usize>,
) -> Result<&'c str, Error> {
    index.slice(chars.clone()).ok_or_else(|| Error::Inconsistent {
        problem: format!(
            "question {:?}: offsets of a feature are outside the context, so it was made from another text",
            example.id
        ),
    })
}

fn extract_one(
    example: &Example,
    features: &[ScoredFeature<'_>],
    options: &AnswerOptions,
) -> Result<Prediction, Error> {
    let mut candidates = Vec::new();
    for (index, (feature, logits)) in features.iter().enumerate() {
        add_spans(index, feature, logits, options, &mut candidates);
        if candidates.len() > options.n_best_size.saturating_mul(16) {
            keep_best(&mut candidates, options.n_best_size);
        }
    }
    keep_best(&mut candidates, options.n_best_size);
    let has_span = !candidates.is_empty();

    let null = null_candidate(features);
    let null_score = null.as_ref().map_or(f32::NAN, |null| null.score);
    let mut best_rank = 0;
    if let Some(null) = null.filter(|_| options.allow_no_answer) {
        let rank = candidates.partition_point(|span| span.score >= null.score);
        candidates.insert(rank, null);
        best_rank = usize::from(rank == 0);
        if rank < options.n_best_size {
            // The best span stays in the list, even if only one entry is asked for.
            candidates.truncate(options.n_best_size.max(2));
        }
    }

    let n_best = with_text(example, &candidates, options)?;
    let best_span = n_best.get(best_rank).filter(|_| has_span).cloned();
    let null_odds = best_span
        .as_ref()
        .map_or(null_score, |best| null_score - best.score);
    let decline = options.allow_no_answer && null_odds > options.null_score_diff_threshold;
    let text = best_span
        .as_ref()
        .filter(|_| !decline)
        .map(|best| best.text.clone())
        .unwrap_or_default();
    let mut prediction = Prediction {
        id: example.id.clone(),
        text,
        probability: 0.0,
        best_span,
        n_best,
        null_score,
        null_odds,
    };
    prediction.set_probability(options);
    Ok(prediction)
}

/// Adds the valid spans of feature `index`.
fn add_spans(
    index: usize,
    feature: &Feature,
    logits: &SpanLogits<'_>,
    options: &AnswerOptions,
    candidates: &mut Vec<Candidate>,
) {
    let starts = best_positions(logits.start, &feature.max_context, options.n_best_size);
    let ends = best_positions(logits.end, &feature.context, options.n_best_size);
    for &start in &starts {
        for &end in &ends {
            if end < start || end - start >= options.max_answer_length {
                continue;
            }
            let (start_logit, end_logit) = (logits.start[start], logits.end[end]);
            let score = start_logit + end_logit;
            let chars = feature
                .char_span(start, end)
                .filter(|chars| !chars.is_empty() && !score.is_nan());
            candidates.extend(chars.map(|chars| Candidate {
                score,
                start_logit,
                end_logit,
                tie_break: (index, start, end),
                chars,
            }));
        }
    }
}

/// The positions in `range` of the `count` highest logits, highest first, equal ones in order, without NaN.
fn best_positions(logits: &[f32], range: &Range<usize>, count: usize) -> Vec<usize> {
    let mut positions: Vec<usize> = range
        .clone()
        .filter(|&position| !logits[position].is_nan())
        .collect();
    let order = |a: &usize, b: &usize| descending(logits[*a], logits[*b]).then(a.cmp(b));
    if positions.len() > count {
        positions.select_nth_unstable_by(count, order);
        positions.truncate(count);
    }
    positions.sort_unstable_by(order);
    positions
}

/// Keeps the `count` best candidates, best first.
fn keep_best(candidates: &mut Vec<Candidate>, count: usize) {
    if candidates.len() > count {
        candidates.select_nth_unstable_by(count, Candidate::order);
        candidates.truncate(count);
    }
    candidates.sort_unstable_by(Candidate::order);
}

/// "No answer": the lowest score of `[CLS]` over the features, without NaN.
fn null_candidate(features: &[ScoredFeature<'_>]) -> Option<Candidate> {
    let nulls = features
        .iter()
        .enumerate()
        .filter_map(|(index, (_, logits))| {
            let (&start_logit, &end_logit) = (logits.start.first()?, logits.end.first()?);
            let score = start_logit + end_logit;
            (!score.is_nan()).then_some(Candidate {
                score,
                start_logit,
                end_logit,
                tie_break: (index, 0, 0),
                chars: 0..0,
            })
        });
    nulls.min_by(|a, b| descending(b.score, a.score))
}

/// Cuts the candidates' texts out of the context and gives them their probabilities.
fn with_text(
    example: &Example,
    candidates: &[Candidate],
    options: &AnswerOptions,
) -> Result<Vec<SpanAnswer>, Error> {
    let index = CharIndex::new(&example.context);
    let score = |candidate: &Candidate| {
        let threshold = options.null_score_diff_threshold;
        lowered(candidate.score, &candidate.chars, threshold)
    };
    let highest = candidates
        .iter()
        .map(score)
        .fold(f64::NEG_INFINITY, f64::max);
    // An infinite score minus itself is NaN, so the highest score has weight 1 by definition.
    let weight = |candidate: &Candidate| {
        let score = score(candidate);
        if score == highest {
            1.0
        } else {
            ((score - highest) / f64::from(options.temperature)).exp()
        }
    };
    let total: f64 = candidates.iter().map(weight).sum();
    let answer = |candidate: &Candidate| {
        let text = answer_text(example, &index, &candidate.chars)?;
        Ok(SpanAnswer {
            text: text.to_owned(),
            chars: candidate.chars.clone(),
            score: candidate.score,
            start_logit: candidate.start_logit,
            end_logit: candidate.end_logit,
            probability: (weight(candidate) / total) as f32,
        })
    };
    candidates.iter().map(answer).collect()
}
