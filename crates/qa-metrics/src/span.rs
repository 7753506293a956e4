//! Exact match and F1 of one pair of token spans.

use std::ops::RangeInclusive;

/// Whether a predicted token span is the gold one.
///
/// A span whose end comes before its start is empty and matches nothing.
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
/// F1 is twice the overlap divided by the sum of the lengths. A span whose end comes before its start is empty.
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

/// In `f64`, because `end + 1` may overflow.
fn num_tokens(start: usize, end: usize) -> f64 {
    if end < start {
        0.0
    } else {
        (end - start) as f64 + 1.0
    }
}
