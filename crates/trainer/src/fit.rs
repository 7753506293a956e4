use std::thread::Scope;
use std::time::Instant;

use bert_qa::{BertForQuestionAnswering, Companions, DropoutSeed};
use burn::module::Module;
use burn::tensor::Device;
use squad_data::PackedBatch;

use crate::Error;
use crate::checkpoint::Checkpoints;
use crate::config::Config;
use crate::data::Questions;
use crate::evaluate::{Evaluation, evaluate_unless_stopped};
use crate::gradients::ParameterGradients;
use crate::observer::{EpochReport, EvaluationReport, Observer, RunStart, StepReport};
use crate::optimizer::Optimizer;
use crate::plan::Plan;
use crate::run_dir::RunDir;
use crate::schedule::Schedule;
use crate::state::{EpochTotals, RunState, device_error};
use crate::stop::StopFlag;

/// A run with everything built: [`Fit::run`] is the training loop.
pub(crate) struct Fit<'a> {
    pub(crate) config: &'a Config,
    pub(crate) train: &'a Questions,
    pub(crate) dev: &'a Questions,
    /// Stands for the training windows in checkpoints.
    pub(crate) data: String,
    pub(crate) companions: &'a Companions,
    pub(crate) run_dir: &'a RunDir,
    /// The device without autodiff; the model's has it.
    pub(crate) device: Device,
    pub(crate) optimizer: Optimizer,
    pub(crate) state: RunState,
    pub(crate) plan: Plan,
    pub(crate) schedule: Schedule,
    pub(crate) totals: EpochTotals,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) stop: StopFlag,
    pub(crate) started: Instant,
    /// The last one in this process.
    pub(crate) evaluation: Option<(EvaluationReport, Evaluation)>,
}

/// What the loop leaves behind.
pub(crate) struct Fitted {
    /// The model as it was trained last, without autodiff.
    pub(crate) model: BertForQuestionAnswering,
    pub(crate) state: RunState,
    /// That model's answers, if it was the last thing that was evaluated in this process.
    pub(crate) evaluation: Option<Evaluation>,
    /// The checkpoint to go on from, where the run was stopped before its end.
    pub(crate) stopped: Option<std::path::PathBuf>,
}

