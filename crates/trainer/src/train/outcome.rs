use std::path::PathBuf;

use squad_data::Prediction;

use crate::data::FeaturizedDataset;

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// It is done.
    Finished(Box<Trained>),
    /// It was asked to stop, and can go on.
    Stopped(Stopped),
    /// This process is not rank 0, which has the results.
    Worker {
        /// Whether the run was asked to stop, and can go on.
        stopped: bool,
    },
}

/// A finished run.
#[derive(Debug)]
pub struct Trained {
    /// The run's folder.
    pub run_dir: PathBuf,
    /// Where the model was saved, in Hugging Face layout.
    pub model_folder: PathBuf,
    /// `metrics.json` of the run.
    pub metrics: serde_json::Value,
    /// The evaluation questions with their windows.
    pub eval: FeaturizedDataset,
    /// The answers, in the questions' order.
    pub predictions: Vec<Prediction>,
}

/// A run that was stopped before its end.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// The run's folder, to be given to [`Trainer::resume`](crate::Trainer::resume).
    pub run_dir: PathBuf,
    /// The checkpoint that was written.
    pub checkpoint: PathBuf,
    /// Optimizer steps made.
    pub step: u32,
}

impl Outcome {
    /// The finished run, if it was not stopped.
    pub fn finished(self) -> Option<Trained> {
        match self {
            Self::Finished(trained) => Some(*trained),
            Self::Stopped(_) | Self::Worker { .. } => None,
        }
    }
}
