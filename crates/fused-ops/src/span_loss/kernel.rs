use std::sync::Arc;

#[cfg(feature = "tch")]
use burn::tensor::Device;

use crate::cu_seqlens::CuSeqlens;

/// Span loss arguments other than the logits.
#[derive(Clone, Debug)]
pub(crate) struct SpanLoss {
    pub(crate) cu_seqlens: CuSeqlens,
    /// Of each feature, counted from its first token.
    pub(crate) start_positions: Arc<[usize]>,
    /// Of each feature, counted from its first token.
    pub(crate) end_positions: Arc<[usize]>,
    /// The device of the logits, without autodiff.
    #[cfg(feature = "tch")]
    pub(crate) device: Device,
}

/// The start or the end logits of one feature: every second number.
struct Side {
    first: usize,
    end: usize,
    /// The index of the target's logit.
    target: usize,
}

impl Side {
    fn indices(&self) -> impl Iterator<Item = usize> + use<> {
        (self.first..self.end).step_by(2)
    }

    /// The log-sum-exp.
    fn lse(&self, logits: &[f32]) -> f64 {
        let largest = self.indices().map(|i| logits[i]);
        let largest = f64::from(largest.fold(f32::NEG_INFINITY, f32::max));
        let exponentials = self
            .indices()
            .map(|i| (f64::from(logits[i]) - largest).exp());
        largest + exponentials.sum::<f64>().ln()
    }
}

fn sides(args: &SpanLoss) -> impl Iterator<Item = Side> + '_ {
    let positions = args.start_positions.iter().zip(args.end_positions.iter());
    let features = args.cu_seqlens.ranges().zip(positions);
    features.flat_map(|(range, (start, end))| {
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

/// The summed span loss of `logits`, `[tokens, 2]`.
///
/// Logits are few: one thread and double precision.
pub(crate) fn forward(logits: &[f32], args: &SpanLoss) -> f32 {
    let losses = sides(args).map(|side| side.lse(logits) - f64::from(logits[side.target]));
    (losses.sum::<f64>() / 2.0) as f32
}

/// Fills the gradient of the logits from `grad`, that of the loss.
pub(crate) fn backward(logits: &[f32], grad: f32, args: &SpanLoss, grad_logits: &mut [f32]) {
    let half = f64::from(grad) / 2.0;
    for side in sides(args) {
        let lse = side.lse(logits);
        for i in side.indices() {
            grad_logits[i] = (half * (f64::from(logits[i]) - lse).exp()) as f32;
        }
        grad_logits[side.target] -= half as f32;
    }
}
