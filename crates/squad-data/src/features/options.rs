//! How contexts are cut into windows.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// `[CLS]` and two `[SEP]`.
const NUM_SPECIAL: usize = 3;

/// What `doc_stride` counts. Both conventions put the same number of tokens into a window.
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
    /// The tokens of the context that two neighbouring windows share: Hugging Face's `run_qa.py`. An answer may begin at
    /// any token of the context in any window.
    #[default]
    Overlap,
    /// The tokens of the context from one window's start to the next's: the original `run_squad.py` of Google, and
    /// NVIDIA's. A token of the context that is in several windows belongs to the one with most context around it
    /// ([`crate::Feature::max_context`]), and an answer may begin there only.
    ///
    /// Those scripts also cut questions to 64 tokens; here a question that is too long is an error under either
    /// convention. They take smaller steps where a question leaves less room than one step, which is an error here too.
    Step,
}

/// How contexts are cut into windows. All lengths are in tokens.
///
/// ```
/// use squad_data::{StrideKind, FeatureOptions};
///
/// let options = FeatureOptions { max_seq_length: 256, ..FeatureOptions::default() };
/// options.validate()?;
/// let wrong = FeatureOptions { max_seq_length: 64, ..FeatureOptions::default() };
/// assert!(wrong.validate().is_err());
///
/// // The windows of Google's run_squad.py at its defaults:
/// let google = FeatureOptions { stride: StrideKind::Step, ..FeatureOptions::default() };
/// google.validate()?;
/// # Ok::<(), squad_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureOptions {
    /// Longest window, `[CLS]`, question and both `[SEP]` included. Default 384.
    pub max_seq_length: usize,
    /// How far neighbouring windows overlap, or how far they are apart: see `stride`. Default 128.
    pub doc_stride: usize,
    /// What `doc_stride` counts. Default [`StrideKind::Overlap`].
    pub stride: StrideKind,
    /// Longest question; a longer one is an error, never cut. `None` (default) allows whatever leaves room for the
    /// context.
    pub max_query_length: Option<usize>,
}

impl Default for FeatureOptions {
    fn default() -> Self {
        Self {
            max_seq_length: 384,
            doc_stride: 128,
            stride: StrideKind::Overlap,
            max_query_length: None,
        }
    }
}

/// A window's part of the context.
pub(crate) struct Cut {
    /// Its tokens, counted from the context's first.
    pub(crate) tokens: Range<usize>,
    /// Those of them at which an answer may begin.
    pub(crate) max_context: Range<usize>,
}

impl FeatureOptions {
    /// Checks the options before any work.
    ///
    /// # Errors
    ///
    /// Lengths that leave no room for a context; an overlap that is not smaller than that room, so that windows would
    /// not move on; a step of 0, or one larger than that room, which would skip text. The room is `max_seq_length`
    /// less three special tokens and `max_query_length` (or one token of question).
    pub fn validate(&self) -> Result<(), Error> {
        let question = self.max_query_length.unwrap_or(1);
        let room = self
            .max_seq_length
            .saturating_sub(NUM_SPECIAL)
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
                "leaves no room for the context beside {NUM_SPECIAL} special tokens and {question} of the question; raise it"
            );
            return wrong("max_seq_length", self.max_seq_length, problem);
        }
        if room >= self.least_room() && self.step(room) > 0 {
            return Ok(());
        }
        let rule = match self.stride {
            StrideKind::Overlap => "the overlap of two windows must be smaller than",
            StrideKind::Step => {
                "the step from one window to the next must be at least 1 and at most"
            }
        };
        let problem = format!(
            "{rule} their room for the context, {room} tokens (max_seq_length {} less {NUM_SPECIAL} special tokens \
             and {question} of the question)",
            self.max_seq_length
        );
        wrong("doc_stride", self.doc_stride, problem)
    }

    /// The room for the context that several windows of one context need.
    fn least_room(&self) -> usize {
        match self.stride {
            StrideKind::Overlap => self.doc_stride.saturating_add(1),
            StrideKind::Step => self.doc_stride,
        }
    }

    /// From one window's start to the next's.
    fn step(&self, room: usize) -> usize {
        match self.stride {
            StrideKind::Overlap => room.saturating_sub(self.doc_stride),
            StrideKind::Step => self.doc_stride,
        }
    }

    /// The windows of a context of `num_context` tokens, beside a question of `num_question`.
    pub(crate) fn cut(
        &self,
        id: &str,
        num_question: usize,
        num_context: usize,
    ) -> Result<Vec<Cut>, Error> {
        let too_long = |limit| Error::QuestionTooLong {
            id: id.to_owned(),
            num_tokens: num_question,
            limit,
        };
        if let Some(limit) = self.max_query_length.filter(|&limit| num_question > limit) {
            return Err(too_long(format!("max_query_length is {limit}")));
        }
        let room = self
            .max_seq_length
            .saturating_sub(NUM_SPECIAL + num_question);
        if room == 0 || (num_context > room && room < self.least_room()) {
            let windows = match self.stride {
                StrideKind::Overlap => "overlap by",
                StrideKind::Step => "begin every",
            };
            return Err(too_long(format!(
                "max_seq_length {} then has room for {room} tokens of the context, where windows that {windows} \
                 doc_stride {} need at least {}",
                self.max_seq_length,
                self.doc_stride,
                self.least_room()
            )));
        }
        let step = self.step(room).max(1);
        let num_windows = 1 + num_context.saturating_sub(room).div_ceil(step);
        let window = |number: usize| number * step..(number * step + room).min(num_context);
        let windows: Vec<Range<usize>> = (0..num_windows).map(window).collect();
        let max_context = match self.stride {
            StrideKind::Overlap => windows.clone(),
            StrideKind::Step => max_context(&windows),
        };
        let cut = |(tokens, max_context)| Cut {
            tokens,
            max_context,
        };
        Ok(windows.into_iter().zip(max_context).map(cut).collect())
    }
}