impl Fit<'_> {
    /// Trains to the end, or until it is asked to stop. `model` is on the device with autodiff.
    pub(crate) fn run(
        self,
        model: BertForQuestionAnswering,
        observer: &mut dyn Observer,
    ) -> Result<Fitted, Error> {
        std::thread::scope(|scope| self.run_in(scope, model, observer))
    }

    fn run_in<'scope>(
        mut self,
        scope: &'scope Scope<'scope, '_>,
        mut model: BertForQuestionAnswering,
        observer: &mut dyn Observer,
    ) -> Result<Fitted, Error>
    where
        Self: 'scope,
    {
        observer.start(&RunStart {
            total_steps: self.plan.total_steps,
            step: self.state.step,
            features: self.train.features.len(),
            epochs: self.config.train.epochs,
        });
        let (mut stopped, mut ahead) = (None, None);
        while !self.plan.is_finished(&self.state) && stopped.is_none() {
            // An evaluation that was cut short comes before the next step, and before the epoch's end.
            if !self.plan.evaluation_is_due(&self.state) && !self.plan.epoch_is_over(&self.state) {
                let steps = match &mut ahead {
                    Some(steps) => steps,
                    None => {
                        ahead.insert(self.plan.ahead(&self.state, scope, &self.train.features)?)
                    }
                };
                let batches = steps.next().expect("an epoch that is not over has more");
                model = self.train_step(model, &batches, observer)?;
            }
            if self.plan.evaluation_is_due(&self.state) {
                self.evaluate(&model, observer)?;
            }
            let evaluated = !self.plan.evaluation_is_due(&self.state);
            if evaluated && self.plan.epoch_is_over(&self.state) {
                self.end_epoch(&model, observer)?;
                ahead = None;
            }
            let stops = self.stop.is_set() && !self.plan.is_finished(&self.state);
            if stops || self.plan.checkpoint_is_due(&self.state) {
                let path = self.checkpoint(&model)?;
                stopped = stops.then_some(path);
            }
        }
        let step = self.state.step;
        let evaluation = self.evaluation.filter(|(report, _)| report.step == step);
        Ok(Fitted {
            model: model.valid(),
            state: self.state,
            evaluation: evaluation.map(|(_, evaluation)| evaluation),
            stopped,
        })
    }

    /// Forward, loss and backward for each batch, then clip and step once.
    fn train_step(
        &mut self,
        mut model: BertForQuestionAnswering,
        batches: &[PackedBatch],
        observer: &mut dyn Observer,
    ) -> Result<BertForQuestionAnswering, Error> {
        tracing::debug!(
            "step {}: windows {}",
            self.state.step + 1,
            self.windows(batches)
        );
        let started = Instant::now();
        let learning_rate = self.schedule.rate(self.state.step);
        let features: usize = batches.iter().map(PackedBatch::len).sum();
        let mut loss = 0.0;
        let mut gradients = ParameterGradients::default();
        for (micro_batch, batch) in batches.iter().enumerate() {
            let dropout = self.dropout(micro_batch);
            let device = self.device.clone().autodiff();
            let (loss_sum, logits) = model.loss(batch, &device, dropout);
            let share = loss_sum / features as f64;
            loss += share.clone().into_scalar::<f32>();
            self.check("loss", loss, batches)?;
            gradients.add(&model, share.backward());
            self.totals.add_spans(batch, logits.inner());
        }
        let grad_norm = gradients.norm(&model);
        self.check("gradient's norm", grad_norm, batches)?;
        model = self
            .optimizer
            .apply(model, gradients, grad_norm, learning_rate);
        let seconds = started.elapsed().as_secs_f64();
        self.advance(batches.len(), features, loss, seconds);
        observer.step(&StepReport {
            step: self.state.step,
            epoch: self.state.epoch(),
            loss,
            smoothed_loss: self.state.smoothed.add(f64::from(loss)),
            grad_norm,
            learning_rate,
            features,
            tokens: batches.iter().map(PackedBatch::tokens).sum(),
            seconds,
        })?;
        Ok(model)
    }

    fn dropout(&self, micro_batch: usize) -> Option<DropoutSeed> {
        let train = &self.config.train;
        train.dropout.then_some(DropoutSeed {
            seed: train.seed,
            rank: 0,
            step: self.state.step,
            micro_batch: micro_batch as u16,
        })
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

    /// The windows of a step as `QUESTION_ID#WINDOW`, windows of a question counted from 0.
    fn windows(&self, batches: &[PackedBatch]) -> String {
        let features = &self.train.features;
        let name = |&window: &usize| {
            let example = features[window].example;
            let first = features.partition_point(|feature| feature.example < example);
            let id = &self.train.dataset.examples[example].id;
            format!("{id}#{}", window - first)
        };
        let windows = batches.iter().flat_map(|batch| &batch.features);
        windows.map(name).collect::<Vec<_>>().join(" ")
    }

    /// Stops the run before a number that is none gets into the model.
    fn check(&self, what: &'static str, value: f32, batches: &[PackedBatch]) -> Result<(), Error> {
        if value.is_finite() {
            return Ok(());
        }
        let windows = batches.iter().flat_map(|batch| &batch.features);
        let question = |window: &usize| {
            let example = self.train.features[*window].example;
            self.train.dataset.examples[example].id.clone()
        };
        Err(Error::Diverged {
            what,
            value,
            step: self.state.step + 1,
            questions: windows.map(question).collect(),
        })
    }

    fn evaluate(
        &mut self,
        model: &BertForQuestionAnswering,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let started = Instant::now();
        let total = self.dev.features.len();
        let done = &mut |finished| observer.evaluating(finished, total);
        let answers = &self.config.answers;
        let (valid, stop, device) = (model.valid(), &self.stop, &self.device);
        let evaluation = evaluate_unless_stopped(&valid, self.dev, answers, device, stop, done)?;
        let Some(evaluation) = evaluation else {
            return Ok(());
        };
        self.run_dir.still_there()?;
        let is_best = self.plan.compare(&mut self.state, &evaluation.metrics)?;
        if is_best {
            self.companions.save(&valid, &self.run_dir.join("best"))?;
        }
        self.state.evaluated_step = self.state.step;
        let report = EvaluationReport {
            step: self.state.step,
            epoch: self.state.epoch(),
            metrics: evaluation.metrics.clone(),
            best: self.state.best,
            seconds: started.elapsed().as_secs_f64(),
        };
        observer.evaluation(&report)?;
        self.evaluation = Some((report, evaluation));
        Ok(())
    }

    fn end_epoch(
        &mut self,
        model: &BertForQuestionAnswering,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let totals = std::mem::take(&mut self.totals);
        let spans = totals.spans.into_scores().map_err(device_error)?;
        let (epoch, step) = (self.state.epoch(), self.state.step);
        let evaluation = self.evaluation.as_ref().map(|(report, _)| report);
        let report = EpochReport {
            epoch,
            step,
            train_loss: totals.loss / totals.features as f64,
            train_span_exact: 100.0 * spans.exact_match,
            train_span_f1: 100.0 * spans.f1,
            features_per_second: totals.features as f64 / totals.seconds,
            evaluation: evaluation.filter(|report| report.step == step).cloned(),
        };
        observer.epoch(&report)?;
        if self.plan.weights_are_due(epoch) {
            let loss = report.evaluation.and_then(|e| e.metrics["loss"].as_f64());
            let loss = loss.unwrap_or(f64::NAN);
            let name = format!("checkpoints/checkpoint-{epoch:02}-{loss:.4}");
            self.companions
                .save(&model.valid(), &self.run_dir.join(&name))?;
        }
        self.state.train_loss = report.train_loss;
        self.state.sampler = self.plan.after_epoch(epoch);
        Ok(())
    }

    fn checkpoint(
        &mut self,
        model: &BertForQuestionAnswering,
    ) -> Result<std::path::PathBuf, Error> {
        self.run_dir.still_there()?;
        let elapsed_seconds = self.state.elapsed_seconds + self.started.elapsed().as_secs_f64();
        let state = RunState {
            totals: self.totals.save()?,
            elapsed_seconds,
            ..self.state.clone()
        };
        self.checkpoints.write(
            &state,
            &self.data,
            self.companions,
            &model.valid(),
            &self.optimizer,
        )
    }
}
