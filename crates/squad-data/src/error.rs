//! The crate's one error type.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::read::{Flaw, Foreign, Position};

/// Every error of this crate. The message is one line that names the file and the place in it and says what to do.
///
/// Lines and columns count from 1. Columns count Unicode characters in [`Error::Encoding`], and bytes in [`Error::Json`]
/// and [`Error::Shape`], which give the position at which `serde_json` stopped. Positions in a context count Unicode
/// characters from 0, as SQuAD's `answer_start` does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read, written or unpacked.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: "read", "write" or "unpack".
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
        problem: String,
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
    /// A data file is not UTF-8 or UTF-16.
    #[error("{file}: line {line}, column {column}: {problem}")]
    Encoding {
        /// The data file.
        file: String,
        /// Line of the first wrong byte, from 1.
        line: usize,
        /// Column of the first wrong byte in characters, from 1.
        column: usize,
        /// What encoding the file may have, and what to do.
        problem: String,
    },
    /// A data file has a form that is known and not read.
    #[error("{file}: {problem}")]
    Form {
        /// The data file.
        file: String,
        /// The form's name and what to do.
        problem: String,
    },
    /// A data file is not JSON, or is cut off.
    #[error("{file}: line {line}, column {column}: not valid JSON: {problem}")]
    Json {
        /// The data file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
        /// What the parser met and what to do.
        problem: String,
    },
    /// A data file is JSON, but in none of the forms that are read.
    #[error(
        "{file}: line {line}, column {column}, at {path}: {problem}; datasets/README.md lists the forms"
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
    /// A question has no gold answer that stands in its context at its `answer_start`.
    #[error(
        "{flaw}{}; on_bad_answer = \"skip\" leaves such questions out, \"repair\" takes the nearest occurrence",
        and_others(*others)
    )]
    BadAnswer {
        /// The first such answer.
        flaw: Box<Flaw>,
        /// Number of further questions.
        others: usize,
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
        "question id {id:?} occurs twice, in {first} and in {second}; ids must be unique: drop one of the two, or set unique_ids if two files share ids"
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
        "question {id:?}: {num_tokens} tokens, but {limit}; shorten the question or raise the limit, or set long_questions to \"truncate\" or \"skip\""
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

    pub(crate) fn encoding(file: &str, at: Position, problem: impl Into<String>) -> Self {
        Self::Encoding {
            file: file.to_owned(),
            line: at.lines + 1,
            column: at.chars + 1,
            problem: problem.into(),
        }
    }

    pub(crate) fn foreign(file: &str, foreign: &Foreign) -> Self {
        Self::Form {
            file: file.to_owned(),
            problem: foreign.problem(),
        }
    }

    /// The file has a form that this build does not read.
    #[cfg_attr(all(feature = "csv", feature = "parquet"), expect(dead_code))]
    pub(crate) fn without_feature(file: &str, form: &str, feature: &str) -> Self {
        Self::Form {
            file: file.to_owned(),
            problem: format!(
                "{form}, which this build cannot read; turn on the feature `{feature}`"
            ),
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

fn and_others(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "; 1 more question has such answers".to_owned(),
        _ => format!("; {count} more questions have such answers"),
    }
}

/// A number of things for messages; the noun's plural ends with `s`.
///
/// ```
/// use squad_data::counted;
///
/// assert_eq!([1, 2].map(|count| counted(count, "question")), ["1 question", "2 questions"]);
/// ```
pub fn counted(count: usize, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

/// A message of `serde` that calls numbers what a person calls them, and not by their types in Rust.
///
/// ```
/// use squad_data::plain_types;
///
/// let error = serde_json::from_str::<u32>("-1").unwrap_err();
/// assert!(plain_types(&error).contains("expected a whole number from 0 to 4294967295"));
/// ```
pub fn plain_types(message: &dyn fmt::Display) -> String {
    const TYPES: [(&str, &str); 5] = [
        ("usize", "a whole number from 0"),
        ("u64", "a whole number from 0"),
        ("u32", "a whole number from 0 to 4294967295"),
        ("f32", "a number"),
        ("f64", "a number"),
    ];
    let message = message.to_string();
    let plain = |message: String, (kind, words): (&str, &str)| {
        message.replace(&format!("expected {kind}"), &format!("expected {words}"))
    };
    TYPES.into_iter().fold(message, plain)
}

/// Quotes text for a one-line message: control characters escaped, at most 60 characters.
pub(crate) fn quote(text: &str) -> String {
    const LIMIT: usize = 60;
    match text.char_indices().nth(LIMIT) {
        Some((cut, _)) => format!("{:?}…", &text[..cut]),
        None => format!("{text:?}"),
    }
}

/// The message of a JSON error without the position at its end.
pub(crate) fn without_position(error: &serde_json::Error) -> String {
    let mut message = one_line(error);
    if let Some(end) = message.rfind(" at line ") {
        message.truncate(end);
    }
    message
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
