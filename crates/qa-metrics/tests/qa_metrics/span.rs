//! Span scores equal counting token by token.

use proptest::prelude::*;
use qa_metrics::{span_exact_match, span_f1};

/// F1 of the two sets of positions.
fn span_f1_by_counting(prediction: (usize, usize), gold: (usize, usize)) -> f64 {
    let predicted: Vec<usize> = (prediction.0..=prediction.1).collect();
    let expected: Vec<usize> = (gold.0..=gold.1).collect();
    let overlap = predicted
        .iter()
        .filter(|position| expected.contains(position))
        .count();
    if overlap == 0 {
        return 0.0;
    }
    let precision = overlap as f64 / predicted.len() as f64;
    let recall = overlap as f64 / expected.len() as f64;
    2.0 * precision * recall / (precision + recall)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn span_f1_counts_tokens(
        prediction in (0_usize..30, 0_usize..30),
        gold in (0_usize..30, 0_usize..30),
    ) {
        let score = span_f1(prediction.0..=prediction.1, gold.0..=gold.1);
        // Both formulas round a few times.
        prop_assert!((score - span_f1_by_counting(prediction, gold)).abs() <= 4.0 * f64::EPSILON);

        let is_exact = span_exact_match(prediction.0..=prediction.1, gold.0..=gold.1);
        prop_assert_eq!(is_exact, score == 1.0);
        prop_assert_eq!(is_exact, prediction == gold && gold.0 <= gold.1);
    }
}

#[test]
fn extreme_positions_do_not_overflow() {
    assert_eq!(span_f1(0..=usize::MAX, 0..=usize::MAX), 1.0);
    let (start, end) = (usize::MAX, 0);
    assert_eq!(span_f1(start..=end, start..=end), 0.0);
    assert!(!span_exact_match(start..=end, start..=end));
}
