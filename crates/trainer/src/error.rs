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
    /// A `metrics.jsonl` that cannot be read.
    #[error(transparent)]
    MetricsLog(#[from] run_log::Error),
    /// A report that cannot be made.
    #[error(transparent)]
    Report(#[from] report::Error),
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
    /// Other processes of the run are lost, or do something else.
    #[error(transparent)]
    Group(#[from] process_group::Error),
    /// What went wrong in one process of several.
    #[error("{place}: {source}")]
    Rank {
        /// The process: `rank 1 (node7)`.
        place: String,
        /// What is wrong there.
        source: Box<Error>,
        /// Whether the others know of it and end by themselves.
        is_known: bool,
    },
    /// Another process has failed and says why.
    #[error("another rank has failed")]
    PeerFailed {
        /// Its exit status.
        exit_code: u8,
    },
}

impl Error {
    /// The exit status of the command line: 2 for what the user can mend, 1 for a failed run.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Diverged { .. } => 1,
            Self::Group(process_group::Error::Launch(_) | process_group::Error::Unequal { .. }) => {
                2
            }
            Self::Group(_) => 1,
            Self::Rank { source, .. } => source.exit_code(),
            Self::PeerFailed { exit_code } => *exit_code,
            _ => 2,
        }
    }

    /// Whether other processes of the run do not know of it: they wait for this one, so say the error and
    /// call [`abort`](process_group::ProcessGroup::abort).
    pub fn must_abort_group(&self) -> bool {
        match self {
            Self::Group(_) => true,
            Self::Rank { is_known, .. } => !is_known,
            _ => false,
        }
    }

    pub(crate) fn file(path: &Path, message: impl ToString) -> Self {
        Self::File {
            path: path.into(),
            message: message.to_string(),
        }
    }
}

impl From<atomic_fs::Error> for Error {
    fn from(error: atomic_fs::Error) -> Self {
        Self::file(&error.path, error.source)
    }
}
