use serde::{Deserialize, Serialize};
use squad_data::SamplerState;

use crate::train::epoch_totals::SavedTotals;
use crate::train::prefetcher::StepBatches;

/// The state of a run between two optimizer steps, besides the model and the optimizer's moments. The order of batches and
/// the dropout masks are functions of it, so there is no random state to save.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunState {
    /// Optimizer steps made.
    pub(crate) step: u32,
    /// The position in the epochs, which are counted from 1.
    pub(crate) sampler: SamplerState,
    /// Sums over the current epoch.
    pub(crate) totals: SavedTotals,
    /// Features trained on since the run began.
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
    /// The digest of the folder of the best model, on the rank that has written it.
    pub(crate) best_model: Option<String>,
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
            best_model: None,
            evaluations_without_improvement: 0,
        }
    }

    /// Checks the ranges that counters and sums of a run can have.
    ///
    /// # Errors
    /// What is out of range.
    pub(crate) fn check(&self) -> Result<(), String> {
        /// Far more than a run can count, and far from the end of its type.
        const MOST: u64 = 1 << 53;
        let Self { totals, best, .. } = self;
        let epoch = self.sampler.epoch;
        if !(1..u64::from(u32::MAX)).contains(&epoch) {
            return Err(format!("epoch {epoch}"));
        }
        if self.step == u32::MAX {
            return Err(format!("step {}", self.step));
        }
        let ([exact, f1], spans) = totals.spans;
        for (name, count) in [
            ("next_batch", self.sampler.next_batch as u64),
            ("features", self.features),
            ("features of the epoch", totals.features as u64),
            ("spans of the epoch", spans as u64),
        ] {
            if count > MOST {
                return Err(format!("{name} {count}"));
            }
        }
        let best_step = best.map_or(0, |best| best.step);
        for (name, step) in [
            ("evaluated_step", self.evaluated_step),
            ("step of the best evaluation", best_step),
            (
                "evaluations_without_improvement",
                self.evaluations_without_improvement,
            ),
        ] {
            if step > self.step {
                return Err(format!("{name} {step} after {} steps", self.step));
            }
        }
        for (name, value, least) in [
            ("training_seconds", self.training_seconds, 0.0),
            ("elapsed_seconds", self.elapsed_seconds, 0.0),
            ("seconds of the epoch", totals.seconds, 0.0),
            ("exact matches of the epoch", exact.into(), 0.0),
            ("F1 of the epoch", f1.into(), 0.0),
            // Rounding may bring a loss below 0.
            ("loss of the epoch", totals.loss, f64::MIN),
            ("smoothed loss", self.smoothed.sum, f64::MIN),
            ("weight of the smoothed loss", self.smoothed.weight, 0.0),
        ] {
            // Also refuses NaN.
            if !(least..f64::INFINITY).contains(&value) {
                return Err(format!("{name} {value}"));
            }
        }
        Ok(())
    }

    /// The epoch that the next batch belongs to, counted from 1.
    pub(crate) fn epoch(&self) -> u32 {
        u32::try_from(self.sampler.epoch).unwrap_or(u32::MAX)
    }

    /// Counts a step.
    pub(crate) fn add_step(&mut self, step: &StepBatches) {
        self.step += 1;
        self.sampler = step.position.clone();
        self.features += step.feature_indices.len() as u64;
    }

    /// Whether the next batch is the first of its epoch.
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

/// An exponential moving average over about the last 50 values, without the bias of starting at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Smoothed {
    sum: f64,
    weight: f64,
}

impl Smoothed {
    /// Adds a value and returns the average.
    pub(crate) fn add(&mut self, value: f64) -> f64 {
        const KEEP: f64 = 0.98;
        self.sum = KEEP * self.sum + (1.0 - KEEP) * value;
        self.weight = KEEP * self.weight + (1.0 - KEEP);
        self.sum / self.weight
    }
}

#[cfg(test)]
impl RunState {
    /// A run of ten features, at the start of an epoch.
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
    fn smoothing_starts_at_the_first_value() {
        let mut loss = Smoothed::default();
        // Rounding of four operations.
        assert!((loss.add(3.0) - 3.0).abs() < 1e-12);
        let last = (0..500).map(|_| loss.add(1.0)).last().unwrap();
        assert!((last - 1.0).abs() < 1e-3 && last > 1.0, "{last}");
    }

    #[test]
    fn counters_and_sums_out_of_range_are_refused() {
        let state = RunState::at(7, 2, 5);
        assert_eq!(state.check(), Ok(()));
        let changed = |change: &dyn Fn(&mut RunState)| {
            let mut state = state.clone();
            change(&mut state);
            state.check().unwrap_err()
        };
        for (named, error) in [
            ("epoch 0", changed(&|s| s.sampler.epoch = 0)),
            ("epoch 18", changed(&|s| s.sampler.epoch = u64::MAX)),
            ("step 4294967295", changed(&|s| s.step = u32::MAX)),
            (
                "next_batch",
                changed(&|s| s.sampler.next_batch = usize::MAX),
            ),
            ("features", changed(&|s| s.features = u64::MAX)),
            ("features of", changed(&|s| s.totals.features = usize::MAX)),
            ("spans", changed(&|s| s.totals.spans.1 = usize::MAX)),
            ("evaluated_step 8", changed(&|s| s.evaluated_step = 8)),
            (
                "evaluations_without",
                changed(&|s| s.evaluations_without_improvement = u32::MAX),
            ),
            ("training_seconds", changed(&|s| s.training_seconds = -1.0)),
            ("loss of", changed(&|s| s.totals.loss = f64::INFINITY)),
            ("smoothed", changed(&|s| s.smoothed.sum = f64::NAN)),
        ] {
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_saved_state_reads_back_equal() {
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
