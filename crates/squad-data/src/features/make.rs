//! Examples to windows: as Hugging Face's tokenizers make them (truncation `only_second`, overlapping windows), or with
//! the steps of Google's `run_squad.py`.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::error::Error;
use crate::example::Example;
use crate::features::feature::Feature;
use crate::features::labels::answer_tokens;
use crate::features::options::{Cut, FeatureOptions};
use crate::features::tokenizer::{Encoding, QaTokenizer};

/// Many more than any machine has threads, and a few hundred kilobytes of lists.
const QUESTIONS_AT_A_TIME: usize = 2048;

/// Cuts every question and its context into windows, in the order of the examples and of the context.
///
/// Windows, ids and offsets are those of `transformers` with `truncation="only_second"`, `stride=doc_stride` and
/// `return_overflowing_tokens=True`, questions left-stripped; under [`crate::StrideKind::Step`] the windows begin where
/// those of Google's `run_squad.py` do. Each distinct context is tokenised once, on all of
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
/// Options that cannot work ([`FeatureOptions::validate`]), a question too long for its window, and a text that the
/// tokenizer cannot express, naming the question's id: the first in the order of the examples, where in each piece of 2048
/// examples contexts come before questions.
pub fn make_features(
    examples: &[Example],
    tokenizer: &QaTokenizer,
    options: &FeatureOptions,
) -> Result<Vec<Feature>, Error> {
    make_features_with_progress(examples, tokenizer, options, &mut |_| {})
}

/// As [`make_features`]; `done` is told now and then how many examples are finished, at last all of them.
///
/// ```
/// use squad_data::{Example, QaTokenizer, FeatureOptions, make_features_with_progress};
/// # use std::path::Path;
/// # let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tokenizer.json"));
/// let tokenizer = QaTokenizer::from_file(path)?;
/// let examples = [Example::new("q1", "who ate?", "the old cat ate")];
///
/// let mut finished = 0;
/// make_features_with_progress(&examples, &tokenizer, &FeatureOptions::default(), &mut |done| finished = done)?;
/// assert_eq!(finished, 1);
/// # Ok::<(), squad_data::Error>(())
/// ```
///
/// # Errors
///
/// As [`make_features`].
pub fn make_features_with_progress(
    examples: &[Example],
    tokenizer: &QaTokenizer,
    options: &FeatureOptions,
    done: &mut dyn FnMut(usize),
) -> Result<Vec<Feature>, Error> {
    options.validate()?;
    let (distinct, context_of) = distinct_contexts(examples);
    let mut last_use = vec![0; distinct.len()];
    for (index, &context) in context_of.iter().enumerate() {
        last_use[context] = index;
    }
    let mut contexts: Vec<Encoding> = Vec::with_capacity(distinct.len());
    let mut features = Vec::with_capacity(examples.len());
    // A piece at a time, so that memory holds the windows and little else: a context's tokens from its first question
    // to its last. Errors are looked at in order, so that which one is told does not depend on the threads.
    for start in (0..examples.len()).step_by(QUESTIONS_AT_A_TIME) {
        let piece = start..examples.len().min(start + QUESTIONS_AT_A_TIME);
        let known = contexts.len();
        let met = distinct.partition_point(|&first| first < piece.end);
        let encoded: Vec<Result<Encoding, Error>> = distinct[known..met]
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
        done(piece.end);
        for index in piece {
            let context = context_of[index];
            if last_use[context] == index {
                contexts[context] = Encoding::default();
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
) -> Result<Encoding, Error> {
    tokenizer.encode(text).map_err(|error| Error::Encode {
        id: example.id.clone(),
        part,
        problem: error.to_string(),
    })
}

fn example_features(
    index: usize,
    example: &Example,
    context: &Encoding,
    tokenizer: &QaTokenizer,
    options: &FeatureOptions,
) -> Result<Vec<Feature>, Error> {
    let question = encode(tokenizer, example, "question", example.stripped_question())?;
    let answer = example
        .answers
        .first()
        .and_then(|answer| answer_tokens(answer, &context.offsets));
    let windows = options.cut(&example.id, question.ids.len(), context.ids.len())?;
    let feature = |cut: Cut| {
        let window = cut.tokens;
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
            example_index: index,
            input_ids,
            context: context_start..context_start + window.len(),
            max_context: position(cut.max_context.start)..position(cut.max_context.end),
            offsets: context.offsets[window.clone()].to_vec(),
            start_position,
            end_position,
        }
    };
    Ok(windows.into_iter().map(feature).collect())
}
