//! The crate's one error type.

use std::fmt;
use std::path::{Path, PathBuf};

/// Every error of this crate. The message is one line that names the file and the place in it and says what to do.
///
/// Lines and columns count from 1. Columns count Unicode characters in [`Error::NotUtf8`], and bytes in [`Error::Json`]
/// and [`Error::Shape`], which give the position at which `serde_json` stopped. Positions in a context count Unicode
/// characters from 0, as SQuAD's `answer_start` does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: "read" or "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A data file is empty or has no question.
    #[error(
        "{file}: {problem}; expected a SQuAD file, {{\"version\": …, \"data\": [{{\"title\": …, \"paragraphs\": […]}}]}}"
    )]
    Empty {
        /// The data file.
        file: String,
        /// What is missing.
        problem: &'static str,
    },
    /// A compressed data file is damaged or incomplete.
    #[error(
        "{file}: the {compression} data is damaged: {problem}; is the download complete? Fetch or compress it again"
    )]
    Compressed {
        /// The data file.
        file: String,
        /// The compression, for example `gzip`.
        compression: &'static str,
        /// What was found.
        problem: String,
    },
    /// A Parquet file is damaged, has other columns than a SQuAD dataset, or this build cannot read Parquet.
    #[error("{file}: {problem}")]
    Parquet {
        /// The data file.
        file: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A data file is not UTF-8.
    #[error(
        "{file}: line {line}, column {column}: not UTF-8; convert the file to UTF-8, for example with iconv"
    )]
    NotUtf8 {
        /// The data file.
        file: String,
        /// Line of the first wrong byte, from 1.
        line: usize,
        /// Column of the first wrong byte in characters, from 1.
        column: usize,
    },
    /// A data file is not JSON, or is cut off.
    #[error(
        "{file}: line {line}, column {column}: not valid JSON: {problem}; is the download complete?"
    )]
    Json {
        /// The data file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
        /// What the parser met.
        problem: String,
    },
    /// A data file is JSON of another shape than SQuAD's.
    #[error(
        "{file}: line {line}, column {column}, at {path}: {problem}; the file is JSON, but not SQuAD v1.1 or v2.0"
    )]
    Shape {
        /// The data file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
        /// Place in the document, for example `data[0].paragraphs[3].qas[1].id`.
        path: String,
        /// What was found there and what was expected.
        problem: String,
    },
    /// A file of predictions or of no-answer probabilities is not JSON, or has a form that is not known.
    #[error("{file}: {place}{problem}; expected {expected}")]
    Predictions {
        /// The file.
        file: String,
        /// Line and column, from 1, with the separator behind them; empty if there are none.
        place: String,
        /// What is wrong.
        problem: String,
        /// The expected form.
        expected: &'static str,
    },
    /// An answer's text is not what the context has at its `answer_start`.
    #[error("{file}: question {id:?}: {0}", Mismatch { text, start: *start, found, elsewhere: *elsewhere })]
    AnswerMismatch {
        /// The data file and the place in it.
        file: String,
        /// The question's id.
        id: String,
        /// The answer's text.
        text: String,
        /// Its `answer_start`, in characters.
        start: i64,
        /// What the context has there; `None` if the position is outside the context.
        found: Option<String>,
        /// The occurrence of the text nearest to `start`, in characters.
        elsewhere: Option<usize>,
    },
    /// A question or its paragraph breaks a rule of the format.
    #[error("{file}: question {id:?}: {problem}")]
    Question {
        /// The data file and the place in it.
        file: String,
        /// The question's id.
        id: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A paragraph, or a row of a flat file, cannot be used.
    #[error("{file}: {path}: {problem}")]
    Paragraph {
        /// The data file.
        file: String,
        /// Place in the file, for example `data[0].paragraphs[3]`, `line 7` or `row 7`.
        path: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A question id occurs twice.
    #[error(
        "question id {id:?} occurs twice, in {first} and in {second}; ids must be unique: drop one of the two"
    )]
    DuplicateId {
        /// The id.
        id: String,
        /// Where it occurs first.
        first: String,
        /// Where it occurs again.
        second: String,
    },
    /// A `tokenizer.json` cannot be used.
    #[error("{file}: {problem}")]
    Tokenizer {
        /// The tokenizer's file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// A data file would take more memory than there is.
    #[error("{file}: {problem}")]
    TooLarge {
        /// The data file.
        file: String,
        /// How much it needs, and how much there is.
        problem: String,
    },
    /// A text could not be tokenized.
    #[error("question {id:?}: cannot tokenize its {part}: {problem}")]
    Encode {
        /// The question's id.
        id: String,
        /// `question` or `context`.
        part: &'static str,
        /// The tokenizer's message.
        problem: String,
    },
    /// A question leaves no room for its context.
    #[error(
        "question {id:?}: {num_tokens} tokens, but {limit}; shorten the question or raise the limit"
    )]
    QuestionTooLong {
        /// The question's id.
        id: String,
        /// Its length in tokens.
        num_tokens: usize,
        /// The limit that it exceeds, in words.
        limit: String,
    },
    /// An option has an impossible value.
    #[error("{option} = {value}: {problem}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// Its value.
        value: String,
        /// Why not, and what to do.
        problem: String,
    },
    /// Examples, features, logits or a saved state do not belong together.
    #[error("{problem}")]
    Inconsistent {
        /// Which item does not fit, and how.
        problem: String,
    },
}

impl Error {
    pub(crate) fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            action: "read",
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn write(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            action: "write",
            path: path.to_owned(),
            source,
        }
    }
}

/// The message of [`Error::AnswerMismatch`].
struct Mismatch<'a> {
    text: &'a str,
    start: i64,
    found: &'a Option<String>,
    elsewhere: Option<usize>,
}

impl fmt::Display for Mismatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = quote(self.text);
        match self.found {
            Some(found) => {
                write!(
                    f,
                    "answer {text} does not match its context, which has {1} at answer_start {0}",
                    self.start,
                    quote(found)
                )?;
            }
            None => write!(
                f,
                "answer {text} has answer_start {}, which is outside its context",
                self.start
            )?,
        }
        match self.elsewhere {
            Some(at) => write!(
                f,
                "; the text occurs at character {at}: correct answer_start, which counts Unicode characters"
            ),
            None => write!(
                f,
                "; the text does not occur in the context: correct or drop the answer"
            ),
        }
    }
}

/// Quotes text for a one-line message: control characters escaped, at most 60 characters.
pub(crate) fn quote(text: &str) -> String {
    const LIMIT: usize = 60;
    match text.char_indices().nth(LIMIT) {
        Some((cut, _)) => format!("{:?}…", &text[..cut]),
        None => format!("{text:?}"),
    }
}

/// Shortens a message of another library to one line. Such messages may quote whole texts.
pub(crate) fn one_line(message: &dyn fmt::Display) -> String {
    const HEAD: usize = 120;
    const TAIL: usize = 100;
    let message = message
        .to_string()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let count = message.chars().count();
    if count <= HEAD + TAIL {
        return message;
    }
    let head: String = message.chars().take(HEAD).collect();
    let tail: String = message.chars().skip(count - TAIL).collect();
    format!("{head}…{tail}")
}
