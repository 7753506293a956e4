use std::path::{Path, PathBuf};

/// What can go wrong with models: each message is one line that names the file and the place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `config.json` is not one that this crate can run.
    #[error("{}: {message}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        message: String,
    },
    /// A model folder lacks a file.
    #[error("{}: no {file} in this model folder{hint}", folder.display())]
    MissingFile {
        /// The folder.
        folder: PathBuf,
        /// The file that it should hold.
        file: &'static str,
        /// What else would do, or how to make it; may be empty.
        hint: &'static str,
    },
    /// Weights that cannot be read, or do not fit the configuration.
    #[error("{}: {message}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// The tensor and what is wrong with it.
        message: String,
    },
    /// A model that could not be had from where it is.
    #[error("model {model}: {message}")]
    Source {
        /// As the user named it.
        model: String,
        /// What was tried.
        message: String,
    },
    /// A question that cannot be answered.
    #[error("question {id:?}: {message}")]
    Question {
        /// The question's id.
        id: String,
        /// What is wrong with it.
        message: String,
    },
    /// The tokenizer or the text given to it.
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
