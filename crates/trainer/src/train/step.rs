use std::time::Instant;

use bert_qa::DropoutSeed;
use burn::tensor::Tensor;
use squad_data::PackedBatch;

use super::train_loop::TrainLoop;
use crate::Error;
use crate::distributed::assert_same_on_all_ranks;
use crate::logging::observer::{Observer, StepReport};
use crate::train::prefetcher::StepBatches;

impl TrainLoop<'_> {
    /// Forward, loss and backward for each batch, then clip and step once.
    pub(super) fn train_step(
        &mut self,
        step: &StepBatches,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let number = self.state.step + 1;
        tracing::debug!("step {number}: windows {}", self.names(&step.windows));
        let started = Instant::now();
        let learning_rate = self.schedule.lr(self.state.step);
        let own_loss = self.accumulate(&step.batches)?;
        let norm_of_sum = self.engine.reduce()?;
        let (loss_sum, tokens) = self.over_ranks(own_loss, &step.batches)?;
        let features = step.windows.len();
        let loss = (loss_sum / features as f64) as f32;
        let grad_norm = norm_of_sum / features as f32;
        if !loss.is_finite() {
            let batches = step.batches.iter().flat_map(|batch| &batch.feature_indices);
            let has_it = !own_loss.is_finite();
            return Err(self.diverged("loss", loss, has_it, batches));
        }
        if !grad_norm.is_finite() {
            let has_it = self.group.rank() == 0;
            return Err(self.diverged("gradient's norm", grad_norm, has_it, &step.windows));
        }
        self.engine.step(norm_of_sum, features, learning_rate)?;
        let seconds = started.elapsed().as_secs_f64();
        self.advance(step.batches.len(), features, loss, seconds);
        self.compare_ranks()?;
        observer.step(&StepReport {
            step: self.state.step,
            epoch: self.state.epoch(),
            loss,
            smoothed_loss: self.state.smoothed.add(f64::from(loss)),
            grad_norm,
            learning_rate,
            features,
            tokens,
            seconds,
        })
    }

    /// Forward and backward of this rank's parts of the batches; gives the sum of their windows' losses.
    fn accumulate(&mut self, batches: &[PackedBatch]) -> Result<f32, Error> {
        let mut loss_sum: Option<Tensor<1>> = None;
        for (micro_batch, batch) in batches.iter().enumerate() {
            let dropout = self.dropout(micro_batch);
            let is_last = micro_batch + 1 == batches.len();
            if let Some(pass) = self.engine.backward(batch, dropout, is_last)? {
                self.totals.add_spans(batch, pass.logits);
                loss_sum = Some(match loss_sum {
                    Some(sum) => sum + pass.loss_sum,
                    None => pass.loss_sum,
                });
            }
        }
        Ok(loss_sum.map_or(0.0, |sum| sum.into_scalar::<f32>()))
    }

    fn dropout(&self, micro_batch: usize) -> Option<DropoutSeed> {
        let train = &self.config.train;
        train.dropout.then_some(DropoutSeed {
            seed: train.seed,
            rank: self.group.rank() as u16,
            step: self.state.step,
            micro_batch: micro_batch as u16,
        })
    }

    /// The losses' sum and the tokens of all ranks.
    fn over_ranks(&self, loss_sum: f32, batches: &[PackedBatch]) -> Result<(f64, usize), Error> {
        let tokens: usize = batches.iter().map(PackedBatch::num_tokens).sum();
        let sums = self.group.sum(&[f64::from(loss_sum), tokens as f64])?;
        Ok((sums[0], sums[1] as usize))
    }

    fn advance(&mut self, batches: usize, features: usize, loss: f32, seconds: f64) {
        self.totals.loss += f64::from(loss) * features as f64;
        self.totals.features += features;
        self.totals.seconds += seconds;
        self.state.step += 1;
        self.state.sampler.next_batch += batches;
        self.state.features += features as u64;
        self.state.training_seconds += seconds;
    }

    /// Where it is asked for: whether all ranks made the same step.
    fn compare_ranks(&self) -> Result<(), Error> {
        let (every, step) = (
            self.config.distributed.verify_params_every_steps,
            self.state.step,
        );
        if every == 0 || !step.is_multiple_of(every) {
            return Ok(());
        }
        match self.engine.digest() {
            Some(digest) => assert_same_on_all_ranks(
                &*self.group,
                &format!("the model after step {step}"),
                &digest,
            ),
            None => Ok(()),
        }
    }

    /// Windows as `QUESTION_ID#WINDOW`, windows of a question counted from 0.
    fn names(&self, windows: &[usize]) -> String {
        let features = &self.train.features;
        let name = |&window: &usize| {
            let example = features[window].example_index;
            let first = features.partition_point(|feature| feature.example_index < example);
            let id = &self.train.dataset.examples[example].id;
            format!("{id}#{}", window - first)
        };
        windows.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    /// Stops the run before a number that is none gets into the model: on all ranks, and the one that has
    /// it says so.
    fn diverged<'w>(
        &self,
        what: &'static str,
        value: f32,
        has_it: bool,
        windows: impl IntoIterator<Item = &'w usize>,
    ) -> Error {
        let question = |window: &usize| {
            let example = self.train.features[*window].example_index;
            self.train.dataset.examples[example].id.clone()
        };
        let error = Error::Diverged {
            what,
            value,
            step: self.state.step + 1,
            questions: windows.into_iter().map(question).collect(),
        };
        match has_it {
            true => error,
            false => Error::PeerFailed {
                exit_code: error.exit_code(),
            },
        }
    }
}
