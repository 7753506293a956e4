use std::path::PathBuf;
use std::sync::Arc;
use std::thread::Scope;
use std::time::{Duration, Instant};

use bert_qa::BertForQuestionAnswering;
use burn::tensor::Device;
use process_group::ProcessGroup;

use crate::Error;
use crate::config::Config;
use crate::data::FeaturizedDataset;
use crate::eval::Evaluation;
use crate::logging::observer::{EpochReport, EvaluationReport, Observer, RunStart};
use crate::optim::lr_scheduler::Schedule;
use crate::train::engine::Engine;
use crate::train::plan::Plan;
use crate::train::state::{EpochTotals, RunState, device_error};
use crate::train::stop::StopFlag;

use super::checkpointer::Checkpointer;

/// A run with everything built: [`TrainLoop::run`] is the training loop. All ranks run it in step.
pub(crate) struct TrainLoop<'a> {
    pub(crate) config: &'a Config,
    pub(crate) train: &'a FeaturizedDataset,
    pub(crate) eval: &'a FeaturizedDataset,
    pub(crate) group: Arc<dyn ProcessGroup>,
    /// Of rank 0, which alone keeps anything.
    pub(crate) checkpointer: Option<Checkpointer<'a>>,
    /// Without autodiff.
    pub(crate) device: Device,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) state: RunState,
    pub(crate) plan: Plan,
    pub(crate) schedule: Schedule,
    pub(crate) totals: EpochTotals,
    pub(crate) stop: StopFlag,
    pub(crate) started: Instant,
    /// The last one in this process.
    pub(crate) evaluation: Option<(EvaluationReport, Evaluation)>,
}

/// What the loop leaves behind.
pub(crate) struct TrainResult {
    /// The model as it was trained last, without autodiff; on rank 0, where the run was not stopped.
    pub(crate) model: Option<BertForQuestionAnswering>,
    pub(crate) state: RunState,
    /// What it cost this process to have others.
    pub(crate) communication: Option<Duration>,
    /// That model's answers, if it was the last thing that was evaluated in this process.
    pub(crate) evaluation: Option<Evaluation>,
    /// Whether the run was stopped before its end.
    pub(crate) stopped: bool,
    /// The last checkpoint, if this process wrote one.
    pub(crate) checkpoint: Option<PathBuf>,
}

impl TrainLoop<'_> {
    /// Trains to the end, or until it is asked to stop.
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
            epochs: self.config.train.num_train_epochs,
        });
        let (mut stopped, mut checkpoint, mut ahead) = (false, None, None);
        while !self.plan.is_finished(&self.state) && !stopped {
            // An evaluation that was cut short comes before the next step, and before the epoch's end.
            if !self.plan.evaluation_is_due(&self.state) && !self.plan.epoch_is_over(&self.state) {
                let steps = match &mut ahead {
                    Some(steps) => steps,
                    None => {
                        ahead.insert(self.plan.ahead(&self.state, scope, &self.train.features)?)
                    }
                };
                let batches = steps.next().expect("an epoch that is not over has more");
                self.train_step(&batches, observer)?;
            }
            if self.plan.evaluation_is_due(&self.state) {
                self.evaluate(observer)?;
            }
            let evaluated = !self.plan.evaluation_is_due(&self.state);
            if evaluated && self.plan.epoch_is_over(&self.state) {
                self.end_epoch(observer)?;
                ahead = None;
            }
            stopped = self.is_asked_to_stop()? && !self.plan.is_finished(&self.state);
            if stopped || self.plan.checkpoint_is_due(&self.state) {
                checkpoint = self.checkpoint()?;
            }
        }
        let step = self.state.step;
        let evaluation = self
            .evaluation
            .take()
            .filter(|(report, _)| report.step == step);
        Ok(TrainResult {
            model: match stopped {
                true => None,
                false => self.engine.model(self.checkpointer.is_some())?,
            },
            communication: self.engine.communication(),
            state: self.state,
            evaluation: evaluation.map(|(_, evaluation)| evaluation),
            stopped,
            checkpoint,
        })
    }

    /// Whether any rank is: a signal may reach one alone.
    fn is_asked_to_stop(&self) -> Result<bool, Error> {
        let mine = f64::from(u8::from(self.stop.is_set()));
        Ok(self.group.sum(&[mine])?[0] > 0.0)
    }

    fn end_epoch(&mut self, observer: &mut dyn Observer) -> Result<(), Error> {
        let totals = std::mem::take(&mut self.totals).over_ranks(&*self.group, &self.device)?;
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
            self.keep_weights(&report)?;
        }
        self.state.train_loss = report.train_loss;
        self.state.sampler = self.plan.after_epoch(epoch);
        Ok(())
    }
}
