//! Thresholds on no-answer probabilities: applying one, and the official v2.0 script's search for the best.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::error::Error;
use crate::na_probs::NaProbs;
use crate::scores::{BestThresholds, QuestionScore};

/// A question's score before any threshold.
pub(crate) struct RawScore<'a> {
    pub(crate) score: QuestionScore<'a>,
    /// Whether the prediction is not empty before normalization.
    pub(crate) is_answered: bool,
}

/// The scores if questions with a probability above `na_prob_thresh` get no answer.
pub(crate) fn apply_threshold<'a>(
    scores: &[QuestionScore<'a>],
    na_probs: &NaProbs,
    na_prob_thresh: f64,
) -> Result<Vec<QuestionScore<'a>>, Error> {
    let apply = |score: &QuestionScore<'a>| {
        let na_prob = na_probs.get(score.id).ok_or_else(|| Error::MissingNaProb {
            id: score.id.to_owned(),
        })?;
        if na_prob <= na_prob_thresh {
            return Ok(*score);
        }
        let is_right = f64::from(!score.has_answer);
        Ok(QuestionScore {
            exact: is_right,
            f1: is_right,
            ..*score
        })
    };
    scores.iter().map(apply).collect()
}

/// The thresholds with the highest exact match and F1.
pub(crate) fn best_thresholds(
    raw: &[RawScore<'_>],
    na_probs: &NaProbs,
) -> Result<BestThresholds, Error> {
    let ordered = by_rising_na_prob(raw, na_probs)?;
    let (exact, exact_thresh) = best_threshold(&ordered, |score| score.exact);
    let (f1, f1_thresh) = best_threshold(&ordered, |score| score.f1);
    Ok(BestThresholds {
        exact,
        exact_thresh,
        f1,
        f1_thresh,
    })
}

/// The scored questions by rising probability. Equal ones keep the order of `na_probs`.
fn by_rising_na_prob<'r, 'a>(
    raw: &'r [RawScore<'a>],
    na_probs: &NaProbs,
) -> Result<Vec<(f64, &'r RawScore<'a>)>, Error> {
    let by_id: HashMap<&str, &RawScore<'a>> = raw.iter().map(|raw| (raw.score.id, raw)).collect();
    let mut ordered = Vec::with_capacity(raw.len());
    for (id, na_prob) in na_probs.iter() {
        if na_prob.is_nan() {
            return Err(Error::NanNaProb { id: id.to_owned() });
        }
        if let Some(&raw) = by_id.get(id) {
            ordered.push((na_prob, raw));
        }
    }
    // Not `total_cmp`, for which -0.0 is below 0.0. There is no NaN left.
    ordered.sort_by(|(left, _), (right, _)| left.partial_cmp(right).unwrap_or(Ordering::Equal));
    Ok(ordered)
}

/// The best average in percent and its threshold.
///
/// The search starts with no question answered, so all unanswerable ones are right, and then answers one question after
/// the other, by rising probability.
fn best_threshold(
    ordered: &[(f64, &RawScore<'_>)],
    metric: impl Fn(&QuestionScore<'_>) -> f64,
) -> (f64, f64) {
    let num_no_ans = ordered
        .iter()
        .filter(|(_, raw)| !raw.score.has_answer)
        .count();
    let mut current = num_no_ans as f64;
    let (mut best, mut best_thresh) = (current, 0.0);
    for &(na_prob, raw) in ordered {
        current += if raw.score.has_answer {
            metric(&raw.score)
        } else if raw.is_answered {
            -1.0
        } else {
            0.0
        };
        if current > best {
            (best, best_thresh) = (current, na_prob);
        }
    }
    (100.0 * best / ordered.len() as f64, best_thresh)
}
