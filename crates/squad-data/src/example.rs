//! One question with its paragraph and its gold answers.

use std::ops::Range;
use std::sync::Arc;

use crate::chars::CharIndex;

/// A gold answer: a piece of the context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoldAnswer {
    /// The answer's text, exactly as it stands in the context.
    pub text: String,
    /// Its first character in the context, counted in Unicode code points from 0 (SQuAD's `answer_start`).
    pub start: usize,
}

impl GoldAnswer {
    /// The answer's range in the context, in Unicode code points.
    pub fn char_range(&self) -> Range<usize> {
        self.start..self.start + self.text.chars().count()
    }
}

/// One question about one paragraph.
///
/// Questions of a paragraph share its text: `title` and `context` are reference-counted, and cloning an example does
/// not copy them.
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
    /// The question's id, unique in its data set.
    pub id: String,
    /// Title of the article.
    pub title: Arc<str>,
    /// The paragraph that the answers are taken from.
    pub context: Arc<str>,
    /// The question, as it stands in the file.
    pub question: String,
    /// Gold answers in file order; empty where `is_impossible`.
    pub answers: Vec<GoldAnswer>,
    /// Whether the paragraph does not answer the question.
    pub is_impossible: bool,
}

impl Example {
    /// A question without gold answers, to be asked of a model.
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

    /// The text of the context in a range of Unicode code points, or `None` where the range is not inside it.
    pub fn slice(&self, chars: Range<usize>) -> Option<&str> {
        CharIndex::new(&self.context).slice(chars)
    }

    /// The question as it is tokenised: without leading white space, as Hugging Face's scripts do.
    pub fn stripped_question(&self) -> &str {
        self.question.trim_start()
    }
}
