use std::time::Instant;

use burn::tensor::Tensor;
use squad_data::PackedBatch;

use super::train_loop::TrainLoop;
use crate::Error;
use crate::logging::observer::{Observer, StepReport};
use crate::optim::gradients::StepSums;
use crate::train::prefetcher::StepBatches;

impl TrainLoop<'_> {
    /// One optimizer step: forward, loss and backward of each micro-batch; reduce, check, clip and update.
    pub(super) fn train_step(
        &mut self,
        step: &StepBatches,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let number = self.state.step + 1;
        tracing::debug!("step {number}: features {}", self.names(&step.features));
        let started = Instant::now();
        let learning_rate = self.plan.lr(self.state.step);
        let own_loss = self.accumulate(&step.batches)?;
        let grad_norm = self.engine.reduce()?;
        let own_tokens: usize = step.batches.iter().map(PackedBatch::num_tokens).sum();
        let own = [f64::from(own_loss), own_tokens as f64];
        let [loss, tokens] = self.run.ranks.sum(own)?;
        let sums = StepSums {
            loss,
            grad_norm,
            features: step.features.len(),
        };
        self.check_finite(step, &sums, own_loss)?;
        let gradient_scale = sums.gradient_scale(self.run.config.train.max_grad_norm);
        self.engine.step(gradient_scale, learning_rate)?;
        let seconds = started.elapsed().as_secs_f64();
        self.totals.add_step(&sums, seconds);
        self.state.add_step(step, &sums, seconds);
        self.verify_params()?;
        observer.step(&StepReport {
            step: self.state.step,
            epoch: self.state.epoch(),
            loss: sums.mean_loss(),
            smoothed_loss: self.state.smoothed.add(f64::from(sums.mean_loss())),
            grad_norm: sums.mean_grad_norm(),
            learning_rate,
            features: sums.features,
            tokens: tokens as usize,
            seconds,
        })
    }

    /// Forward, loss and backward of this rank's part of each micro-batch. Returns the loss summed over its features.
    fn accumulate(&mut self, batches: &[PackedBatch]) -> Result<f32, Error> {
        let mut loss_sum: Option<Tensor<1>> = None;
        for (micro_batch, batch) in batches.iter().enumerate() {
            let dropout = self.run.dropout_seed(self.state.step, micro_batch);
            let is_last = micro_batch + 1 == batches.len();
            if let Some(pass) = self.engine.backward(batch, dropout, is_last)? {
                self.totals.add_spans(&pass.input, pass.logits);
                loss_sum = Some(match loss_sum {
                    Some(sum) => sum + pass.loss_sum,
                    None => pass.loss_sum,
                });
            }
        }
        Ok(loss_sum.map_or(0.0, |sum| sum.into_scalar::<f32>()))
    }

    /// Stops the run on all ranks before a NaN or infinite value gets into the model.
    fn check_finite(
        &self,
        step: &StepBatches,
        sums: &StepSums,
        own_loss: f32,
    ) -> Result<(), Error> {
        let (loss, grad_norm) = (sums.mean_loss(), sums.mean_grad_norm());
        let (what, value, features, is_cause) = if !loss.is_finite() {
            let own = step.batches.iter().flat_map(|batch| &batch.feature_indices);
            let own = own.copied().collect();
            ("loss", loss, own, !own_loss.is_finite())
        } else if !grad_norm.is_finite() {
            let is_main = self.run.ranks.is_main();
            ("gradient's norm", grad_norm, step.features.clone(), is_main)
        } else {
            return Ok(());
        };
        let question = |feature: usize| {
            let example = self.train.features[feature].example_index;
            self.train.dataset.examples[example].id.clone()
        };
        let error = Error::Diverged {
            what,
            value,
            step: self.state.step + 1,
            questions: features.into_iter().map(question).collect(),
        };
        Err(self.run.ranks.shared_error(error, is_cause))
    }

    /// Checks that all ranks have the same parameters, if the configuration asks for it after this step.
    fn verify_params(&self) -> Result<(), Error> {
        let every = self.run.config.distributed.verify_params_every_steps;
        let step = self.state.step;
        if every == 0 || !step.is_multiple_of(every) {
            return Ok(());
        }
        let Some(digest) = self.engine.digest() else {
            return Ok(());
        };
        let what = format!("the model after step {step}");
        self.run.ranks.assert_same(&what, &digest)
    }

    /// Features as `QUESTION_ID#INDEX`, counted from 0 in each question.
    fn names(&self, features: &[usize]) -> String {
        let all = &self.train.features;
        let name = |&feature: &usize| {
            let example = all[feature].example_index;
            let first = all.partition_point(|feature| feature.example_index < example);
            let id = &self.train.dataset.examples[example].id;
            format!("{id}#{}", feature - first)
        };
        features.iter().map(name).collect::<Vec<_>>().join(" ")
    }
}
