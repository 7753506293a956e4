//! Options and results of the answer search.

use std::ops::Range;

use serde::Serialize;

use crate::error::Error;

/// The model's logits for one feature, special tokens included.
#[derive(Clone, Copy, Debug)]
pub struct SpanLogits<'a> {
    /// For each token the logit that an answer starts there, `[feature.len()]`.
    pub start: &'a [f32],
    /// For each token the logit that an answer ends there, `[feature.len()]`.
    pub end: &'a [f32],
}

/// Options of the answer search. The defaults are those of Hugging Face's `run_qa.py`.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerOptions {
    /// How many starts and ends of each feature are combined, and how many spans are kept. Default 20.
    pub n_best_size: usize,
    /// Maximum length of an answer in tokens. Default 30.
    pub max_answer_length: usize,
    /// A question gets no answer if its null odds exceed this. Only used with `allow_no_answer`. Default 0.
    pub null_score_diff_threshold: f32,
    /// Whether a question may have no answer, as in SQuAD 2.0. Default `false`. See
    /// [`crate::Dataset::has_unanswerable`].
    pub allow_no_answer: bool,
}

impl Default for AnswerOptions {
    fn default() -> Self {
        Self {
            n_best_size: 20,
            max_answer_length: 30,
            null_score_diff_threshold: 0.0,
            allow_no_answer: false,
        }
    }
}

impl AnswerOptions {
    /// Checks the options.
    ///
    /// # Errors
    ///
    /// `n_best_size` or `max_answer_length` is 0, or the threshold is NaN.
    pub fn validate(&self) -> Result<(), Error> {
        let (option, value, problem) = if self.n_best_size == 0 {
            ("n_best_size", "0", "at least one span must be kept")
        } else if self.max_answer_length == 0 {
            ("max_answer_length", "0", "an answer has at least one token")
        } else if self.null_score_diff_threshold.is_nan() {
            ("null_score_diff_threshold", "NaN", "must be a number")
        } else {
            return Ok(());
        };
        Err(Error::Option {
            option,
            value: value.to_owned(),
            problem: problem.to_owned(),
        })
    }
}

/// A span of the context with its score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpanAnswer {
    /// The text, a slice of the context; empty for "no answer".
    pub text: String,
    /// Its range in the context in Unicode code points; empty for "no answer".
    pub chars: Range<usize>,
    /// `start_logit + end_logit`.
    pub score: f32,
    /// Start logit of its first token.
    pub start_logit: f32,
    /// End logit of its last token.
    pub end_logit: f32,
    /// Softmax of `score` over the question's `n_best`.
    pub probability: f32,
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The question's id.
    pub id: String,
    /// The answer; empty for "no answer", and if there is no valid span.
    pub text: String,
    /// The best span, even if `text` is "no answer"; `None` if there is no valid span.
    pub best_span: Option<SpanAnswer>,
    /// At most `n_best_size` spans, best first.
    ///
    /// With `allow_no_answer` the list includes "no answer", as an additional last entry if it is not among the best.
    /// Overlapping features may give the same span twice, as in Hugging Face's script; with
    /// [`crate::StrideKind::Step`] they do not.
    pub n_best: Vec<SpanAnswer>,
    /// Score of "no answer": the minimum over features of `start[0] + end[0]`; NaN if all of these are NaN.
    pub null_score: f32,
    /// `null_score` minus the best span's score, Hugging Face's `score_diff`; `null_score` if there is no span.
    pub null_odds: f32,
}

impl Prediction {
    /// The best span's text, even if `text` is "no answer"; empty if there is no valid span.
    pub fn best_text(&self) -> &str {
        self.best_span.as_ref().map_or("", |span| &span.text)
    }
}
