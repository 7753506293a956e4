use std::thread::Scope;

use serde_json::Value;
use squad_data::{BatchSampler, BatchSize, Feature, SamplerState, Shard, counted};

use crate::Error;
use crate::config::{Config, TrainConfig};
use crate::optim::lr_scheduler::Schedule;
use crate::train::prefetcher::Prefetcher;
use crate::train::state::{Best, RunState};

/// What a run does next: a function of its configuration and its state.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Optimizer steps of the whole run.
    pub(crate) total_steps: u32,
    /// Evaluations of the whole run.
    num_evaluations: u32,
    schedule: Schedule,
    config: Config,
    sampler: BatchSampler,
    shard: Shard,
}

impl Plan {
    /// A batch is that of all ranks together; `shard` is this rank's share.
    pub(crate) fn new(config: &Config, features: &[Feature], shard: Shard) -> Result<Self, Error> {
        let train = &config.train;
        let global = |size: usize| size.saturating_mul(shard.world_size());
        let batch_size = match train.max_tokens_per_batch {
            0 => BatchSize::Features(global(train.per_device_train_batch_size)),
            tokens => BatchSize::Tokens(global(tokens)),
        };
        let lengths = features.iter().map(Feature::len).collect();
        let mut sampler = BatchSampler::new(lengths, batch_size, train.seed)?;
        let max_steps = match train.max_steps {
            0 => u32::MAX,
            max => max,
        };
        let mut total_steps = 0_u32;
        let (mut num_evaluations, mut ends_evaluated) = (0_u32, false);
        for epoch in 1..=u64::from(train.num_train_epochs) {
            let steps = num_steps(&sampler, epoch, train);
            let steps = u32::try_from(steps).unwrap_or(u32::MAX);
            total_steps = total_steps.saturating_add(steps).min(max_steps);
            let at_step = every(total_steps, config.eval.every_steps);
            let at_epoch = is_evaluated_after(epoch as u32, config);
            num_evaluations += u32::from(at_epoch && !at_step);
            ends_evaluated = at_step || at_epoch;
            // Batches by tokens are counted by making them, which takes time in each epoch.
            if total_steps == max_steps {
                break;
            }
        }
        let by_steps = total_steps.checked_div(config.eval.every_steps);
        num_evaluations = num_evaluations
            .saturating_add(by_steps.unwrap_or(0))
            .saturating_add(u32::from(!ends_evaluated));
        sampler.start_epoch(1);
        Ok(Self {
            total_steps,
            num_evaluations,
            schedule: Schedule::new(train, total_steps),
            config: config.clone(),
            sampler,
            shard,
        })
    }

    /// The state before the first step.
    pub(crate) fn start(&self) -> RunState {
        RunState::new(self.sampler.state())
    }

    /// The learning rate of a step; the first step is step 0.
    pub(crate) fn lr(&self, step: u32) -> f64 {
        self.schedule.lr(step)
    }

    /// Moves to the epoch of a saved state. A run that ended within an epoch goes on there if it has further steps now.
    ///
    /// # Errors
    /// If the saved run has other batches.
    pub(crate) fn restore(&mut self, state: &mut RunState) -> Result<(), Error> {
        let saved = state.sampler.batch_size;
        if self.sampler.state().batch_size != saved {
            return Err(Error::config(self.batch_size_complaint(saved)));
        }
        self.sampler.restore(&state.sampler)?;
        if state.is_at_epochs_start() && !self.is_finished(state) {
            self.reopen_epoch(state)?;
        }
        Ok(())
    }

    /// Moves a state that stands behind an epoch, which ended before its last step, back into that epoch.
    fn reopen_epoch(&mut self, state: &mut RunState) -> Result<(), Error> {
        let accumulation = self.config.train.gradient_accumulation_steps;
        let mut steps = state.step as usize;
        for epoch in 1..state.epoch() {
            let steps_of_epoch = num_steps(&self.sampler, epoch.into(), &self.config.train);
            if steps < steps_of_epoch {
                state.sampler = self.start_of_epoch(epoch);
                state.sampler.next_batch = steps * accumulation;
                return Ok(self.sampler.restore(&state.sampler)?);
            }
            steps -= steps_of_epoch;
        }
        Ok(())
    }

