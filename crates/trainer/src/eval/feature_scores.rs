use qa_metrics::{span_exact_match, span_f1};
use squad_data::Feature;

/// How well logits fit the labels of the windows they were computed for: token-level figures, not
/// the official ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct WindowScores {
    /// The mean over windows of the mean cross-entropy of start and end, each over the window's real
    /// tokens: the loss that training minimises.
    pub(crate) loss: f64,
    /// Windows in which the most likely start and end are the labels, in percent.
    pub(crate) span_exact: f64,
    /// The mean F1 over tokens of these spans, in percent.
    pub(crate) span_f1: f64,
}

impl WindowScores {
    /// `logits` are start and end logits of each window, `[tokens]` each; there is at least one window.
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

/// The first of equal ones, as on the device.
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

    fn feature(start_position: usize, end_position: usize) -> Feature {
        Feature {
            example_index: 0,
            input_ids: vec![0; 4],
            context: 1..3,
            max_context: 1..3,
            offsets: vec![(0, 1), (1, 2)],
            start_position,
            end_position,
        }
    }

    #[test]
    fn is_the_loss_and_the_scores_of_the_labels() {
        let flat = vec![0.0; 4];
        let sure = vec![-50.0, 50.0, -50.0, -50.0];
        let features = [feature(1, 1), feature(1, 2)];
        let logits = [[sure.clone(), sure.clone()], [sure, flat]];
        let scores = WindowScores::new(&features, &logits);
        // The second window's end is one of four, all as likely; nothing else costs anything.
        assert!((scores.loss - 4f64.ln() / 4.0).abs() < 1e-12, "{scores:?}");
        // Its most likely end is the first token, before its start: no token in common.
        assert_eq!((scores.span_exact, scores.span_f1), (50.0, 50.0));
    }
}
