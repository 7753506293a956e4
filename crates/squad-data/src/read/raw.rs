//! What files hold, before it is checked; every form of file is brought to this one.

use std::fmt;

use serde::Deserialize;

/// A context with its questions.
#[derive(Deserialize)]
#[serde(expecting = "a paragraph: an object with `context` and `qas`")]
pub(crate) struct RawParagraph {
    pub(crate) context: String,
    #[serde(rename = "qas")]
    pub(crate) questions: Vec<RawQuestion>,
}

#[derive(Deserialize)]
#[serde(expecting = "a question: an object with `id`, `question` and `answers`")]
pub(crate) struct RawQuestion {
    pub(crate) id: String,
    pub(crate) question: String,
    pub(crate) answers: Option<Vec<RawAnswer>>,
    pub(crate) is_impossible: Option<bool>,
}

#[derive(Deserialize)]
#[serde(expecting = "an answer: an object with `text` and `answer_start`")]
pub(crate) struct RawAnswer {
    pub(crate) text: String,
    /// In characters, and not yet known to be inside the context.
    #[serde(rename = "answer_start")]
    pub(crate) start: i64,
}

/// One question of a flat file, with its own copy of title and context.
pub(crate) struct RawRow {
    pub(crate) id: String,
    pub(crate) title: Option<String>,
    pub(crate) context: String,
    pub(crate) question: String,
    pub(crate) answers: FlatAnswers,
    pub(crate) is_impossible: Option<bool>,
}

/// The answers of a flat file: not a list of pairs but a pair of lists.
#[derive(Deserialize)]
#[serde(expecting = "an object with two lists, `text` and `answer_start`")]
pub(crate) struct FlatAnswers {
    #[serde(rename = "text")]
    pub(crate) texts: Vec<String>,
    #[serde(rename = "answer_start")]
    pub(crate) starts: Vec<i64>,
}

/// Where in a file something stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// Article and paragraph, from 0 as in a JSON path.
    Paragraph(usize, usize),
    /// Line of a text, from 1.
    Line(usize),
    /// Row of a table, from 1.
    #[cfg_attr(not(feature = "parquet"), expect(dead_code))]
    Row(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paragraph(article, paragraph) => {
                write!(f, "data[{article}].paragraphs[{paragraph}]")
            }
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}