    /// The complaint about a saved run with batches of another size.
    fn batch_size_complaint(&self, batch_size: BatchSize) -> String {
        let (size, what, key) = match batch_size {
            BatchSize::Features(size) => (size, "features", "per_device_train_batch_size"),
            BatchSize::Tokens(size) => (size, "tokens", "max_tokens_per_batch"),
        };
        let processes = self.shard.world_size();
        let had = format!("the run's batches had {size} {what} in all");
        if !size.is_multiple_of(processes) {
            return format!("{had}, which {processes} processes cannot share evenly");
        }
        let with = match processes {
            1 => String::new(),
            _ => format!("with {processes} processes "),
        };
        // It outranks the number of features.
        let tokens = match batch_size {
            BatchSize::Features(_) if self.config.train.max_tokens_per_batch > 0 => {
                "train.max_tokens_per_batch=0 "
            }
            _ => "",
        };
        let size = size / processes;
        format!("{had}; {with}give {tokens}train.{key}={size} --allow-config-changes")
    }

    /// The steps of the rest of the epoch.
    ///
    /// # Errors
    /// If the state belongs to another run.
    pub(crate) fn prefetch<'a>(
        &self,
        state: &RunState,
        scope: &'a Scope<'a, '_>,
        features: &'a [Feature],
    ) -> Result<Prefetcher<'a>, Error> {
        let mut sampler = self.sampler.clone();
        sampler.restore(&state.sampler)?;
        let count = self.config.train.gradient_accumulation_steps;
        Ok(Prefetcher::new(scope, sampler, features, count, self.shard))
    }

    /// The position before the first batch of an epoch.
    pub(crate) fn start_of_epoch(&mut self, epoch: u32) -> SamplerState {
        self.sampler.start_epoch(u64::from(epoch));
        self.sampler.state()
    }

    /// Whether the last step of the epoch or of the run has been made.
    fn epoch_is_over(&self, state: &RunState) -> bool {
        let batches = self.sampler.num_batches(state.sampler.epoch);
        state.sampler.next_batch >= batches
            || state.step >= self.total_steps
            || self.stops_early(state)
    }

    /// Whether an optimizer step comes next. An evaluation that a stop has interrupted comes before it.
    pub(crate) fn step_is_due(&self, state: &RunState) -> bool {
        !self.evaluation_is_due(state) && !self.epoch_is_over(state)
    }

    /// Whether the epoch is over, and evaluated if it has to be.
    pub(crate) fn epoch_end_is_due(&self, state: &RunState) -> bool {
        !self.evaluation_is_due(state) && self.epoch_is_over(state)
    }

    /// Whether only saving is left to do.
    pub(crate) fn is_finished(&self, state: &RunState) -> bool {
        let no_more_steps = state.step >= self.total_steps || self.stops_early(state);
        no_more_steps && state.is_at_epochs_start()
    }

    fn stops_early(&self, state: &RunState) -> bool {
        let patience = self.config.train.early_stopping_patience;
        patience > 0 && state.evaluations_without_improvement >= patience
    }

    /// Says so if early stopping cannot stop the run before its end.
    pub(crate) fn early_stopping_warning(&self) -> Option<String> {
        let patience = self.config.train.early_stopping_patience;
        // The first evaluation is the best so far, and the last one comes at the run's end.
        let is_idle = patience > 0 && self.num_evaluations < patience.saturating_add(2);
        is_idle.then(|| {
            format!(
                "train.early_stopping_patience = {patience} has no effect: the run has {}; \
                 evaluate more often with eval.every_steps or eval.every_epochs",
                counted(self.num_evaluations as usize, "evaluation")
            )
        })
    }

    /// Says so if a run has ended before its last step.
    pub(crate) fn early_stopping_note(&self, state: &RunState) -> Option<String> {
        let best = state.best.filter(|_| self.stops_early(state))?;
        let metric = &self.config.eval.metric_for_best_model;
        (state.step < self.total_steps).then(|| {
            format!(
                "stopped early after step {} of {}: {metric} was best after step {}",
                state.step, self.total_steps, best.step
            )
        })
    }

    /// Whether the evaluation set has to be scored before anything else.
    pub(crate) fn evaluation_is_due(&self, state: &RunState) -> bool {
        let is_due = every(state.step, self.config.eval.every_steps)
            || self.epoch_is_over(state) && is_evaluated_after(state.epoch(), &self.config)
            || state.step >= self.total_steps;
        is_due && state.step > state.evaluated_step
    }

    /// Whether a checkpoint has to be written. After the end of an epoch, `state` is at the start of the next one.
    pub(crate) fn checkpoint_is_due(&self, state: &RunState) -> bool {
        let checkpoints = &self.config.checkpoints;
        let epochs = state.epoch() - 1;
        let epoch_ended = state.is_at_epochs_start() && epochs > 0;
        every(state.step, checkpoints.every_steps)
            || epoch_ended && every(epochs, checkpoints.every_epochs)
    }

    /// Whether the model alone is saved after this epoch.
    pub(crate) fn export_is_due(&self, epoch: u32) -> bool {
        every(epoch, self.config.checkpoints.export_every_epochs)
    }

    /// Whether an evaluation is the best so far; `state` then records it. The loss is better when it is lower, every
    /// other metric when it is higher.
    pub(crate) fn compare(&self, state: &mut RunState, metrics: &Value) -> Result<bool, Error> {
        let name = self.metric_for_best_model();
        if name.is_empty() {
            return Ok(false);
        }
        let value = figure(metrics, name)?;
        let is_better = state.best.is_none_or(|best| match name {
            "loss" => value < best.value,
            _ => value > best.value,
        });
        if is_better {
            let (step, epoch) = (state.step, state.epoch());
            state.best = Some(Best { value, step, epoch });
            state.evaluations_without_improvement = 0;
        } else {
            state.evaluations_without_improvement += 1;
        }
        Ok(is_better)
    }

    /// Checks that evaluations, which will have these metrics, have `eval.metric_for_best_model`.
    ///
    /// # Errors
    /// If they do not; the message lists the metrics they have.
    pub(crate) fn check_metric(&self, metrics: &Value) -> Result<(), Error> {
        match self.metric_for_best_model() {
            "" => Ok(()),
            name => figure(metrics, name).map(drop),
        }
    }

    /// The figure's name; `eval_loss`, as transformers writes it, is `loss`.
    fn metric_for_best_model(&self) -> &str {
        let name = &self.config.eval.metric_for_best_model;
        name.strip_prefix("eval_").unwrap_or(name)
    }
}

