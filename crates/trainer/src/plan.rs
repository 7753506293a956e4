use serde_json::Value;
use squad_data::{Feature, PackedBatch, Shuffle, batches};

use crate::Error;
use crate::config::Config;
use crate::state::{Best, RunState};

/// What a run does next, as a function of its configuration and state alone.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) total_steps: u32,
    config: Config,
    batches_per_epoch: usize,
    /// The order of one epoch, made when its first step is asked for.
    order: Option<(u32, Vec<Vec<usize>>)>,
}

impl Plan {
    pub(crate) fn new(config: &Config, num_features: usize) -> Self {
        let train = &config.train;
        let batches_per_epoch = num_features.div_ceil(train.batch_size);
        let steps = batches_per_epoch.div_ceil(train.gradient_accumulation_steps);
        let all = u32::try_from(steps)
            .unwrap_or(u32::MAX)
            .saturating_mul(train.epochs);
        let total_steps = match train.max_steps {
            0 => all,
            max => all.min(max),
        };
        Self {
            total_steps,
            config: config.clone(),
            batches_per_epoch,
            order: None,
        }
    }

    /// The batches of the next optimizer step; none where the epoch has no more.
    pub(crate) fn next_step(
        &mut self,
        state: &RunState,
        features: &[Feature],
    ) -> Result<Option<Vec<PackedBatch>>, Error> {
        let train = &self.config.train;
        if self.epoch_is_over(state) {
            return Ok(None);
        }
        if self
            .order
            .as_ref()
            .is_none_or(|(epoch, _)| *epoch != state.epoch)
        {
            let (seed, epoch) = (train.seed, u64::from(state.epoch));
            let shuffle = Some(Shuffle { seed, epoch });
            let order = batches(features.len(), train.batch_size, shuffle)?;
            self.order = Some((state.epoch, order));
        }
        let order = self.order.as_ref().map_or(&[][..], |(_, order)| order);
        let batches = order.iter().skip(state.next_batch);
        let batches = batches.take(train.gradient_accumulation_steps);
        Ok(Some(
            batches
                .map(|indices| PackedBatch::new(features, indices))
                .collect(),
        ))
    }

    /// Whether the epoch's last step was made, or the run's.
    pub(crate) fn epoch_is_over(&self, state: &RunState) -> bool {
        state.next_batch >= self.batches_per_epoch || state.step >= self.total_steps
    }

    /// Whether nothing is left to do but to save.
    pub(crate) fn is_finished(&self, state: &RunState) -> bool {
        let all_steps = state.step >= self.total_steps && state.next_batch == 0;
        all_steps || self.stops_early(state) && state.next_batch == 0
    }

    fn stops_early(&self, state: &RunState) -> bool {
        let patience = self.config.train.early_stopping_patience;
        patience > 0 && state.evaluations_without_improvement >= patience
    }

    pub(crate) fn evaluation_is_due(&self, state: &RunState) -> bool {
        let dev = &self.config.dev;
        let every = |count: u32, every: u32| every > 0 && count.is_multiple_of(every);
        let at_epochs_end =
            every(state.epoch, dev.every_epochs) || self.weights_are_due(state.epoch);
        let is_due = every(state.step, dev.every_steps)
            || self.epoch_is_over(state) && at_epochs_end
            || state.step >= self.total_steps;
        is_due && state.step > state.evaluated_step
    }

    /// After the epoch was ended: `state` then stands at the beginning of the next one.
    pub(crate) fn checkpoint_is_due(&self, state: &RunState) -> bool {
        let checkpoints = &self.config.checkpoints;
        let every = |count: u32, every: u32| every > 0 && count.is_multiple_of(every);
        let epoch_ended = state.next_batch == 0 && state.epoch > 1;
        every(state.step, checkpoints.every_steps)
            || epoch_ended && every(state.epoch - 1, checkpoints.every_epochs)
    }

    /// Whether the model alone is kept after this epoch.
    pub(crate) fn weights_are_due(&self, epoch: u32) -> bool {
        let every = self.config.checkpoints.weights_every_epochs;
        every > 0 && epoch.is_multiple_of(every)
    }

    /// Compares an evaluation with the best one and notes it where it is better; the loss is better
    /// when it is lower, every other figure when it is higher.
    pub(crate) fn compare(&self, state: &mut RunState, metrics: &Value) -> Result<bool, Error> {
        let name = &self.config.dev.metric_for_best_model;
        if name.is_empty() {
            return Ok(false);
        }
        let value = metrics.get(name).and_then(Value::as_f64).ok_or_else(|| {
            let figures = metrics.as_object().into_iter().flatten();
            let names: Vec<_> = figures
                .filter(|(_, v)| v.is_f64())
                .map(|(k, _)| &**k)
                .collect();
            Error::Config(vec![format!(
                "dev.metric_for_best_model = {name}: no such figure (there is: {})",
                names.join(", ")
            )])
        })?;
        let is_better = state.best.is_none_or(|best| match &**name {
            "loss" => value < best.value,
            _ => value > best.value,
        });
        match is_better {
            true => {
                let (step, epoch) = (state.step, state.epoch);
                state.best = Some(Best { value, step, epoch });
                state.evaluations_without_improvement = 0;
            }
            false => state.evaluations_without_improvement += 1,
        }
        Ok(is_better)
    }
}
