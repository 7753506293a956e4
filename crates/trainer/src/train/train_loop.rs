use std::path::PathBuf;
use std::thread::Scope;
use std::time::{Duration, Instant};

use bert_qa::BertForQuestionAnswering;

use super::checkpointer::Checkpointer;
use super::prefetcher::{Prefetcher, StepBatches};
use super::step::StepInfo;
use crate::Error;
use crate::data::FeaturizedDataset;
use crate::device::readback::Readback;
use crate::eval::{Evaluation, evaluate_logits};
use crate::logging::observer::{EpochReport, EvaluationReport, Observer, RunStart};
use crate::train::context::RunContext;
use crate::train::engine::Engine;
use crate::train::epoch_totals::EpochTotals;
use crate::train::plan::Plan;
use crate::train::state::RunState;

/// A run that is set up. All ranks execute [`TrainLoop::run`] in step.
pub(crate) struct TrainLoop<'a> {
    pub(crate) run: &'a RunContext,
    pub(crate) train: &'a FeaturizedDataset,
    pub(crate) eval: &'a FeaturizedDataset,
    /// On rank 0 only: no other rank writes files.
    pub(crate) checkpointer: Option<Checkpointer<'a>>,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) plan: Plan,
    pub(crate) state: RunState,
    pub(crate) totals: EpochTotals,
    /// The last evaluation of this process.
    pub(crate) evaluation: Option<(EvaluationReport, Evaluation)>,
    /// The last step, if the host has not yet read its loss and gradient norm from the device.
    pub(crate) pending: Option<(StepInfo, Readback)>,
    /// When the host last read them.
    pub(crate) last_read: Option<Instant>,
}

/// What the loop returns.
pub(crate) struct TrainResult {
    pub(crate) state: RunState,
    /// The last model, without autodiff; on rank 0, if the run was not stopped.
    pub(crate) model: Option<BertForQuestionAnswering>,
    /// The evaluation of that model, if this process made it.
    pub(crate) evaluation: Option<Evaluation>,
    /// How long this rank has waited for collectives.
    pub(crate) communication: Option<Duration>,
    /// Whether the run was stopped before its end.
    pub(crate) stopped: bool,
    /// The last checkpoint, if this process wrote one.
    pub(crate) checkpoint: Option<PathBuf>,
}

