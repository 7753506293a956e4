//! How contexts are cut into windows.

use serde::{Deserialize, Serialize};

use crate::error::{Error, counted};

/// `[CLS]` and two `[SEP]`, the special tokens of most encoders.
const NUM_SPECIAL: usize = 3;

/// What `doc_stride` counts. Both conventions put the same number of tokens into a feature.
///
/// ```
/// use squad_data::StrideKind;
///
/// assert_eq!(StrideKind::default(), StrideKind::Overlap);
/// assert_eq!(serde_json::to_string(&StrideKind::Step).unwrap(), "\"step\"");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StrideKind {
    /// The tokens that consecutive windows share, as in Hugging Face's `run_qa.py`. An answer may begin at any token of
    /// any window.
    #[default]
    Overlap,
    /// The tokens from one window's start to the next's, as in Google's `run_squad.py` and NVIDIA's. A token that lies
    /// in several windows belongs to the one with the most context around it ([`crate::Feature::max_context`]), and an
    /// answer may begin there only.
    ///
    /// Those scripts also cut questions to 64 tokens ([`LongQuestions::Truncate`]), and take smaller steps where a
    /// question leaves less room than one step. Here that is an error.
    Step,
}

/// Which gold answer a feature is labelled with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelAnswer {
    /// The first gold answer that has a place; "no answer" where the window does not hold it, as in `run_qa.py`.
    #[default]
    First,
    /// The first gold answer that the window holds, so that a window with another one is not labelled "no answer".
    Any,
}

/// What happens to a question that leaves no room for its context, or is longer than `max_query_length`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LongQuestions {
    /// An error that names the question.
    #[default]
    Error,
    /// Cut the question at its end, as Google's `run_squad.py` does.
    Truncate,
    /// Make no feature of it.
    Skip,
}

/// How contexts are cut into windows. All lengths are in tokens.
///
/// ```
/// use squad_data::{FeatureOptions, StrideKind};
///
/// let options = FeatureOptions { max_seq_length: 256, ..FeatureOptions::default() };
/// options.validate()?;
/// let wrong = FeatureOptions { max_seq_length: 64, ..FeatureOptions::default() };
/// assert!(wrong.validate().is_err());
///
/// // Google's run_squad.py at its defaults:
/// let google = FeatureOptions { stride: StrideKind::Step, ..FeatureOptions::default() };
/// google.validate()?;
/// # Ok::<(), squad_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureOptions {
    /// Maximum length of a feature, special tokens and question included. Default 384.
    pub max_seq_length: usize,
    /// Overlap of consecutive windows, or the step between them: see `stride`. Default 128.
    pub doc_stride: usize,
    /// What `doc_stride` counts. Default [`StrideKind::Overlap`].
    pub stride: StrideKind,
    /// Maximum length of a question. `None` (default): whatever leaves room for the context.
    pub max_query_length: Option<usize>,
    /// What happens to a longer question. Default [`LongQuestions::Error`].
    pub long_questions: LongQuestions,
    /// Which gold answer a feature is labelled with. Default [`LabelAnswer::First`].
    pub label_answer: LabelAnswer,
    /// Whether the white space in front of a question is left out, as `run_qa.py` does and transformers' pipeline does
    /// not. Default `true`.
    pub strip_questions: bool,
}

impl Default for FeatureOptions {
    fn default() -> Self {
        Self {
            max_seq_length: 384,
            doc_stride: 128,
            stride: StrideKind::Overlap,
            max_query_length: None,
            long_questions: LongQuestions::Error,
            label_answer: LabelAnswer::First,
            strip_questions: true,
        }
    }
}

impl FeatureOptions {
    /// Checks the options.
    ///
    /// The room for the context is `max_seq_length` less three special tokens and less `max_query_length` (or one token
    /// of question). [`crate::make_features`] checks again with the tokenizer's number of special tokens.
    ///
    /// # Errors
    ///
    /// - There is no room for the context.
    /// - The overlap is not smaller than the room, so windows would not advance.
    /// - The step is 0, or larger than the room, so text would be skipped.
    pub fn validate(&self) -> Result<(), Error> {
        self.validate_with(NUM_SPECIAL)
    }

    /// As [`FeatureOptions::validate`], with `num_special` special tokens.
    pub(super) fn validate_with(&self, num_special: usize) -> Result<(), Error> {
        let question = self.max_query_length.unwrap_or(1);
        let room = self
            .max_seq_length
            .saturating_sub(num_special)
            .saturating_sub(question);
        let wrong = |option, value: usize, problem| {
            Err(Error::Option {
                option,
                value: value.to_string(),
                problem,
            })
        };
        if question == 0 {
            let problem = "a question needs at least one token".to_owned();
            return wrong("max_query_length", 0, problem);
        }
        if room == 0 {
            let problem = format!(
                "leaves no room for the context beside {num_special} special tokens and {question} of the question; raise it"
            );
            return wrong("max_seq_length", self.max_seq_length, problem);
        }
        if room >= self.min_room() && self.step(room) > 0 {
            return Ok(());
        }
        let rule = match self.stride {
            StrideKind::Overlap => "the overlap must be smaller than",
            StrideKind::Step => "the step must be at least 1 and at most",
        };
        let problem = format!(
            "{rule} the room for the context, {} (max_seq_length {} less {num_special} special tokens \
             and {question} of the question)",
            counted(room, "token"),
            self.max_seq_length
        );
        wrong("doc_stride", self.doc_stride, problem)
    }

    /// The least room for the context with which a context can be cut into several windows.
    pub(super) fn min_room(&self) -> usize {
        match self.stride {
            StrideKind::Overlap => self.doc_stride.saturating_add(1),
            StrideKind::Step => self.doc_stride,
        }
    }

    /// The distance from one window's start to the next's.
    pub(super) fn step(&self, room: usize) -> usize {
        match self.stride {
            StrideKind::Overlap => room.saturating_sub(self.doc_stride),
            StrideKind::Step => self.doc_stride,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(doc_stride: usize, stride: StrideKind) -> String {
        let options = FeatureOptions {
            max_seq_length: 100,
            doc_stride,
            stride,
            max_query_length: Some(64),
            ..FeatureOptions::default()
        };
        // Room for 33 tokens of the context.
        options.validate().err().map_or(String::new(), |error| {
            let message = error.to_string();
            assert!(message.contains("33 tokens") && message.starts_with("doc_stride = "));
            message
        })
    }

    #[test]
    fn doc_stride_has_limits_under_both_conventions() {
        assert_eq!(message(0, StrideKind::Overlap), "");
        assert_eq!(message(32, StrideKind::Overlap), "");
        assert!(message(33, StrideKind::Overlap).contains("smaller than the room"));
        assert!(message(0, StrideKind::Step).contains("at least 1"));
        assert_eq!(message(1, StrideKind::Step), "");
        assert_eq!(message(33, StrideKind::Step), "");
        assert!(message(34, StrideKind::Step).contains("at most the room"));
        assert!(message(usize::MAX, StrideKind::Overlap).contains("smaller than the room"));
        assert!(message(usize::MAX, StrideKind::Step).contains("at most the room"));
    }
}
