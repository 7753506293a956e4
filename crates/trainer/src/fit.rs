use std::time::Instant;

use bert_qa::{BertForQuestionAnswering, DropoutSeed};
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use fused_ops::{PackedLengths, pad_span_logits};
use qa_metrics::{SpanMetrics, TokenSpans};
use squad_data::{PackedBatch, Shuffle, batches};

use crate::Error;
use crate::config::{Config, TrainConfig};
use crate::data::Questions;
use crate::evaluate::{Evaluation, evaluate};
use crate::observer::{EpochReport, Observer, RunStart, StepReport};
use crate::optimizer::Optimizer;
use crate::schedule::LinearSchedule;

/// A run with everything built: [`Fit::run`] is the training loop.
pub struct Fit<'a> {
    config: &'a Config,
    train: &'a Questions,
    dev: &'a Questions,
    /// The device without autodiff; the model's has it.
    device: Device,
    optimizer: Optimizer,
    schedule: LinearSchedule,
    total_steps: u32,
    step: u32,
}

/// What a run leaves behind.
#[derive(Debug)]
pub struct Fitted {
    /// The trained model, without autodiff.
    pub model: BertForQuestionAnswering,
    /// The last epoch's figures.
    pub last: EpochReport,
    /// The last epoch's answers.
    pub evaluation: Evaluation,
    /// Windows per second of training over the whole run.
    pub features_per_second: f64,
}

impl<'a> Fit<'a> {
    /// A run on `device`, which has no autodiff.
    pub fn new(
        config: &'a Config,
        train: &'a Questions,
        dev: &'a Questions,
        device: Device,
    ) -> Self {
        let steps_per_epoch = train.features.len().div_ceil(config.train.batch_size);
        let total_steps = u32::try_from(steps_per_epoch)
            .unwrap_or(u32::MAX)
            .saturating_mul(config.train.epochs);
        let TrainConfig {
            learning_rate,
            warmup_ratio,
            ..
        } = config.train;
        Self {
            config,
            train,
            dev,
            device,
            optimizer: Optimizer::new(&config.train),
            schedule: LinearSchedule::new(learning_rate, warmup_ratio, total_steps),
            total_steps,
            step: 0,
        }
    }

    /// Trains for all epochs, evaluating after each. `model` is on the device with autodiff.
    ///
    /// # Errors
    /// If the loss is no longer a number, or an observer cannot go on.
    pub fn run(
        mut self,
        mut model: BertForQuestionAnswering,
        observer: &mut dyn Observer,
    ) -> Result<Fitted, Error> {
        let epochs = self.config.train.epochs;
        let features = self.train.features.len();
        observer.start(&RunStart {
            total_steps: self.total_steps,
            features,
            epochs,
        });
        let mut training_seconds = 0.0;
        let mut last = None;
        for epoch in 1..=epochs {
            let mut totals = EpochTotals::default();
            for indices in self.epoch_batches(epoch)? {
                let batch = PackedBatch::new(&self.train.features, &indices);
                let report;
                (model, report) = self.train_step(model, &batch, epoch, &mut totals)?;
                observer.step(&report)?;
            }
            training_seconds += totals.seconds;
            last = Some(self.evaluate(&model, epoch, totals, observer)?);
        }
        let (last, evaluation) = last.expect("a configuration has at least one epoch");
        let features_per_second = features as f64 * f64::from(epochs) / training_seconds;
        Ok(Fitted {
            model: model.valid(),
            last,
            evaluation,
            features_per_second,
        })
    }

    fn epoch_batches(&self, epoch: u32) -> Result<Vec<Vec<usize>>, Error> {
        let shuffle = Shuffle {
            seed: self.config.train.seed,
            epoch: u64::from(epoch),
        };
        let train = &self.config.train;
        Ok(batches(
            self.train.features.len(),
            train.batch_size,
            Some(shuffle),
        )?)
    }

    /// Forward, loss, backward, clip, step.
    fn train_step(
        &mut self,
        model: BertForQuestionAnswering,
        batch: &PackedBatch,
        epoch: u32,
        totals: &mut EpochTotals,
    ) -> Result<(BertForQuestionAnswering, StepReport), Error> {
        let started = Instant::now();
        let learning_rate = self.schedule.rate(self.step);
        let train = &self.config.train;
        let dropout = train.dropout.then_some(DropoutSeed {
            seed: train.seed,
            rank: 0,
            step: self.step,
            micro_batch: 0,
        });
        let (loss_sum, logits) = model.loss(batch, &self.device.clone().autodiff(), dropout);
        let loss = loss_sum / batch.len() as f64;
        let loss_value = loss.clone().into_scalar::<f32>();
        self.step += 1;
        if !loss_value.is_finite() {
            return Err(Error::Diverged {
                step: self.step,
                loss: loss_value,
            });
        }
        let (model, grad_norm) = self.optimizer.step(model, loss.backward(), learning_rate);
        let seconds = started.elapsed().as_secs_f64();
        totals.add(batch, logits.inner(), loss_value, seconds);
        let report = StepReport {
            step: self.step,
            epoch,
            loss: loss_value,
            grad_norm,
            learning_rate,
            features: batch.len(),
            tokens: batch.tokens(),
            seconds,
        };
        Ok((model, report))
    }

    fn evaluate(
        &self,
        model: &BertForQuestionAnswering,
        epoch: u32,
        totals: EpochTotals,
        observer: &mut dyn Observer,
    ) -> Result<(EpochReport, Evaluation), Error> {
        let started = Instant::now();
        let total = self.dev.features.len();
        let done = &mut |finished| observer.evaluating(finished, total);
        let evaluation = evaluate(
            &model.valid(),
            self.dev,
            &self.config.answers,
            &self.device,
            done,
        )?;
        let spans = totals
            .spans
            .into_scores()
            .map_err(|e| Error::Device(e.to_string()))?;
        let report = EpochReport {
            epoch,
            step: self.step,
            train_loss: totals.loss / totals.features as f64,
            train_span_exact: 100.0 * spans.exact_match,
            train_span_f1: 100.0 * spans.f1,
            features_per_second: totals.features as f64 / totals.seconds,
            metrics: evaluation.metrics.clone(),
            evaluation_seconds: started.elapsed().as_secs_f64(),
        };
        observer.epoch(&report)?;
        Ok((report, evaluation))
    }
}

/// Sums over the batches of an epoch.
#[derive(Default)]
struct EpochTotals {
    /// Of the loss, over windows.
    loss: f64,
    features: usize,
    seconds: f64,
    spans: SpanMetrics,
}

impl EpochTotals {
    /// `logits` are `[tokens, 2]`; the predicted positions and their scores stay on the device.
    fn add(&mut self, batch: &PackedBatch, logits: Tensor<2>, loss: f32, seconds: f64) {
        self.loss += f64::from(loss) * batch.len() as f64;
        self.features += batch.len();
        self.seconds += seconds;
        let device = logits.device();
        let padded = pad_span_logits(logits, &PackedLengths::new(&batch.lengths));
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