impl TrainLoop<'_> {
    /// Trains to the end, or until the run is asked to stop.
    pub(crate) fn run(self, observer: &mut dyn Observer) -> Result<TrainResult, Error> {
        std::thread::scope(|scope| self.run_in(scope, observer))
    }

    fn run_in<'scope>(
        mut self,
        scope: &'scope Scope<'scope, '_>,
        observer: &mut dyn Observer,
    ) -> Result<TrainResult, Error>
    where
        Self: 'scope,
    {
        observer.start(&RunStart {
            total_steps: self.plan.total_steps,
            step: self.state.step,
            features: self.train.features.len(),
            epochs: self.run.config.train.num_train_epochs,
        });
        let (mut prefetcher, mut checkpoint, mut stopped) = (None, None, false);
        while !self.plan.is_finished(&self.state) && !stopped {
            // A resumed run may have to evaluate before its next step.
            if self.plan.step_is_due(&self.state) {
                let step = self.next_step(scope, &mut prefetcher)?;
                self.train_step(&step, observer)?;
            }
            if self.plan.evaluation_is_due(&self.state) {
                self.flush(observer)?;
                self.evaluate(observer)?;
            }
            if self.plan.epoch_end_is_due(&self.state) {
                self.flush(observer)?;
                self.end_epoch(observer)?;
                prefetcher = None;
            }
            stopped = self.run.should_stop()? && !self.plan.is_finished(&self.state);
            if stopped || self.plan.checkpoint_is_due(&self.state) {
                self.flush(observer)?;
                checkpoint = self.checkpoint()?;
            }
        }
        self.flush(observer)?;
        if let Some(note) = self.plan.early_stopping_note(&self.state) {
            tracing::info!("{note}");
        }
        self.into_result(stopped, checkpoint)
    }

    /// The batches of the next step. The first call of an epoch starts its prefetcher.
    fn next_step<'scope>(
        &self,
        scope: &'scope Scope<'scope, '_>,
        prefetcher: &mut Option<Prefetcher<'scope>>,
    ) -> Result<StepBatches, Error>
    where
        Self: 'scope,
    {
        let prefetcher = match prefetcher {
            Some(prefetcher) => prefetcher,
            None => {
                let new = self
                    .plan
                    .prefetch(&self.state, scope, &self.train.features)?;
                prefetcher.insert(new)
            }
        };
        Ok(prefetcher.next().expect("an unfinished epoch has a step"))
    }

    /// Scores the evaluation set and keeps the best model, unless the run is asked to stop meanwhile.
    fn evaluate(&mut self, observer: &mut dyn Observer) -> Result<(), Error> {
        let started = Instant::now();
        let model = self.engine.model(true)?.expect("the model is wanted");
        let (run, features) = (self.run, &self.eval.features);
        let progress = &mut |finished| {
            observer.evaluating(finished, features.len());
            !run.stop.is_set()
        };
        let logits = run
            .ranks
            .predict_logits(&model, features, &run.device, progress)?;
        let Some(logits) = logits else {
            return Ok(());
        };
        // Every rank has all logits and gets the same error.
        let shared = |error| run.ranks.shared_error(error, run.ranks.is_main());
        let (answers, metric) = (&run.config.answers, run.config.eval.metric);
        let evaluation = evaluate_logits(self.eval, &logits, answers, metric).map_err(shared)?;
        let is_best = self.plan.compare(&mut self.state, &evaluation.metrics);
        let is_best = is_best.map_err(shared)?;
        if let Some(checkpointer) = &self.checkpointer {
            checkpointer.check_run_dir()?;
            if is_best {
                self.state.best_model = Some(checkpointer.save_best(&model)?);
            }
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

    /// Reports the epoch, exports the model if due, and moves to the next epoch.
    fn end_epoch(&mut self, observer: &mut dyn Observer) -> Result<(), Error> {
        let totals = std::mem::take(&mut self.totals).over_ranks(self.run)?;
        let spans = totals.spans.into_scores().map_err(Error::device)?;
        let (epoch, step) = (self.state.epoch(), self.state.step);
        let evaluation = self.evaluation.as_ref().map(|(report, _)| report);
        let report = EpochReport {
            epoch,
            step,
            train_loss: totals.loss / totals.num_features as f64,
            train_span_exact: 100.0 * spans.exact_match,
            train_span_f1: 100.0 * spans.f1,
            features_per_second: totals.num_features as f64 / totals.seconds,
            evaluation: evaluation.filter(|report| report.step == step).cloned(),
        };
        observer.epoch(&report)?;
        if self.plan.export_is_due(epoch) {
            self.export(&report)?;
        }
        self.state.train_loss = report.train_loss;
        self.state.sampler = self.plan.start_of_epoch(epoch + 1);
        Ok(())
    }

    /// Saves the model alone, which no later checkpoint removes.
    fn export(&mut self, report: &EpochReport) -> Result<(), Error> {
        let model = self.engine.model(self.checkpointer.is_some())?;
        let evaluation = report.evaluation.as_ref();
        let loss = evaluation.and_then(|evaluation| evaluation.metrics["loss"].as_f64());
        let loss = loss.unwrap_or(f64::NAN);
        let name = format!(
            "{}/checkpoint-{:02}-{loss:.4}",
            run_log::CHECKPOINTS_DIR,
            report.epoch
        );
        match (&self.checkpointer, model) {
            (Some(checkpointer), Some(model)) => checkpointer.save_model(&model, &name),
            _ => Ok(()),
        }
    }

    /// Writes a checkpoint, from which any number of ranks can resume. Returns its folder on the rank that wrote it.
    fn checkpoint(&mut self) -> Result<Option<PathBuf>, Error> {
        let is_writer = self.checkpointer.is_some();
        let totals = self.totals.clone().over_ranks(self.run)?;
        let model = self.engine.model(is_writer)?;
        let moments = self.engine.moments(is_writer)?;
        let (Some(checkpointer), Some(model), Some(moments)) = (&self.checkpointer, model, moments)
        else {
            return Ok(None);
        };
        let state = RunState {
            totals: totals.save()?,
            elapsed_seconds: self.state.elapsed_seconds + self.run.started.elapsed().as_secs_f64(),
            ..self.state.clone()
        };
        checkpointer
            .save_checkpoint(&state, &model, &moments)
            .map(Some)
    }

    fn into_result(
        mut self,
        stopped: bool,
        checkpoint: Option<PathBuf>,
    ) -> Result<TrainResult, Error> {
        let model = if stopped {
            None
        } else {
            self.engine.model(self.checkpointer.is_some())?
        };
        let step = self.state.step;
        let evaluation = self.evaluation.filter(|(report, _)| report.step == step);
        Ok(TrainResult {
            model,
            communication: self.engine.communication(),
            evaluation: evaluation.map(|(_, evaluation)| evaluation),
            state: self.state,
            stopped,
            checkpoint,
        })
    }
}
