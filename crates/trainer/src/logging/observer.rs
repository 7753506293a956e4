use run_log::{Record, RecordKind};
use serde_json::Value;

use crate::Error;
use crate::device::DeviceMemory;
use crate::train::state::Best;

/// The start of the training loop.
#[derive(Clone, Debug)]
pub struct RunStart {
    /// Optimizer steps of the whole run.
    pub total_steps: u32,
    /// Optimizer steps that a resumed run has already made.
    pub step: u32,
    /// Training features in an epoch.
    pub features: usize,
    /// The number of epochs.
    pub epochs: u32,
}

/// The report of one optimizer step.
#[derive(Clone, Copy, Debug)]
pub struct StepReport {
    /// Steps made, this one included.
    pub step: u32,
    /// The epoch, counted from 1.
    pub epoch: u32,
    /// Mean span loss of the step's features.
    pub loss: f32,
    /// The loss, smoothed over about 50 steps.
    pub smoothed_loss: f64,
    /// The gradient's global norm before clipping.
    pub grad_norm: f32,
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// Features of the step.
    pub features: usize,
    /// Tokens of the step.
    pub tokens: usize,
    /// Duration in seconds.
    pub seconds: f64,
    /// The memory that tensors use on a GPU.
    pub device_memory: Option<DeviceMemory>,
}

/// The report of one evaluation.
#[derive(Clone, Debug)]
pub struct EvaluationReport {
    /// Optimizer steps made so far.
    pub step: u32,
    /// The epoch, counted from 1.
    pub epoch: u32,
    /// The metrics of [`Evaluation`](crate::Evaluation).
    pub metrics: Value,
    /// The best evaluation so far, if evaluations are compared.
    pub best: Option<Best>,
    /// Duration in seconds.
    pub seconds: f64,
}

/// The report of one epoch.
#[derive(Clone, Debug)]
pub struct EpochReport {
    /// The epoch, counted from 1.
    pub epoch: u32,
    /// Optimizer steps made so far.
    pub step: u32,
    /// Mean loss of the epoch's features.
    pub train_loss: f64,
    /// Token-level exact match of the training spans, in percent: not the official metric, and with dropout.
    pub train_span_exact: f64,
    /// Token-level F1 of the training spans, as `train_span_exact`.
    pub train_span_f1: f64,
    /// Training features per second of training.
    pub features_per_second: f64,
    /// The evaluation at the end of the epoch, if there was one.
    pub evaluation: Option<EvaluationReport>,
}

impl StepReport {
    /// The figures of the step by name, as in `metrics.jsonl`.
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
        let memory = self.device_memory.into_iter().flat_map(|memory| {
            [
                ("train/device_memory_bytes", memory.current as f64),
                ("train/device_peak_memory_bytes", memory.peak as f64),
            ]
        });
        let scalars = scalars.into_iter().chain(memory);
        scalars
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
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
    /// The metrics by name, as in `metrics.jsonl`.
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
    /// The figures of the epoch by name, as in `metrics.jsonl`.
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

/// Receives training events. Every method does nothing by default.
pub trait Observer: Send {
    /// During tokenization: the number of questions finished, and of all.
    fn tokenizing(&mut self, _finished: usize, _total: usize) {}

    /// Before the first step.
    fn start(&mut self, _: &RunStart) {}

    /// After each step.
    ///
    /// # Errors
    /// An error ends the run.
    fn step(&mut self, _: &StepReport) -> Result<(), Error> {
        Ok(())
    }

    /// During an evaluation: the number of features finished, and of all.
    fn evaluating(&mut self, _finished: usize, _total: usize) {}

    /// After each evaluation.
    ///
    /// # Errors
    /// An error ends the run.
    fn evaluation(&mut self, _: &EvaluationReport) -> Result<(), Error> {
        Ok(())
    }

    /// After each epoch and its evaluation.
    ///
    /// # Errors
    /// An error ends the run.
    fn epoch(&mut self, _: &EpochReport) -> Result<(), Error> {
        Ok(())
    }
}

/// Calls all observers in order.
impl Observer for Vec<Box<dyn Observer + '_>> {
    fn tokenizing(&mut self, finished: usize, total: usize) {
        self.iter_mut()
            .for_each(|observer| observer.tokenizing(finished, total));
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

/// An observer that calls a closure after each optimizer step.
pub(crate) struct OnStep<F>(pub(crate) F);
/// As [`OnStep`], after each evaluation.
pub(crate) struct OnEvaluation<F>(pub(crate) F);
/// As [`OnStep`], after each epoch.
pub(crate) struct OnEpoch<F>(pub(crate) F);

impl<F: FnMut(&StepReport) + Send> Observer for OnStep<F> {
    fn step(&mut self, report: &StepReport) -> Result<(), Error> {
        (self.0)(report);
        Ok(())
    }
}

impl<F: FnMut(&EvaluationReport) + Send> Observer for OnEvaluation<F> {
    fn evaluation(&mut self, report: &EvaluationReport) -> Result<(), Error> {
        (self.0)(report);
        Ok(())
    }
}

impl<F: FnMut(&EpochReport) + Send> Observer for OnEpoch<F> {
    fn epoch(&mut self, report: &EpochReport) -> Result<(), Error> {
        (self.0)(report);
        Ok(())
    }
}
