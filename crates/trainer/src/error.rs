use std::path::{Path, PathBuf};

use squad_data::plain_types;

use crate::device::out_of_memory;

/// An error of this crate. Each message is one line; configuration errors have one line for each complaint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is not valid: all complaints.
    #[error("{}", .0.join("\n"))]
    Config(Vec<String>),
    /// A dataset or a tokenizer cannot be used.
    #[error(transparent)]
    Data(#[from] squad_data::Error),
    /// A model cannot be found, downloaded, loaded or saved.
    #[error(transparent)]
    Model(#[from] bert_qa::Error),
    /// Predictions cannot be scored.
    #[error("{}: {source}", path.display())]
    Metrics {
        /// The file of predictions.
        path: PathBuf,
        /// What is wrong with it.
        source: qa_metrics::Error,
    },
    /// A file or folder cannot be read or written.
    #[error("{}: {message}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The cause, and what to do.
        message: String,
    },
    /// A `metrics.jsonl` cannot be read.
    #[error(transparent)]
    MetricsLog(#[from] run_log::Error),
    /// A report cannot be made.
    #[error(transparent)]
    Report(#[from] report::Error),
    /// A device is missing in this build or on this computer, or cannot do what is asked.
    #[error("{0}")]
    Device(String),
    /// The device has too little memory.
    #[error(
        "{0}: lower train.per_device_train_batch_size (and raise train.gradient_accumulation_steps) in training, or max_seq_length"
    )]
    OutOfMemory(String),
    /// The loss or the gradient is NaN or infinite. The model is not updated.
    #[error(
        "the {what} became {value} in step {step}: try a lower train.learning_rate; questions of the step: {}",
        questions.join(", ")
    )]
    Diverged {
        /// `loss` or `gradient's norm`.
        what: &'static str,
        /// The value.
        value: f32,
        /// The optimizer step, counted from 1.
        step: u32,
        /// The ids of the step's questions.
        questions: Vec<String>,
    },
    /// A rank is lost, or ranks do not call the same collectives.
    #[error(transparent)]
    Group(#[from] process_group::Error),
    /// An error on one rank of several.
    #[error("{place}: {source}")]
    Rank {
        /// The rank and its host: `rank 1 (node7)`.
        place: String,
        /// The error there.
        source: Box<Error>,
        /// Whether the other ranks know about it and exit by themselves.
        is_known: bool,
    },
    /// Another rank has failed and reports the cause.
    #[error("another rank has failed")]
    PeerFailed {
        /// Its exit code.
        exit_code: u8,
    },
}

impl Error {
    /// The exit code of the command line: 2 for a mistake of the user, 1 for a failed run. A run whose loss, gradient, weights
    /// or figures are not finite has failed.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Diverged { .. } | Self::Model(bert_qa::Error::NotFinite { .. }) => 1,
            Self::Group(process_group::Error::Launch(_) | process_group::Error::Unequal { .. }) => {
                2
            }
            Self::Group(_) => 1,
            Self::Rank { source, .. } => source.exit_code(),
            Self::PeerFailed { exit_code } => *exit_code,
            _ => 2,
        }
    }

    /// Whether the other ranks do not know about the error and still wait for this rank. The caller must then print it and
    /// call [`abort`](process_group::ProcessGroup::abort).
    pub fn must_abort_group(&self) -> bool {
        match self {
            Self::Group(_) => true,
            Self::Rank { is_known, .. } => !is_known,
            _ => false,
        }
    }

    /// From an error of a backend. Keeps the message's first line: a stack trace may follow it.
    pub(crate) fn device(error: impl ToString) -> Self {
        let message = error.to_string();
        match out_of_memory::reason_in(&message) {
            Some(reason) => Self::OutOfMemory(reason),
            None => Self::Device(message.lines().next().unwrap_or_default().to_owned()),
        }
    }

    /// The error of a run: if the model has diverged, with what to do about it.
    pub(crate) fn in_training(self) -> Self {
        match self {
            Self::Model(bert_qa::Error::NotFinite { what }) => {
                let what = format!("{what}; try a lower train.learning_rate");
                Self::Model(bert_qa::Error::NotFinite { what })
            }
            Self::Rank {
                place,
                source,
                is_known,
            } => Self::Rank {
                place,
                source: Box::new(source.in_training()),
                is_known,
            },
            error => error,
        }
    }

    /// One complaint about the configuration or the arguments.
    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::Config(vec![message.into()])
    }

    pub(crate) fn file(path: &Path, message: impl ToString) -> Self {
        Self::File {
            path: path.into(),
            message: message.to_string(),
        }
    }

    /// From an error in a TOML file with this text. `error.to_string()` would have several lines.
    pub(crate) fn toml(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = 1 + before.map_or(0, |before| before.matches('\n').count());
        let mut message = plain_types(&error.message()).replace('\n', " ");
        if message == "duplicate key" {
            let key = error
                .span()
                .and_then(|span| text.get(span))
                .unwrap_or_default();
            let key = key.trim_matches(|c: char| "[] \t".contains(c));
            message += &format!(" {key}; write each key once, and a table in one place");
        }
        Self::file(path, format!("line {line}: {message}"))
    }
}

impl From<atomic_fs::Error> for Error {
    fn from(error: atomic_fs::Error) -> Self {
        Self::file(&error.path, error.source)
    }
}
