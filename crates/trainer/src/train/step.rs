use std::time::Instant;

use burn::tensor::Tensor;
use squad_data::PackedBatch;

use super::train_loop::TrainLoop;
use crate::Error;
use crate::device::readback::Readback;
use crate::logging::observer::{Observer, StepReport};
use crate::optim::gradients::{GradNorm, StepScale, StepSums, gradient_scale_on_device};
use crate::train::prefetcher::StepBatches;

/// What the report of a step needs besides its loss and gradient norm.
pub(crate) struct StepInfo {
    step: u32,
    epoch: u32,
    learning_rate: f64,
    /// Of all ranks.
    tokens: usize,
    /// Of all ranks.
    feature_indices: Vec<usize>,
    started: Instant,
}

/// Loss and gradient norm of a step.
enum StepNumbers {
    Host(StepSums),
    /// Being copied from the device.
    Device(Readback),
}

impl TrainLoop<'_> {
    /// One optimizer step: forward, loss and backward of each micro-batch; reduce, check, clip and update.
    pub(super) fn train_step(
        &mut self,
        step: &StepBatches,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let number = self.state.step + 1;
        tracing::debug!(
            "step {number}: features {}",
            self.names(&step.feature_indices)
        );
        let mut info = StepInfo {
            step: number,
            epoch: self.state.epoch(),
            learning_rate: self.plan.lr(self.state.step),
            tokens: step.batches.iter().map(PackedBatch::num_tokens).sum(),
            feature_indices: step.feature_indices.clone(),
            started: Instant::now(),
        };
        let own_loss = self.accumulate(&step.batches)?;
        let grad_norm = self.engine.reduce()?;
        let numbers = match (own_loss, grad_norm) {
            (Some(loss), GradNorm::Device(norm)) => {
                StepNumbers::Device(self.step_on_device(&info, loss, norm)?)
            }
            (loss, norm) => StepNumbers::Host(self.step_on_host(&mut info, step, loss, &norm)?),
        };
        self.state.add_step(step);
        match numbers {
            StepNumbers::Host(sums) => self.report_step(info, sums, observer),
            StepNumbers::Device(readback) => {
                let before = self.pending.replace((info, readback));
                self.report_pending(before, observer)
            }
        }
    }

    /// Checks the loss and the norm of all ranks and makes the optimizer step. `own_loss` is this rank's sum, `[1]`. Sets
    /// the tokens of all ranks.
    fn step_on_host(
        &mut self,
        info: &mut StepInfo,
        step: &StepBatches,
        own_loss: Option<Tensor<1>>,
        grad_norm: &GradNorm,
    ) -> Result<StepSums, Error> {
        let own_loss = own_loss.map_or(0.0, |sum| sum.into_scalar::<f32>());
        let own = [f64::from(own_loss), info.tokens as f64];
        let [loss, tokens] = self.run.ranks.sum(own)?;
        info.tokens = tokens as usize;
        let sums = StepSums {
            loss,
            grad_norm: grad_norm.to_host(),
            num_features: info.feature_indices.len(),
        };
        let own = step.batches.iter().flat_map(|batch| &batch.feature_indices);
        self.check_finite(info, own.copied(), &sums, own_loss)?;
        let scale = sums.gradient_scale(self.run.config.train.max_grad_norm);
        let scale = StepScale::Host(scale);
        self.engine.step(scale, info.learning_rate)?;
        Ok(sums)
    }

    /// Makes the optimizer step without waiting for loss and norm, which are sums, `[1]`: the host reads them after it has
    /// started the next step. If one is NaN or infinite, the step changes nothing.
    fn step_on_device(
        &mut self,
        info: &StepInfo,
        loss: Tensor<1>,
        norm: Tensor<1>,
    ) -> Result<Readback, Error> {
        let readback = Readback::start(Tensor::cat(vec![loss.clone(), norm.clone()], 0))?;
        let max_grad_norm = self.run.config.train.max_grad_norm;
        let num_features = info.feature_indices.len();
        let scale = gradient_scale_on_device(loss, norm, num_features, max_grad_norm);
        let scale = StepScale::Device(Box::new(scale));
        self.engine.step(scale, info.learning_rate)?;
        Ok(readback)
    }

    /// Reports the last step, if its numbers have not been read yet. Called before anything that depends on them.
    pub(super) fn flush(&mut self, observer: &mut dyn Observer) -> Result<(), Error> {
        let pending = self.pending.take();
        self.report_pending(pending, observer)
    }

    fn report_pending(
        &mut self,
        pending: Option<(StepInfo, Readback)>,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let Some((mut info, readback)) = pending else {
            return Ok(());
        };
        let [loss, grad_norm] = readback.wait()?;
        let sums = StepSums {
            loss: f64::from(loss),
            grad_norm,
            num_features: info.feature_indices.len(),
        };
        self.check_finite(&info, info.feature_indices.iter().copied(), &sums, loss)?;
        // The device began this step when the one before had ended.
        info.started = info.started.max(self.last_read.unwrap_or(info.started));
        self.last_read = Some(Instant::now());
        self.report_step(info, sums, observer)
    }

    fn report_step(
        &mut self,
        info: StepInfo,
        sums: StepSums,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let seconds = info.started.elapsed().as_secs_f64();
        self.totals.add_step(&sums, seconds);
        self.state.training_seconds += seconds;
        self.verify_params(info.step)?;
        observer.step(&StepReport {
            step: info.step,
            epoch: info.epoch,
            loss: sums.mean_loss(),
            smoothed_loss: self.state.smoothed.add(f64::from(sums.mean_loss())),
            grad_norm: sums.mean_grad_norm(),
            learning_rate: info.learning_rate,
            features: sums.num_features,
            tokens: info.tokens,
            seconds,
            device_memory: self.run.info.memory(),
        })
    }

    /// Forward, loss and backward of this rank's part of each micro-batch. Returns the loss summed over its features, `[1]`;
    /// `None` without features.
    fn accumulate(&mut self, batches: &[PackedBatch]) -> Result<Option<Tensor<1>>, Error> {
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
        Ok(loss_sum)
    }

    /// Stops the run on all ranks before a NaN or infinite value gets into the model. `own` are this rank's features.
    fn check_finite(
        &self,
        info: &StepInfo,
        own: impl Iterator<Item = usize>,
        sums: &StepSums,
        own_loss: f32,
    ) -> Result<(), Error> {
        let (loss, grad_norm) = (sums.mean_loss(), sums.mean_grad_norm());
        let (what, value, features, is_cause): (_, _, Vec<usize>, _) = if !loss.is_finite() {
            ("loss", loss, own.collect(), !own_loss.is_finite())
        } else if !grad_norm.is_finite() {
            let is_main = self.run.ranks.is_main();
            let features = info.feature_indices.clone();
            ("gradient's norm", grad_norm, features, is_main)
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
            step: info.step,
            questions: features.into_iter().map(question).collect(),
        };
        Err(self.run.ranks.shared_error(error, is_cause))
    }

    /// Checks that all ranks have the same parameters, if the configuration asks for it after this step.
    fn verify_params(&self, step: u32) -> Result<(), Error> {
        let every = self.run.config.distributed.verify_params_every_steps;
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
