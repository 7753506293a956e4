//! Examples to windows, exactly as Hugging Face's tokenizers make them (truncation `only_second`, overlapping windows).

use std::collections::HashMap;
use std::ops::Range;

use rayon::prelude::*;

use crate::error::Error;
use crate::example::Example;
use crate::feature::Feature;
use crate::labels::answer_tokens;
use crate::tokenizer::{QaTokenizer, Tokens};

/// `[CLS]` and two `[SEP]`.
const NUM_SPECIAL: usize = 3;

/// Many more than any machine has threads, and a few hundred kilobytes of lists.
const QUESTIONS_AT_A_TIME: usize = 2048;

/// How contexts are cut into windows. All lengths are in tokens.
///
/// ```
/// use squad_data::WindowOptions;
///
/// let options = WindowOptions { max_seq_length: 256, ..WindowOptions::default() };
/// options.validate()?;
/// let wrong = WindowOptions { max_seq_length: 64, doc_stride: 128, max_query_length: None };
/// assert!(wrong.validate().is_err());
/// # Ok::<(), squad_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowOptions {
    /// Longest window, `[CLS]`, question and both `[SEP]` included. Default 384.
    pub max_seq_length: usize,
    /// Overlap: how many tokens of the context two neighbouring windows share. This is Hugging Face's meaning of the
    /// word; Google's and NVIDIA's scripts mean the step from one window to the next. Default 128.
    pub doc_stride: usize,
    /// Longest question; a longer one is an error, never cut. `None` (default) allows whatever leaves room for the
    /// context.
    pub max_query_length: Option<usize>,
}

impl Default for WindowOptions {
    fn default() -> Self {
        Self {
            max_seq_length: 384,
            doc_stride: 128,
            max_query_length: None,
        }
    }
}

impl WindowOptions {
    /// Checks the options before any work.
    ///
    /// # Errors
    ///
    /// Lengths that leave no room for a context, or an overlap that is not smaller than that room, so that windows
    /// would not move on. The room is `max_seq_length` less three special tokens and `max_query_length` (or one token
    /// of question).
    pub fn validate(&self) -> Result<(), Error> {
        let question = self.max_query_length.unwrap_or(1);
        let room = self
            .max_seq_length
            .saturating_sub(NUM_SPECIAL)
            .saturating_sub(question);
        if question == 0 {
            return Err(Error::Option {
                option: "max_query_length",
                value: "0".to_owned(),
                problem: "a question needs at least one token".to_owned(),
            });
        }
        if room == 0 {
            return Err(Error::Option {
                option: "max_seq_length",
                value: self.max_seq_length.to_string(),
                problem: format!(
                    "leaves no room for the context beside {NUM_SPECIAL} special tokens and {question} of the question; raise it"
                ),
            });
        }
        if self.doc_stride >= room {
            return Err(Error::Option {
                option: "doc_stride",
                value: self.doc_stride.to_string(),
                problem: format!(
                    "the overlap of two windows must be smaller than their room for the context, {room} tokens \
                     (max_seq_length {} less {NUM_SPECIAL} special tokens and {question} of the question)",
                    self.max_seq_length
                ),
            });
        }
        Ok(())
    }

    /// Where the windows of a context of `num_context` tokens begin and end, beside a question of `num_question`.
    fn cut(
        &self,
        id: &str,
        num_question: usize,
        num_context: usize,
    ) -> Result<Vec<Range<usize>>, Error> {
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
        if room == 0 || (num_context > room && self.doc_stride >= room) {
            return Err(too_long(format!(
                "max_seq_length {} then has room for {room} tokens of the context, where windows that overlap by \
                 doc_stride {} need at least {}",
                self.max_seq_length,
                self.doc_stride,
                self.doc_stride + 1
            )));
        }
        let step = room - self.doc_stride.min(room - 1);
        let num_windows = 1 + num_context.saturating_sub(room).div_ceil(step);
        let window = |number: usize| number * step..(number * step + room).min(num_context);
        Ok((0..num_windows).map(window).collect())
    }
}

