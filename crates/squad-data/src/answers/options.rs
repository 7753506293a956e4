//! What goes into, and comes out of, turning logits into answers.

use std::ops::Range;

use serde::Serialize;

use crate::error::Error;

/// The model's logits for one window, special tokens included.
#[derive(Clone, Copy, Debug)]
pub struct SpanLogits<'a> {
    /// Logit of each token to be an answer's first, `[feature.len()]`.
    pub start: &'a [f32],
    /// Logit of each token to be an answer's last, `[feature.len()]`.
    pub end: &'a [f32],
}

/// How answers are searched; the defaults are those of Hugging Face's `run_qa.py`.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerOptions {
    /// How many starts and how many ends are combined in each window, and how many spans are kept. Default 20.
    pub n_best_size: usize,
    /// Longest answer, in tokens. Default 30.
    pub max_answer_length: usize,
    /// Answer nothing where the null odds exceed this; used with `allow_no_answer` only. Default 0.
    pub null_score_diff_threshold: f32,
    /// Whether a question may have no answer: SQuAD 2.0's task. Default `false`; take it from
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
    /// Checks the options before any work.
    ///
    /// # Errors
    ///
    /// An `n_best_size` or `max_answer_length` of 0, or a threshold that is not a number.
    pub fn validate(&self) -> Result<(), Error> {
        let wrong = |option, value: String, problem: &str| {
            Err(Error::Option {
                option,
                value,
                problem: problem.to_owned(),
            })
        };
        if self.n_best_size == 0 {
            return wrong(
                "n_best_size",
                "0".to_owned(),
                "at least one span must be kept",
            );
        }
        if self.max_answer_length == 0 {
            return wrong(
                "max_answer_length",
                "0".to_owned(),
                "an answer has at least one token",
            );
        }
        if self.null_score_diff_threshold.is_nan() {
            return wrong(
                "null_score_diff_threshold",
                "NaN".to_owned(),
                "must be a number",
            );
        }
        Ok(())
    }
}

/// A piece of the context with its score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpanAnswer {
    /// The text, a slice of the context; empty for "no answer".
    pub text: String,
    /// Its range in the context in Unicode code points; empty for "no answer".
    pub chars: Range<usize>,
    /// `start_logit + end_logit`.
    pub score: f32,
    /// Logit of its first token as a start.
    pub start_logit: f32,
    /// Logit of its last token as an end.
    pub end_logit: f32,
    /// Softmax of `score` over the question's n-best list.
    pub probability: f32,
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The question's id.
    pub id: String,
    /// The answer; empty for "no answer", and where no window has a valid span.
    pub text: String,
    /// The best span, whatever was decided about "no answer"; `None` where no window has a valid one.
    pub best_span: Option<SpanAnswer>,
    /// The best spans of all windows, best first, at most `n_best_size`; with `allow_no_answer` "no answer" is among
    /// them, and comes as one more at the end where it is not one of the best. Overlapping windows may give one span
    /// twice, as in Hugging Face's script; under [`crate::StrideKind::Step`] each start is one window's.
    pub n_best: Vec<SpanAnswer>,
    /// Score of "no answer": the minimum over windows of `start[0] + end[0]`; NaN where all of these are NaN.
    pub null_score: f32,
    /// `null_score` less the best span's score, Hugging Face's `score_diff`; `null_score` itself where there is no span.
    pub null_odds: f32,
}

impl Prediction {
    /// The best span's text, whatever was decided about "no answer"; empty where there is none.
    pub fn best_text(&self) -> &str {
        self.best_span.as_ref().map_or("", |span| &span.text)
    }
}
