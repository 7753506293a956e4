use std::path::{Path, PathBuf};

/// What stops a run; each message is one clear line (configuration complaints: one line each).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is not one that can run; all complaints at once.
    #[error("{}", .0.join("\n"))]
    Config(Vec<String>),
    /// A dataset or a tokenizer.
    #[error(transparent)]
    Data(#[from] squad_data::Error),
    /// A model folder or where it comes from.
    #[error(transparent)]
    Model(#[from] bert_qa::Error),
    /// Predictions that cannot be scored.
    #[error("{}: {source}", path.display())]
    Metrics {
        /// The file of predictions.
        path: PathBuf,
        /// What is wrong with it.
        source: qa_metrics::Error,
    },
    /// A file or folder that cannot be read or written.
    #[error("{}: {message}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it and what to do.
        message: String,
    },
    /// A device that this build or this machine does not have.
    #[error("{0}")]
    Device(String),
    /// The loss or the gradient is no longer a number; the model is as it was before the step.
    #[error(
        "the {what} became {value} in step {step}: try a lower train.learning_rate; questions of the step: {}",
        questions.join(", ")
    )]
    Diverged {
        /// Of what the value is.
        what: &'static str,
        /// The value.
        value: f32,
        /// The optimizer step, counted from 1.
        step: u32,
        /// Ids of the questions that the step's windows belong to.
        questions: Vec<String>,
    },
}

impl Error {
    /// The exit status of the command line: 2 for what the user can mend, 1 for a failed run.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Diverged { .. } => 1,
            _ => 2,
        }
    }

    pub(crate) fn file(path: &Path, message: impl ToString) -> Self {
        Self::File {
            path: path.into(),
            message: message.to_string(),
        }
    }
}
