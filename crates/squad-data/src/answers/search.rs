//! From logits to answers, over all windows of each question.
//!
//! After `postprocess_qa_predictions` in `utils_qa.py` of Hugging Face's question-answering examples, except that starts
//! and ends are restricted to tokens of the context before the best `n_best_size` of them are taken. The restriction of
//! starts to a window's `max_context` is that of `write_predictions` in Google's `run_squad.py`.

use std::cmp::Ordering;
use std::ops::Range;

use rayon::prelude::*;

use crate::answers::options::{AnswerOptions, Prediction, SpanAnswer, SpanLogits};
use crate::chars::CharIndex;
use crate::error::Error;
use crate::example::Example;
use crate::features::feature::Feature;

/// Answers every question from the logits of all its windows, in the order of the examples, on all of rayon's threads.
///
/// In each window the `n_best_size` best starts among the tokens of [`Feature::max_context`] and the `n_best_size` best
/// ends among those of the context are combined into spans of at most `max_answer_length` tokens; spans of all windows are compared by the sum of their logits. With `allow_no_answer` the
/// text is empty where `null_odds` exceeds the threshold. Equal scores go to the earlier window, start and end; a NaN
/// is never part of a span.
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
/// Options that cannot work, features or logits that do not belong to each other or to the examples, and an example
/// without a window.
pub fn extract_answers(
    examples: &[Example],
    features: &[Feature],
    logits: &[SpanLogits<'_>],
    options: &AnswerOptions,
) -> Result<Vec<Prediction>, Error> {
    options.validate()?;
    let windows = group_by_example(examples, features, logits)?;
    let answer =
        |(example, windows): (&Example, &Vec<Window<'_>>)| extract_one(example, windows, options);
    // Errors are looked at in order, so that which one is told does not depend on the threads.
    let predictions: Vec<_> = examples.par_iter().zip(&windows).map(answer).collect();
    predictions.into_iter().collect()
}

type Window<'a> = (&'a Feature, SpanLogits<'a>);

/// The windows of each example, in order.
fn group_by_example<'a>(
    examples: &[Example],
    features: &'a [Feature],
    logits: &[SpanLogits<'a>],
) -> Result<Vec<Vec<Window<'a>>>, Error> {
    let wrong = |problem| Err(Error::Inconsistent { problem });
    if features.len() != logits.len() {
        return wrong(format!(
            "{} windows but logits of {}; give one for each window",
            features.len(),
            logits.len()
        ));
    }
    let mut windows: Vec<Vec<Window<'a>>> = vec![Vec::new(); examples.len()];
    for (index, (feature, logits)) in features.iter().zip(logits).enumerate() {
        let Some(of_example) = windows.get_mut(feature.example_index) else {
            return wrong(format!(
                "window {index} belongs to example {}, but there are {}",
                feature.example_index,
                examples.len()
            ));
        };
        let (tokens, start, end) = (feature.len(), logits.start.len(), logits.end.len());
        if start != tokens
            || end != tokens
            || feature.context.end > tokens
            || feature.max_context.end > tokens
            || feature.offsets.len() != feature.context.len()
        {
            return wrong(format!(
                "window {index} has {tokens} tokens but {start} start and {end} end logits"
            ));
        }
        of_example.push((feature, *logits));
    }
    match windows.iter().position(Vec::is_empty) {
        Some(index) => wrong(format!(
            "question {:?} has no window; give the windows of all examples",
            examples[index].id
        )),
        None => Ok(windows),
    }
}

/// A span of tokens of one window, before its text is cut out.
#[derive(Clone)]
struct Candidate {
    score: f32,
    start_logit: f32,
    end_logit: f32,
    /// Window, first and last token: breaks ties.
    place: (usize, usize, usize),
    /// Empty for "no answer".
    chars: Range<usize>,
}

impl Candidate {
    fn order(&self, other: &Self) -> Ordering {
        descending(self.score, other.score).then(self.place.cmp(&other.place))
    }
}

fn descending(a: f32, b: f32) -> Ordering {
    b.partial_cmp(&a).unwrap_or(Ordering::Equal)
}

fn extract_one(
    example: &Example,
    windows: &[Window<'_>],
    options: &AnswerOptions,
) -> Result<Prediction, Error> {
    let mut candidates = Vec::new();
    for (index, (feature, logits)) in windows.iter().enumerate() {
        window_spans(index, feature, logits, options, &mut candidates);
    }
    keep_best(&mut candidates, options.n_best_size);
    let has_span = !candidates.is_empty();

    let null = null_candidate(windows);
    let null_score = null.as_ref().map_or(f32::NAN, |null| null.score);
    let mut best_rank = 0;
    if let Some(null) = null.filter(|_| options.allow_no_answer) {
        let rank = candidates.partition_point(|span| span.score >= null.score);
        candidates.insert(rank, null);
        best_rank = usize::from(rank == 0);
        if rank < options.n_best_size {
            // The best span stays even where "no answer" is the one entry asked for.
            candidates.truncate(options.n_best_size.max(2));
        }
    }

    let n_best = with_text(example, &candidates)?;
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
    Ok(Prediction {
        id: example.id.clone(),
        text,
        best_span,
        n_best,
        null_score,
        null_odds,
    })
}

/// Adds the valid spans of one window.
fn window_spans(
    window: usize,
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
                place: (window, start, end),
                chars,
            }));
        }
    }
}

/// Positions in `range` of the `count` highest logits, highest first, equal ones in order; NaN left out.
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

/// "No answer": the window with the lowest score of `[CLS]`, NaN left out.
fn null_candidate(windows: &[Window<'_>]) -> Option<Candidate> {
    let nulls = windows
        .iter()
        .enumerate()
        .filter_map(|(window, (_, logits))| {
            let (&start_logit, &end_logit) = (logits.start.first()?, logits.end.first()?);
            let score = start_logit + end_logit;
            (!score.is_nan()).then_some(Candidate {
                score,
                start_logit,
                end_logit,
                place: (window, 0, 0),
                chars: 0..0,
            })
        });
    nulls.min_by(|a, b| descending(b.score, a.score))
}

/// Cuts the candidates' texts out of the context and gives them their probabilities.
fn with_text(example: &Example, candidates: &[Candidate]) -> Result<Vec<SpanAnswer>, Error> {
    let index = CharIndex::new(&example.context);
    let highest = candidates
        .iter()
        .map(|candidate| candidate.score)
        .fold(f32::NEG_INFINITY, f32::max);
    // An infinite score less itself is NaN; the highest score counts 1 whatever it is.
    let weight = |score: f32| {
        if score == highest {
            1.0
        } else {
            f64::from(score - highest).exp()
        }
    };
    let total: f64 = candidates
        .iter()
        .map(|candidate| weight(candidate.score))
        .sum();
    let answer = |candidate: &Candidate| {
        let text = index.slice(candidate.chars.clone()).ok_or_else(|| Error::Inconsistent {
            problem: format!("question {:?}: a window's offsets are outside its context; was it made from it?", example.id),
        })?;
        Ok(SpanAnswer {
            text: text.to_owned(),
            chars: candidate.chars.clone(),
            score: candidate.score,
            start_logit: candidate.start_logit,
            end_logit: candidate.end_logit,
            probability: (weight(candidate.score) / total) as f32,
        })
    };
    candidates.iter().map(answer).collect()
}