/// Cuts every question and its context into windows, in the order of the examples and of the context.
///
/// Windows, ids and offsets are those of `transformers` with `truncation="only_second"`, `stride=doc_stride` and
/// `return_overflowing_tokens=True`, questions left-stripped. Each distinct context is tokenised once, on all of
/// rayon's threads; the result does not depend on their number.
///
/// Labels: the first gold answer, in the windows that hold all its tokens; 0 and 0, the position of `[CLS]`, elsewhere.
/// They are those of Hugging Face's `run_qa.py`, except that an answer that begins in the last token of the context
/// begins there, where that script lets it begin at the `[SEP]` behind, and that an answer which begins or ends with a
/// character that no token stands for takes the nearest token inside it.
///
/// See [`Feature`] for an example.
///
/// # Errors
///
/// Options that cannot work ([`WindowOptions::validate`]), a question too long for its window, and a text that the
/// tokenizer cannot express, naming the question's id: the first in the order of the examples, where in each piece of 2048
/// examples contexts come before questions.
pub fn make_features(
    examples: &[Example],
    tokenizer: &QaTokenizer,
    options: &WindowOptions,
) -> Result<Vec<Feature>, Error> {
    options.validate()?;
    let (distinct, context_of) = distinct_contexts(examples);
    let mut last_use = vec![0; distinct.len()];
    for (index, &context) in context_of.iter().enumerate() {
        last_use[context] = index;
    }
    let mut contexts: Vec<Tokens> = Vec::with_capacity(distinct.len());
    let mut features = Vec::with_capacity(examples.len());
    // A piece at a time, so that memory holds the windows and little else: a context's tokens from its first question
    // to its last. Errors are looked at in order, so that which one is told does not depend on the threads.
    for start in (0..examples.len()).step_by(QUESTIONS_AT_A_TIME) {
        let piece = start..examples.len().min(start + QUESTIONS_AT_A_TIME);
        let known = contexts.len();
        let met = distinct.partition_point(|&first| first < piece.end);
        let encoded: Vec<Result<Tokens, Error>> = distinct[known..met]
            .par_iter()
            .map(|&first| {
                let example = &examples[first];
                encode(tokenizer, example, "context", &example.context)
            })
            .collect();
        for tokens in encoded {
            contexts.push(tokens?);
        }
        let windows: Vec<Result<Vec<Feature>, Error>> = piece
            .clone()
            .into_par_iter()
            .map(|index| {
                let context = &contexts[context_of[index]];
                example_features(index, &examples[index], context, tokenizer, options)
            })
            .collect();
        for windows in windows {
            features.extend(windows?);
        }
        for index in piece {
            let context = context_of[index];
            if last_use[context] == index {
                contexts[context] = Tokens::default();
            }
        }
    }
    Ok(features)
}

/// The first example of each distinct context, and for each example the index of its context among those.
fn distinct_contexts(examples: &[Example]) -> (Vec<usize>, Vec<usize>) {
    let mut distinct = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    let mut previous: Option<(&Example, usize)> = None;
    let mut context_of = Vec::with_capacity(examples.len());
    for (index, example) in examples.iter().enumerate() {
        let context = match previous {
            // Questions of one paragraph follow each other, so that most texts need not be hashed.
            Some((last, context)) if std::sync::Arc::ptr_eq(&last.context, &example.context) => {
                context
            }
            _ => *known.entry(&example.context).or_insert_with(|| {
                distinct.push(index);
                distinct.len() - 1
            }),
        };
        previous = Some((example, context));
        context_of.push(context);
    }
    (distinct, context_of)
}

fn encode(
    tokenizer: &QaTokenizer,
    example: &Example,
    part: &'static str,
    text: &str,
) -> Result<Tokens, Error> {
    tokenizer.encode(text).map_err(|error| Error::Encode {
        id: example.id.clone(),
        part,
        problem: error.to_string(),
    })
}

fn example_features(
    index: usize,
    example: &Example,
    context: &Tokens,
    tokenizer: &QaTokenizer,
    options: &WindowOptions,
) -> Result<Vec<Feature>, Error> {
    let question = encode(tokenizer, example, "question", example.stripped_question())?;
    let answer = example
        .answers
        .first()
        .and_then(|answer| answer_tokens(answer, &context.offsets));
    let windows = options.cut(&example.id, question.ids.len(), context.ids.len())?;
    let feature = |window: Range<usize>| {
        let context_start = question.ids.len() + 2;
        let mut input_ids = Vec::with_capacity(context_start + window.len() + 1);
        input_ids.push(tokenizer.cls_id());
        input_ids.extend_from_slice(&question.ids);
        input_ids.push(tokenizer.sep_id());
        input_ids.extend_from_slice(&context.ids[window.clone()]);
        input_ids.push(tokenizer.sep_id());
        let inside = answer
            .clone()
            .filter(|answer| window.contains(answer.start()) && window.contains(answer.end()));
        let position = |token: usize| token - window.start + context_start;
        let (start_position, end_position) = inside.map_or((0, 0), |answer| {
            (position(*answer.start()), position(*answer.end()))
        });
        Feature {
            example: index,
            input_ids,
            context: context_start..context_start + window.len(),
            offsets: context.offsets[window].to_vec(),
            start_position,
            end_position,
        }
    };
    Ok(windows.into_iter().map(feature).collect())
}
