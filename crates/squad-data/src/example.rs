//! One question with its paragraph and gold answers.

use std::ops::Range;
use std::sync::Arc;

use crate::chars::CharIndex;

/// A gold answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoldAnswer {
    /// The text; exactly as in the context if `start` is known.
    pub text: String,
    /// Position of its first character in the context, in Unicode code points (SQuAD's `answer_start`). Labels follow it
    /// without a look at `text`.
    ///
    /// `None` if the context does not have the text there: the answer scores predictions and labels nothing.
    pub start: Option<usize>,
}

impl GoldAnswer {
    /// An answer at the first place where the context has its text, in that spelling; without a `start` if it has not.
    ///
    /// ```
    /// use squad_data::{Example, Gold, GoldAnswer};
    ///
    /// let mut example = Example::new("q1", "Where?", "Zoë ate in Älmhult.");
    /// let answer = GoldAnswer::find("Älmhult", &example.context);
    /// assert_eq!(answer.start, Some(11)); // characters, not bytes
    /// assert_eq!(example.slice(answer.char_range().unwrap()), Some("Älmhult"));
    /// example.gold = Gold::Answers(vec![answer]);
    /// ```
    pub fn find(text: impl Into<String>, context: &str) -> Self {
        let text = text.into();
        let byte = context.find(&text).filter(|_| !text.is_empty());
        let start = byte.map(|byte| context[..byte].chars().count());
        Self { text, start }
    }

    /// The range in the context, in Unicode code points.
    pub fn char_range(&self) -> Option<Range<usize>> {
        let start = self.start?;
        Some(start..start.saturating_add(self.text.chars().count()))
    }
}

/// What is known about the answer of a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Gold {
    /// Nothing: a question for a model to answer, as in a test set without answers. It cannot be scored.
    #[default]
    Unknown,
    /// The context does not hold an answer (SQuAD 2.0's `is_impossible`).
    Unanswerable,
    /// The gold answers in file order, at least one.
    Answers(Vec<GoldAnswer>),
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
/// assert!(example.answers().is_empty() && !example.is_impossible()); // its answer is not known
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
    /// What is known about its answer.
    pub gold: Gold,
}

impl Example {
    /// A question for a model to answer: its gold answers are unknown.
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
            gold: Gold::Unknown,
        }
    }

    /// The same question with these gold answers; without any it is unanswerable.
    #[must_use]
    pub fn with_answers(self, answers: Vec<GoldAnswer>) -> Self {
        let gold = if answers.is_empty() {
            Gold::Unanswerable
        } else {
            Gold::Answers(answers)
        };
        Self { gold, ..self }
    }

    /// The gold answers in file order; empty if there is none or it is not known.
    pub fn answers(&self) -> &[GoldAnswer] {
        match &self.gold {
            Gold::Answers(answers) => answers,
            Gold::Unknown | Gold::Unanswerable => &[],
        }
    }

    /// The first gold answer that the context has at its place: the one that labels stand for.
    pub fn first_located(&self) -> Option<&GoldAnswer> {
        self.answers().iter().find(|answer| answer.start.is_some())
    }

    /// Whether it is known that the context does not hold an answer.
    pub fn is_impossible(&self) -> bool {
        self.gold == Gold::Unanswerable
    }

    /// The context's text in a range of Unicode code points; `None` if the range is outside the context.
    pub fn slice(&self, chars: Range<usize>) -> Option<&str> {
        CharIndex::new(&self.context).slice(chars)
    }

    /// The question without leading white space, as Hugging Face's scripts tokenize it, and [`crate::make_features`] too if
    /// [`crate::FeatureOptions::strip_questions`] is set.
    pub fn stripped_question(&self) -> &str {
        self.question.trim_start()
    }
}
