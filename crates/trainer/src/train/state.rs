use burn::tensor::{Device, Int, Tensor, TensorData};
use fused_ops::{CuSeqlens, pad_span_logits};
use process_group::ProcessGroup;
use qa_metrics::{SpanMetrics, TokenSpans};
use serde::{Deserialize, Serialize};
use squad_data::{PackedBatch, SamplerState};

use crate::Error;

/// Where a run stands between two optimizer steps, besides the model and the optimizer's moments.
/// The order of batches and the dropout masks follow from it, so there is no random state to keep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunState {
    /// Optimizer steps made.
    pub(crate) step: u32,
    /// The epoch, counted from 1, and the next batch in its order.
    pub(crate) sampler: SamplerState,
    /// The epoch so far.
    pub(crate) totals: SavedTotals,
    /// Windows trained on since the run began.
    pub(crate) features: u64,
    /// Seconds spent in training steps.
    pub(crate) training_seconds: f64,
    /// Seconds that earlier processes of this run took, up to their last checkpoint.
    pub(crate) elapsed_seconds: f64,
    /// The mean loss of the last whole epoch; NaN before there is one.
    #[serde(with = "nan_as_null")]
    pub(crate) train_loss: f64,
    pub(crate) smoothed: Smoothed,
    /// The step of the last evaluation; 0 before there is one.
    pub(crate) evaluated_step: u32,
    pub(crate) best: Option<Best>,
    /// Evaluations since the best one.
    pub(crate) evaluations_without_improvement: u32,
}

impl RunState {
    /// Before the first step; `sampler` stands at the beginning of the first epoch.
    pub(crate) fn new(sampler: SamplerState) -> Self {
        Self {
            step: 0,
            sampler,
            totals: SavedTotals::default(),
            features: 0,
            training_seconds: 0.0,
            elapsed_seconds: 0.0,
            train_loss: f64::NAN,
            smoothed: Smoothed::default(),
            evaluated_step: 0,
            best: None,
            evaluations_without_improvement: 0,
        }
    }

    /// The epoch that the next batch belongs to, counted from 1.
    pub(crate) fn epoch(&self) -> u32 {
        u32::try_from(self.sampler.epoch).unwrap_or(u32::MAX)
    }

    /// Whether the epoch's first batch is the next.
    pub(crate) fn is_at_epochs_start(&self) -> bool {
        self.sampler.next_batch == 0
    }
}

/// JSON has no NaN.
mod nan_as_null {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        value.is_finite().then_some(value).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(reader: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(reader)?.unwrap_or(f64::NAN))
    }
}

/// The best evaluation so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// The figure that `eval.metric_for_best_model` names.
    pub value: f64,
    /// The optimizer steps made by then.
    pub step: u32,
    /// The epoch, counted from 1.
    pub epoch: u32,
}

/// A mean over about the last fifty values, without the bias of starting at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Smoothed {
    sum: f64,
    weight: f64,
}

impl Smoothed {
    /// Takes a value in and gives the mean.
    pub(crate) fn add(&mut self, value: f64) -> f64 {
        const KEEP: f64 = 0.98;
        self.sum = KEEP * self.sum + (1.0 - KEEP) * value;
        self.weight = KEEP * self.weight + (1.0 - KEEP);
        self.sum / self.weight
    }
}

/// [`EpochTotals`] on the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedTotals {
    loss: f64,
    features: usize,
    seconds: f64,
    spans: ([f32; 2], usize),
}

/// Sums over the steps of an epoch. Loss and windows are those of all ranks, spans those of this rank.
#[derive(Clone, Debug, Default)]
pub(crate) struct EpochTotals {
    /// Of the loss, over windows.
    pub(crate) loss: f64,
    pub(crate) features: usize,
    pub(crate) seconds: f64,
    pub(crate) spans: SpanMetrics,
}

impl EpochTotals {
    /// Goes on from a saved state; its spans are those of all ranks, of which the first takes them.
    pub(crate) fn restore(saved: &SavedTotals, rank: usize, device: &Device) -> Self {
        let (sums, total) = match rank {
            0 => saved.spans,
            _ => Default::default(),
        };
        Self {
            loss: saved.loss,
            features: saved.features,
            seconds: saved.seconds,
            spans: SpanMetrics::from_sums(sums, total, device),
        }
    }

    /// With the spans of all ranks.
    pub(crate) fn over_ranks(
        self,
        group: &dyn ProcessGroup,
        device: &Device,
    ) -> Result<Self, Error> {
        let (sums, total) = self.spans.sums().map_err(device_error)?;
        let all = group.sum(&[f64::from(sums[0]), f64::from(sums[1]), total as f64])?;
        let sums = [all[0] as f32, all[1] as f32];
        Ok(Self {
            spans: SpanMetrics::from_sums(sums, all[2] as usize, device),
            ..self
        })
    }

    pub(crate) fn save(&self) -> Result<SavedTotals, Error> {
        Ok(SavedTotals {
            loss: self.loss,
            features: self.features,
            seconds: self.seconds,
            spans: self.spans.sums().map_err(device_error)?,
        })
    }

    /// Adds the spans that the logits of a batch, `[tokens, 2]`, point at; they and their scores
    /// stay on the device.
    pub(crate) fn add_spans(&mut self, batch: &PackedBatch, logits: Tensor<2>) {
        let device = logits.device();
        let padded = pad_span_logits(logits, &CuSeqlens::new(&batch.lengths));
        let best = padded.argmax(2).squeeze_dim::<2>(2);
        let side = |side: usize| best.clone().narrow(1, side, 1).squeeze_dim::<1>(1);
        let positions = |positions: &[usize]| {
            let positions: Vec<i64> = positions.iter().map(|p| *p as i64).collect();
            let shape = [positions.len()];
            Tensor::<1, Int>::from_data(TensorData::new(positions, shape), &device)
        };
        let gold = TokenSpans {
            start: positions(&batch.start_positions),
            end: positions(&batch.end_positions),
        };
        self.spans.update(
            TokenSpans {
                start: side(0),
                end: side(1),
            },
            gold,
        );
    }
}

pub(crate) fn device_error(error: impl ToString) -> Error {
    Error::Device(error.to_string())
}

#[cfg(test)]
impl RunState {
    /// A run of ten windows, at the beginning of an epoch.
    pub(crate) fn at(step: u32, epoch: u32, evaluated_step: u32) -> Self {
        let sampler = SamplerState {
            seed: 0,
            num_features: 10,
            num_tokens: 100,
            batch_size: squad_data::BatchSize::Features(5),
            epoch: u64::from(epoch),
            next_batch: 0,
        };
        Self {
            step,
            evaluated_step,
            ..Self::new(sampler)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_starts_at_the_first_value_and_follows() {
        let mut loss = Smoothed::default();
        // Rounding of four operations.
        assert!((loss.add(3.0) - 3.0).abs() < 1e-12);
        let last = (0..500).map(|_| loss.add(1.0)).last().unwrap();
        assert!((last - 1.0).abs() < 1e-3 && last > 1.0, "{last}");
    }

    #[test]
    fn a_state_is_read_back_as_it_was_written() {
        let state = RunState {
            training_seconds: 0.1 + 0.2,
            best: Some(Best {
                value: 1.0 / 3.0,
                step: 5,
                epoch: 2,
            }),
            train_loss: 0.7,
            ..RunState::at(7, 2, 5)
        };
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<RunState>(&text).unwrap(), state);
        let new = serde_json::to_string(&RunState::at(0, 1, 0)).unwrap();
        let new: RunState = serde_json::from_str(&new).unwrap();
        assert!(new.train_loss.is_nan());
    }
}
