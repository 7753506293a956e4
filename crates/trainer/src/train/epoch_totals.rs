use bert_qa::PackedInput;
use burn::tensor::Tensor;
use fused_ops::pad_span_logits;
use qa_metrics::{SpanMetrics, TokenSpans};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::optim::gradients::StepSums;
use crate::train::context::RunContext;

/// Sums over the steps of an epoch. Loss and features are those of all ranks, spans those of this rank.
#[derive(Clone, Debug, Default)]
pub(crate) struct EpochTotals {
    /// Of the loss, over features.
    pub(crate) loss: f64,
    pub(crate) num_features: usize,
    pub(crate) seconds: f64,
    pub(crate) spans: SpanMetrics,
}

impl EpochTotals {
    /// Continues from a saved state. Its spans are those of all ranks: rank 0 takes them.
    pub(crate) fn restore(saved: &SavedTotals, run: &RunContext) -> Self {
        let (sums, total) = if run.ranks.is_main() {
            saved.spans
        } else {
            Default::default()
        };
        Self {
            loss: saved.loss,
            num_features: saved.features,
            seconds: saved.seconds,
            spans: SpanMetrics::from_sums(sums, total, &run.device),
        }
    }

    /// With the spans of all ranks.
    pub(crate) fn over_ranks(self, run: &RunContext) -> Result<Self, Error> {
        let ([exact, f1], total) = self.spans.sums().map_err(Error::device)?;
        let own = [f64::from(exact), f64::from(f1), total as f64];
        let [exact, f1, total] = run.ranks.sum(own)?;
        let sums = [exact as f32, f1 as f32];
        Ok(Self {
            spans: SpanMetrics::from_sums(sums, total as usize, &run.device),
            ..self
        })
    }

    /// Adds a step.
    pub(crate) fn add_step(&mut self, sums: &StepSums, seconds: f64) {
        self.loss += f64::from(sums.mean_loss()) * sums.num_features as f64;
        self.num_features += sums.num_features;
        self.seconds += seconds;
    }

    pub(crate) fn save(&self) -> Result<SavedTotals, Error> {
        Ok(SavedTotals {
            loss: self.loss,
            features: self.num_features,
            seconds: self.seconds,
            spans: self.spans.sums().map_err(Error::device)?,
        })
    }

    /// Scores the spans of the largest logits, `[tokens, 2]`, against the labels. The scores stay on the device.
    pub(crate) fn add_spans(&mut self, input: &PackedInput, logits: Tensor<2>) {
        let device = logits.device();
        let padded = pad_span_logits(logits, &input.cu_seqlens);
        let best = padded.argmax(2).squeeze_dim::<2>(2);
        let side = |side: usize| best.clone().narrow(1, side, 1).squeeze_dim::<1>(1);
        let gold = [&input.start_positions, &input.end_positions];
        let gold = gold.map(|positions| positions.iter().map(|position| *position as i64));
        let [start, end] = fused_ops::upload_ints(gold, &device);
        let gold = TokenSpans { start, end };
        self.spans.update(
            TokenSpans {
                start: side(0),
                end: side(1),
            },
            gold,
        );
    }
}

/// [`EpochTotals`] on the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedTotals {
    pub(super) loss: f64,
    pub(super) features: usize,
    pub(super) seconds: f64,
    /// The sums of exact matches and of F1, and the number of spans.
    pub(super) spans: ([f32; 2], usize),
}
