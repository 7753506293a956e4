use run_log::{Record, RecordKind};
use serde_json::Value;

use crate::Error;
use crate::train::state::Best;

/// What is known before the first step.
#[derive(Clone, Debug)]
pub struct RunStart {
    /// Optimizer steps in all epochs.
    pub total_steps: u32,
    /// Optimizer steps made before, where a run is resumed.
    pub step: u32,
    /// Training windows in an epoch.
    pub features: usize,
    /// Epochs.
    pub epochs: u32,
}

/// One optimizer step.
#[derive(Clone, Copy, Debug)]
pub struct StepReport {
    /// Steps made, this one included.
    pub step: u32,
    /// The epoch, counted from 1.
    pub epoch: u32,
    /// Mean span loss of the step's windows.
    pub loss: f32,
    /// The loss smoothed over about fifty steps.
    pub smoothed_loss: f64,
    /// The gradient's global norm before clipping.
    pub grad_norm: f32,
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// Windows of the step.
    pub features: usize,
    /// Tokens of the step.
    pub tokens: usize,
    /// Seconds that the step took.
    pub seconds: f64,
}

/// One evaluation.
#[derive(Clone, Debug)]
pub struct EvaluationReport {
    /// Optimizer steps made so far.
    pub step: u32,
    /// The epoch, counted from 1.
    pub epoch: u32,
    /// The official figures, and the loss.
    pub metrics: Value,
    /// The best evaluation so far, this one included, where evaluations are compared.
    pub best: Option<Best>,
    /// Seconds that it took.
    pub seconds: f64,
}

/// One epoch.
#[derive(Clone, Debug)]
pub struct EpochReport {
    /// The epoch, counted from 1.
    pub epoch: u32,
    /// Optimizer steps made so far.
    pub step: u32,
    /// Mean loss over the epoch's windows, each step weighted by its windows.
    pub train_loss: f64,
    /// Token-level exact match of the training spans in the epoch, in percent: not the official
    /// metric, computed in training with dropout on.
    pub train_span_exact: f64,
    /// Token-level F1, likewise.
    pub train_span_f1: f64,
    /// Training windows per second of training.
    pub features_per_second: f64,
    /// The evaluation at the epoch's end, if there was one.
    pub evaluation: Option<EvaluationReport>,
}

impl StepReport {
    /// The named figures of a step.
    pub fn scalars(&self) -> Vec<(String, f64)> {
        let scalars = [
            ("train/loss", f64::from(self.loss)),
            ("train/loss_smoothed", self.smoothed_loss),
            ("train/learning_rate", self.learning_rate),
            ("train/grad_norm", f64::from(self.grad_norm)),
            (
                "train/features_per_second",
                self.features as f64 / self.seconds,
            ),
            ("train/tokens_per_second", self.tokens as f64 / self.seconds),
        ];
        scalars.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// The report as a line of `metrics.jsonl`.
    pub fn record(&self) -> Record {
        Record {
            kind: RecordKind::Step,
            step: self.step,
            epoch: self.epoch,
            scalars: self.scalars().into_iter().collect(),
        }
    }
}

impl EvaluationReport {
    /// The named figures of an evaluation.
    pub fn scalars(&self) -> Vec<(String, f64)> {
        self.figures("eval/")
    }

    fn figures(&self, prefix: &str) -> Vec<(String, f64)> {
        let figures = self.metrics.as_object().into_iter().flatten();
        figures
            .filter_map(|(key, value)| Some((format!("{prefix}{key}"), value.as_f64()?)))
            .collect()
    }

    /// The report as a line of `metrics.jsonl`.
    pub fn record(&self) -> Record {
        Record {
            kind: RecordKind::Evaluation,
            step: self.step,
            epoch: self.epoch,
            scalars: self.scalars().into_iter().collect(),
        }
    }
}

impl EpochReport {
    /// The named figures of an epoch; the evaluation set's are named as the official script names them.
    pub fn scalars(&self) -> Vec<(String, f64)> {
        let scalars = [
            ("epoch/train_loss", self.train_loss),
            ("epoch/train_span_exact", self.train_span_exact),
            ("epoch/train_span_f1", self.train_span_f1),
            ("epoch/features_per_second", self.features_per_second),
        ];
        let evaluation = self.evaluation.iter();
        scalars
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .chain(evaluation.flat_map(|evaluation| evaluation.figures("epoch/eval_")))
            .collect()
    }

    /// The report as a line of `metrics.jsonl`.
    pub fn record(&self) -> Record {
        Record {
            kind: RecordKind::Epoch,
            step: self.step,
            epoch: self.epoch,
            scalars: self.scalars().into_iter().collect(),
        }
    }
}

/// Someone who is told how a run goes. Every method may be left out.
pub trait Observer: Send {
    /// While questions are cut into windows, before anything else: questions finished, and in all.
    fn tokenising(&mut self, _finished: usize, _total: usize) {}

    /// Before the first step.
    fn start(&mut self, _: &RunStart) {}

    /// After each step.
    ///
    /// # Errors
    /// What the observer cannot go on without.
    fn step(&mut self, _: &StepReport) -> Result<(), Error> {
        Ok(())
    }

    /// While the evaluation set is answered: windows finished, and in all.
    fn evaluating(&mut self, _finished: usize, _total: usize) {}

    /// After each evaluation.
    ///
    /// # Errors
    /// What the observer cannot go on without.
    fn evaluation(&mut self, _: &EvaluationReport) -> Result<(), Error> {
        Ok(())
    }

    /// After each epoch, and its evaluation if there is one.
    ///
    /// # Errors
    /// What the observer cannot go on without.
    fn epoch(&mut self, _: &EpochReport) -> Result<(), Error> {
        Ok(())
    }
}

/// Observers told one after the other.
impl Observer for Vec<Box<dyn Observer + '_>> {
    fn tokenising(&mut self, finished: usize, total: usize) {
        self.iter_mut()
            .for_each(|observer| observer.tokenising(finished, total));
    }

    fn start(&mut self, start: &RunStart) {
        self.iter_mut().for_each(|observer| observer.start(start));
    }

    fn step(&mut self, report: &StepReport) -> Result<(), Error> {
        self.iter_mut()
            .try_for_each(|observer| observer.step(report))
    }

    fn evaluating(&mut self, finished: usize, total: usize) {
        self.iter_mut()
            .for_each(|observer| observer.evaluating(finished, total));
    }

    fn evaluation(&mut self, report: &EvaluationReport) -> Result<(), Error> {
        self.iter_mut()
            .try_for_each(|observer| observer.evaluation(report))
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<(), Error> {
        self.iter_mut()
            .try_for_each(|observer| observer.epoch(report))
    }
}
