use qa_metrics::{span_exact_match, span_f1};
use squad_data::Feature;

/// Token-level scores of logits against the labels of their features; not the official metrics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FeatureScores {
    /// The mean over the features of the training loss.
    pub(crate) loss: f64,
    /// Share of features whose most likely start and end are the labels, in percent.
    pub(crate) span_exact: f64,
    /// Mean token F1 of these spans, in percent.
    pub(crate) span_f1: f64,
}

impl FeatureScores {
    /// `logits` are the start and end logits of each feature, `[tokens]` each. There is at least one feature.
    pub(crate) fn new(features: &[Feature], logits: &[[Vec<f32>; 2]]) -> Self {
        let (mut loss, mut exact, mut f1) = (0.0, 0.0, 0.0);
        for (feature, [start, end]) in features.iter().zip(logits) {
            let gold = feature.start_position..=feature.end_position;
            loss += (cross_entropy(start, *gold.start()) + cross_entropy(end, *gold.end())) / 2.0;
            let best = argmax(start)..=argmax(end);
            exact += f64::from(u8::from(span_exact_match(best.clone(), gold.clone())));
            f1 += span_f1(best, gold);
        }
        let count = features.len() as f64;
        Self {
            loss: loss / count,
            span_exact: 100.0 * exact / count,
            span_f1: 100.0 * f1 / count,
        }
    }
}

fn cross_entropy(logits: &[f32], label: usize) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exps = logits.iter().map(|logit| f64::from(logit - max).exp());
    exps.sum::<f64>().ln() + f64::from(max) - f64::from(logits[label])
}

/// The first of equal maxima, as on the device.
fn argmax(logits: &[f32]) -> usize {
    let mut best = 0;
    for (index, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::test_feature;

    #[test]
    fn known_logits_have_known_scores() {
        let flat = vec![0.0; 4];
        let sure = vec![-50.0, 50.0, -50.0, -50.0];
        let features = [1..=1, 1..=2].map(|label| test_feature(vec![0; 4], label));
        let logits = [[sure.clone(), sure.clone()], [sure, flat]];
        let scores = FeatureScores::new(&features, &logits);
        // The second feature's end is one of four equally likely ones; the rest has no loss.
        assert!((scores.loss - 4f64.ln() / 4.0).abs() < 1e-12, "{scores:?}");
        // Its most likely end is the first token, before its start: no token in common.
        assert_eq!((scores.span_exact, scores.span_f1), (50.0, 50.0));
    }
}
