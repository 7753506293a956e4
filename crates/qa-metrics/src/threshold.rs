//! The official v2.0 script's search for the best no-answer threshold.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::dataset_scores::QuestionScore;
use crate::error::Error;
use crate::na_probs::NaProbs;
use crate::scores::BestThresholds;
use crate::v2::RawScore;

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

/// The scored questions by rising probability; those that share one stay in the order of `na_probs`.
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
    // Not `total_cmp`: -0.0 and 0.0 are the same probability, and no NaN is left.
    ordered.sort_by(|(left, _), (right, _)| left.partial_cmp(right).unwrap_or(Ordering::Equal));
    Ok(ordered)
}

/// The best average in percent and its threshold. It starts with no question answered, so that every unanswerable one is
/// right, and then lets one question after the other be answered, the surest first.
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
