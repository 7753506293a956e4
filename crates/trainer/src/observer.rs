use serde_json::{Value, json};

use crate::Error;

/// What is known before the first step.
#[derive(Clone, Debug)]
pub struct RunStart {
    /// Optimizer steps in all epochs.
    pub total_steps: u32,
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
    /// Mean span loss of the batch.
    pub loss: f32,
    /// The gradient's global norm before clipping.
    pub grad_norm: f32,
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// Windows in the batch.
    pub features: usize,
    /// Tokens in the batch.
    pub tokens: usize,
    /// Seconds that the step took.
    pub seconds: f64,
}

/// One epoch with its evaluation.
#[derive(Clone, Debug)]
pub struct EpochReport {
    /// The epoch, counted from 1.
    pub epoch: u32,
    /// Optimizer steps made so far.
    pub step: u32,
    /// Mean loss over the epoch's windows, each batch weighted by its windows.
    pub train_loss: f64,
    /// Token-level exact match of the training spans in the epoch, in percent: not the official
    /// metric, computed in training with dropout on.
    pub train_span_exact: f64,
    /// Token-level F1, likewise.
    pub train_span_f1: f64,
    /// Training windows per second of training.
    pub features_per_second: f64,
    /// The official figures on the dev set.
    pub metrics: Value,
    /// Seconds that the evaluation took.
    pub evaluation_seconds: f64,
}

impl StepReport {
    /// The named figures of a step.
    pub fn scalars(&self) -> [(&'static str, f64); 5] {
        [
            ("train/loss", f64::from(self.loss)),
            ("train/learning_rate", self.learning_rate),
            ("train/grad_norm", f64::from(self.grad_norm)),
            (
                "train/features_per_second",
                self.features as f64 / self.seconds,
            ),
            ("train/tokens_per_second", self.tokens as f64 / self.seconds),
        ]
    }

    pub(crate) fn json(&self) -> Value {
        line(
            json!({ "step": self.step, "epoch": self.epoch }),
            &self.scalars(),
        )
    }
}

impl EpochReport {
    /// The named figures of an epoch; the dev set's are named as the official script names them.
    pub fn scalars(&self) -> Vec<(String, f64)> {
        let mut scalars = vec![
            ("epoch/train_loss".to_owned(), self.train_loss),
            ("epoch/train_span_exact".to_owned(), self.train_span_exact),
            ("epoch/train_span_f1".to_owned(), self.train_span_f1),
            (
                "epoch/features_per_second".to_owned(),
                self.features_per_second,
            ),
        ];
        let figures = self.metrics.as_object().into_iter().flatten();
        scalars.extend(
            figures.filter_map(|(key, value)| Some((format!("epoch/dev_{key}"), value.as_f64()?))),
        );
        scalars
    }

    pub(crate) fn json(&self) -> Value {
        line(
            json!({ "epoch_end": self.epoch, "step": self.step }),
            &self.scalars(),
        )
    }
}

fn line<K: AsRef<str>>(mut line: Value, scalars: &[(K, f64)]) -> Value {
    for (name, value) in scalars {
        line[name.as_ref()] = json!(value);
    }
    line
}

/// Someone who is told how a run goes. Every method may be left out.
pub trait Observer {
    /// Before the first step.
    fn start(&mut self, _: &RunStart) {}

    /// After each step.
    ///
    /// # Errors
    /// What the observer cannot go on without.
    fn step(&mut self, _: &StepReport) -> Result<(), Error> {
        Ok(())
    }

    /// While the dev set is answered: windows finished, and in all.
    fn evaluating(&mut self, _finished: usize, _total: usize) {}

    /// After each epoch's evaluation.
    ///
    /// # Errors
    /// What the observer cannot go on without.
    fn epoch(&mut self, _: &EpochReport) -> Result<(), Error> {
        Ok(())
    }
}

/// Observers told one after the other.
impl<const N: usize> Observer for [Box<dyn Observer + '_>; N] {
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

    fn epoch(&mut self, report: &EpochReport) -> Result<(), Error> {
        self.iter_mut()
            .try_for_each(|observer| observer.epoch(report))
    }
}

/// Writes every report as a line of `metrics.jsonl`.
impl Observer for crate::run_dir::Lines {
    fn step(&mut self, report: &StepReport) -> Result<(), Error> {
        self.push(&report.json())
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<(), Error> {
        self.push(&report.json())
    }
}
