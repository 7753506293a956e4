use std::borrow::Borrow;
use std::path::{Path, PathBuf};

/// An error of this crate. Its message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The configuration is damaged, not supported, or does not fit the tokenizer.
    #[error("{}: {message}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The problem.
        message: String,
    },
    /// A model folder lacks a file.
    #[error("{}: no {file} in this model folder{hint}", folder.display())]
    MissingFile {
        /// The folder.
        folder: PathBuf,
        /// The missing file.
        file: &'static str,
        /// What else may stand in its place, or how to make it; may be empty.
        hint: String,
    },
    /// The weights cannot be read, or do not fit the configuration.
    #[error("{}: {message}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// The problem, with the tensor's name if it is one tensor's.
        message: String,
    },
    /// The model cannot be found or downloaded.
    #[error("model {model}: {message}")]
    Source {
        /// The source as the user wrote it.
        model: String,
        /// The problem.
        message: String,
    },
    /// Weights or logits that are not finite numbers.
    #[error("{what}")]
    NotFinite {
        /// Which, and where.
        what: String,
    },
    /// A question cannot be answered.
    #[error("question {id:?}: {message}")]
    Question {
        /// The question's id.
        id: String,
        /// The problem.
        message: String,
    },
    /// An error of `squad-data`: tokenizer, features or answers.
    #[error(transparent)]
    Data(#[from] squad_data::Error),
}

impl Error {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }
}

impl From<atomic_fs::Error> for Error {
    fn from(error: atomic_fs::Error) -> Self {
        Self::io(&error.path, error.source)
    }
}

/// The first names, so that a message stays readable.
pub(crate) fn list<S: Borrow<str>>(names: &[S]) -> String {
    const SHOWN: usize = 8;
    match names.len().saturating_sub(SHOWN) {
        0 | 1 => names.join(", "),
        more => format!("{} and {more} more", names[..SHOWN].join(", ")),
    }
}