/// Optimizer steps of a whole epoch.
fn num_steps(sampler: &BatchSampler, epoch: u64, train: &TrainConfig) -> usize {
    let batches = sampler.num_batches(epoch);
    batches.div_ceil(train.gradient_accumulation_steps)
}

/// Whether the evaluation set is scored at the end of an epoch.
fn is_evaluated_after(epoch: u32, config: &Config) -> bool {
    every(epoch, config.eval.every_epochs) || every(epoch, config.checkpoints.export_every_epochs)
}

/// Whether `count` is a multiple of `every`; 0 is never.
fn every(count: u32, every: u32) -> bool {
    every > 0 && count.is_multiple_of(every)
}

/// A figure that can be better or worse: neither a number of questions nor a threshold.
fn figure(metrics: &Value, name: &str) -> Result<f64, Error> {
    let is_threshold = |name: &str| name.ends_with("_thresh") || name.ends_with("_threshold");
    let value = metrics.get(name);
    // JSON has no NaN.
    if value.is_some_and(Value::is_null) {
        let what = format!("eval.metric_for_best_model = {name} is NaN: the model has diverged");
        return Err(bert_qa::Error::NotFinite { what }.into());
    }
    let value = value.filter(|value| value.is_f64() && !is_threshold(name));
    value.and_then(Value::as_f64).ok_or_else(|| {
        let figures = metrics.as_object().into_iter().flatten();
        let names = figures.filter(|(name, value)| value.is_f64() && !is_threshold(name));
        let names: Vec<_> = names.map(|(name, _)| &**name).collect();
        let names = names.join(", ");
        Error::config(format!(
            "eval.metric_for_best_model = {name}: no such figure (there is: {names})"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_is_nan_is_reported_as_divergence() {
        let metrics =
            serde_json::json!({"loss": f64::NAN, "f1": 0.5, "total": 3, "best_f1_thresh": 0.5});
        assert_eq!(figure(&metrics, "f1").unwrap(), 0.5);
        let message = |name| figure(&metrics, name).unwrap_err().to_string();
        assert!(
            message("loss").contains("has diverged"),
            "{}",
            message("loss")
        );
        for other in ["best", "total", "best_f1_thresh"] {
            let other = message(other);
            assert!(other.contains("no such figure (there is: f1)"), "{other}");
        }
    }
}