/// For each window the tokens of which it has the maximum context (`_check_is_max_context` in Google's `run_squad.py`).
///
/// They follow each other, for two neighbours divide their common tokens at one place: as far as the earlier one's
/// middle it is ahead, because it began earlier and is not shorter; from there on it falls by one a token, and the
/// later one falls no faster.
fn max_context(windows: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut parts = Vec::with_capacity(windows.len());
    for (number, window) in windows.iter().enumerate() {
        let end = windows.get(number + 1).map_or(window.end, |next| {
            (next.start..window.end)
                .find(|&token| context_score(next, token) > context_score(window, token))
                .unwrap_or(window.end)
        });
        parts.push(start..end);
        start = end;
    }
    parts
}

/// `min(tokens on the left, tokens on the right) + 0.01 * length`, in hundredths. The script's floating-point sums differ
/// in the last bit for some scores that are equal (where `doc_stride` is a multiple of 101), and their parts have holes.
fn context_score(window: &Range<usize>, token: usize) -> usize {
    100 * (token - window.start).min(window.end - 1 - token) + window.len()
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
        };
        // Room for 33 tokens of the context.
        options.validate().err().map_or(String::new(), |error| {
            let message = error.to_string();
            assert!(message.contains("33 tokens") && message.starts_with("doc_stride = "));
            message
        })
    }

    #[test]
    fn each_convention_has_its_limits() {
        assert_eq!(message(0, StrideKind::Overlap), "");
        assert_eq!(message(32, StrideKind::Overlap), "");
        assert!(message(33, StrideKind::Overlap).contains("smaller than their room"));
        assert!(message(0, StrideKind::Step).contains("at least 1"));
        assert_eq!(message(1, StrideKind::Step), "");
        assert_eq!(message(33, StrideKind::Step), "");
        assert!(message(34, StrideKind::Step).contains("at most their room"));
        message(usize::MAX, StrideKind::Overlap);
        message(usize::MAX, StrideKind::Step);
    }

    #[test]
    fn a_question_that_leaves_less_than_a_step_is_refused() {
        let options = FeatureOptions {
            max_seq_length: 20,
            doc_stride: 10,
            stride: StrideKind::Step,
            max_query_length: None,
        };
        assert_eq!(options.cut("q", 7, 11).unwrap().len(), 2);
        assert_eq!(options.cut("q", 8, 9).unwrap().len(), 1);
        let message = options.cut("q", 8, 10).err().unwrap().to_string();
        assert!(
            message.contains("begin every doc_stride 10 need at least 10"),
            "{message}"
        );
    }

    #[test]
    fn each_token_begins_answers_where_it_has_most_context() {
        let options = FeatureOptions {
            max_seq_length: 14,
            doc_stride: 4,
            stride: StrideKind::Step,
            max_query_length: None,
        };
        // Windows 0..10, 4..14, 8..17. Of token 6 the first has 3 tokens on its right, the second 2 on its left; of
        // token 7 they have 2 and 3. Of token 10 the second has 3 and the third 2; of token 11 2 and 3.
        let cuts = options.cut("q", 1, 17).unwrap();
        let parts: Vec<_> = cuts.iter().map(|cut| cut.max_context.clone()).collect();
        assert_eq!(parts, [0..7, 7..11, 11..17]);
    }
}
