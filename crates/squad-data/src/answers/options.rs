//! Options of the answer search.

use crate::error::Error;

/// More spans would need gigabytes for a long text.
const MAX_N_BEST: usize = 10_000;

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
    /// Scores are divided by this in probabilities. It changes no answer. Default 1.
    pub temperature: f32,
}

impl Default for AnswerOptions {
    fn default() -> Self {
        Self {
            n_best_size: 20,
            max_answer_length: 30,
            null_score_diff_threshold: 0.0,
            allow_no_answer: false,
            temperature: 1.0,
        }
    }
}

impl AnswerOptions {
    /// Checks the options.
    ///
    /// # Errors
    ///
    /// `n_best_size` or `max_answer_length` is 0, `n_best_size` is more than 10000, the threshold is NaN, or the temperature
    /// is not a positive number.
    pub fn validate(&self) -> Result<(), Error> {
        let wrong = |option, value: String, problem: &str| {
            Err(Error::Option {
                option,
                value,
                problem: problem.to_owned(),
            })
        };
        let (n_best_size, temperature) = (self.n_best_size, self.temperature);
        if n_best_size == 0 {
            wrong("n_best_size", "0".into(), "at least one span must be kept")
        } else if n_best_size > MAX_N_BEST {
            let problem = "at most 10000 spans can be kept";
            wrong("n_best_size", n_best_size.to_string(), problem)
        } else if self.max_answer_length == 0 {
            let problem = "an answer has at least one token";
            wrong("max_answer_length", "0".into(), problem)
        } else if self.null_score_diff_threshold.is_nan() {
            wrong(
                "null_score_diff_threshold",
                "NaN".into(),
                "must be a number",
            )
        } else if !(temperature > 0.0 && temperature.is_finite()) {
            let problem = "must be a finite number above 0";
            wrong("temperature", temperature.to_string(), problem)
        } else {
            Ok(())
        }
    }
}
