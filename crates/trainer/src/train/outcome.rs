use std::path::PathBuf;

use squad_data::Prediction;

use crate::data::FeaturizedDataset;

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// The run is complete.
    Finished(Box<Trained>),
    /// The run was stopped and can be resumed.
    Stopped(Stopped),
    /// This process is not rank 0, which has the results.
    Worker {
        /// Whether the run was stopped and can be resumed.
        stopped: bool,
    },
}

/// A complete run.
#[derive(Debug)]
pub struct Trained {
    /// The run folder.
    pub run_dir: PathBuf,
    /// The model's folder, in Hugging Face layout.
    pub model_folder: PathBuf,
    /// The contents of `metrics.json`.
    pub metrics: serde_json::Value,
    /// The evaluation set.
    pub eval: FeaturizedDataset,
    /// The predictions, in the order of the questions.
    pub predictions: Vec<Prediction>,
}

/// A run that was stopped before its end.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// The run folder, for [`Trainer::resume`](crate::Trainer::resume).
    pub run_dir: PathBuf,
    /// The folder of the checkpoint.
    pub checkpoint: PathBuf,
    /// Optimizer steps made.
    pub step: u32,
}

impl Outcome {
    /// The results, if the run is complete and this is rank 0.
    pub fn finished(self) -> Option<Trained> {
        match self {
            Self::Finished(trained) => Some(*trained),
            Self::Stopped(_) | Self::Worker { .. } => None,
        }
    }
}
