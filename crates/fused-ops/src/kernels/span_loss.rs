use std::sync::Arc;

use crate::CuSeqlens;

/// Where the windows of a batch and their answers are.
#[derive(Clone, Debug)]
pub(crate) struct Targets {
    pub(crate) lengths: CuSeqlens,
    /// Start and end of each window's answer, counted from its first token.
    pub(crate) positions: Arc<[(usize, usize)]>,
}

/// One side (0 for starts, 1 for ends) of one window.
struct Side {
    /// Its logits' places: every second number.
    first: usize,
    end: usize,
    /// The place of the target's logit.
    target: usize,
}

impl Side {
    fn places(&self) -> impl Iterator<Item = usize> + use<> {
        (self.first..self.end).step_by(2)
    }

    /// The logarithm of the sum of exponentials.
    fn log_sum(&self, logits: &[f32]) -> f64 {
        let largest = self.places().map(|i| logits[i]);
        let largest = f64::from(largest.fold(f32::NEG_INFINITY, f32::max));
        let exponentials = self
            .places()
            .map(|i| (f64::from(logits[i]) - largest).exp());
        largest + exponentials.sum::<f64>().ln()
    }
}

fn sides(targets: &Targets) -> impl Iterator<Item = Side> + '_ {
    let windows = targets.lengths.ranges().zip(targets.positions.iter());
    windows.flat_map(|(range, (start, end))| {
        [*start, *end]
            .into_iter()
            .enumerate()
            .map(move |(side, target)| Side {
                first: 2 * range.start + side,
                end: 2 * range.end,
                target: 2 * (range.start + target) + side,
            })
    })
}

/// The summed span loss; `logits` are start and end of each token.
///
/// A few thousand numbers: not worth more than one thread, but worth double precision.
pub(crate) fn forward(logits: &[f32], targets: &Targets) -> f32 {
    let losses = sides(targets).map(|side| side.log_sum(logits) - f64::from(logits[side.target]));
    (losses.sum::<f64>() / 2.0) as f32
}

/// Fills the gradient of the logits; `grad` is the loss's.
pub(crate) fn backward(logits: &[f32], grad: f32, targets: &Targets, output: &mut [f32]) {
    let half = f64::from(grad) / 2.0;
    for side in sides(targets) {
        let log_sum = side.log_sum(logits);
        for i in side.places() {
            output[i] = (half * (f64::from(logits[i]) - log_sum).exp()) as f32;
        }
        output[side.target] -= half as f32;
    }
}
