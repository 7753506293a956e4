//! Exact match and F1 of token spans, one pair at a time.

use std::ops::RangeInclusive;

/// Whether a predicted token span is the gold one.
///
/// Spans are positions of the first and the last token, both included. One whose end comes before its start is empty, and
/// an empty span matches nothing.
///
/// ```
/// use qa_metrics::span_exact_match;
///
/// assert!(span_exact_match(3..=5, 3..=5));
/// assert!(!span_exact_match(3..=5, 3..=6));
/// ```
pub fn span_exact_match(prediction: RangeInclusive<usize>, gold: RangeInclusive<usize>) -> bool {
    !prediction.is_empty() && prediction == gold
}

/// F1 of the tokens of a predicted and a gold span, between 0 and 1.
///
/// Spans as in [`span_exact_match`]. Precision is the overlap over the predicted length, recall the overlap over the gold
/// length, so F1 is twice the overlap over the sum of the lengths, and 0 without overlap.
///
/// ```
/// use qa_metrics::span_f1;
///
/// assert_eq!(span_f1(3..=5, 3..=5), 1.0);
/// assert_eq!(span_f1(3..=6, 5..=8), 0.5); // 2 tokens of 4 and of 4
/// assert_eq!(span_f1(3..=4, 5..=8), 0.0);
/// let (start, end) = (5, 3);
/// assert_eq!(span_f1(start..=end, 3..=5), 0.0); // ends before it starts
/// ```
pub fn span_f1(prediction: RangeInclusive<usize>, gold: RangeInclusive<usize>) -> f64 {
    let overlap = num_tokens(
        *prediction.start().max(gold.start()),
        *prediction.end().min(gold.end()),
    );
    let lengths =
        num_tokens(*prediction.start(), *prediction.end()) + num_tokens(*gold.start(), *gold.end());
    2.0 * overlap / lengths.max(1.0)
}

/// In `f64` because `end + 1` may not fit.
fn num_tokens(start: usize, end: usize) -> f64 {
    if end < start {
        0.0
    } else {
        (end - start) as f64 + 1.0
    }
}
