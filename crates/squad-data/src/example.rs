//! One question with its paragraph and gold answers.

use std::ops::Range;
use std::sync::Arc;

use crate::chars::CharIndex;

/// A gold answer: a span of the context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoldAnswer {
    /// The text, exactly as in the context.
    pub text: String,
    /// Position of its first character in the context, in Unicode code points (SQuAD's `answer_start`).
    pub start: usize,
}

impl GoldAnswer {
    /// The range in the context, in Unicode code points.
    pub fn char_range(&self) -> Range<usize> {
        self.start..self.start + self.text.chars().count()
    }
}

/// One question about one paragraph.
///
/// `title` and `context` are reference-counted: questions of a paragraph share them, and so do clones.
///
/// ```
/// use squad_data::Example;
///
/// let example = Example::new("q1", "Where is the café?", "The café is in Besançon.");
/// assert_eq!(example.slice(4..8), Some("café"));
/// assert!(example.is_impossible);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The question's id, unique in its dataset.
    pub id: String,
    /// Title of the article.
    pub title: Arc<str>,
    /// The paragraph that holds the answers.
    pub context: Arc<str>,
    /// The question, as in the file.
    pub question: String,
    /// Gold answers in file order; empty if `is_impossible`.
    pub answers: Vec<GoldAnswer>,
    /// Whether the question has no answer in the context.
    pub is_impossible: bool,
}

impl Example {
    /// A question without gold answers, for a model to answer.
    pub fn new(
        id: impl Into<String>,
        question: impl Into<String>,
        context: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            id: id.into(),
            title: Arc::from(""),
            context: context.into(),
            question: question.into(),
            answers: Vec::new(),
            is_impossible: true,
        }
    }

    /// The context's text in a range of Unicode code points; `None` if the range is outside the context.
    pub fn slice(&self, chars: Range<usize>) -> Option<&str> {
        CharIndex::new(&self.context).slice(chars)
    }

    /// The question without leading white space, as Hugging Face's scripts and [`crate::make_features`] tokenize it.
    pub fn stripped_question(&self) -> &str {
        self.question.trim_start()
    }
}
