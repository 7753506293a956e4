//! Examples to features, on all of rayon's threads.

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::error::Error;
use crate::example::Example;
use crate::features::feature::Feature;
use crate::features::labels::answer_tokens;
use crate::features::options::{FeatureOptions, LabelAnswer, LongQuestions};
use crate::features::tokenizer::{Encoding, QaTokenizer};
use crate::features::windows::{ContextWindow, context_windows, from_end, max_question};
use crate::memory::{memory_limit, readable_size};

/// Far more than there are threads, and a few hundred kilobytes of lists.
const EXAMPLES_PER_CHUNK: usize = 2048;

/// Tokenizes every question and its context, cuts the context into overlapping windows and labels them.
///
/// Features follow the order of the examples and, within one, of the context. Ids, offsets and windows are those of
/// `transformers` with `truncation="only_second"`, `stride=doc_stride` and `return_overflowing_tokens=True`, with
/// questions left-stripped; with [`crate::StrideKind::Step`] windows begin where those of Google's `run_squad.py` do.
/// Each distinct context is tokenized once. The result does not depend on the number of threads.
///
/// Labels point at the first gold answer that has a place, in features that hold all its tokens, and at the first token,
/// `[CLS]` (0, 0), in the others; with [`LabelAnswer::Any`] at the first gold answer that the feature holds.
/// They are those of Hugging Face's `run_qa.py` with two exceptions:
///
/// - An answer that begins in the context's last token is labelled there. `run_qa.py` labels the special token behind it.
/// - If no token stands for an answer's first or last character, the label is the nearest token inside the answer.
///
/// See [`Feature`] for an example.
///
/// # Errors
///
/// - The options cannot work ([`FeatureOptions::validate`]).
/// - A question is too long (with [`LongQuestions::Error`]), a text is too long to be tokenized in memory, or the
///   vocabulary cannot express it. The message names the question's id. Of several such errors the first is returned, in
///   the order of the examples; in each run of 2048 examples contexts come before questions.
pub fn make_features(
    examples: &[Example],
    tokenizer: &QaTokenizer,
    options: &FeatureOptions,
) -> Result<Vec<Feature>, Error> {
    make_features_with_progress(examples, tokenizer, options, &mut |_| {})
}

/// As [`make_features`]; calls `progress` with the number of finished examples, at last with all of them.
///
/// ```
/// use squad_data::{Example, FeatureOptions, QaTokenizer, make_features_with_progress};
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
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<Feature>, Error> {
    options.validate_with(tokenizer.pair_template().num_special_tokens())?;
    let memory = TokenizerMemory(memory_limit());
    let (distinct, context_of) = distinct_contexts(examples);
    let mut last_use = vec![0; distinct.len()];
    for (index, &context) in context_of.iter().enumerate() {
        last_use[context] = index;
    }
    let mut contexts: Vec<Encoding> = Vec::with_capacity(distinct.len());
    let mut features = Vec::with_capacity(examples.len());
    // Working in chunks keeps little in memory besides the features: a context's encoding lives from its first question
    // to its last. Errors are looked at in order, so the returned one does not depend on the threads.
    for start in (0..examples.len()).step_by(EXAMPLES_PER_CHUNK) {
        let chunk = start..examples.len().min(start + EXAMPLES_PER_CHUNK);
        let met = distinct.partition_point(|&first| first < chunk.end);
        let new = &distinct[contexts.len()..met];
        contexts.extend(encode_contexts(examples, new, tokenizer, &memory)?);
        let made: Vec<Result<Vec<Feature>, Error>> = chunk
            .clone()
            .into_par_iter()
            .map(|index| {
                let Example { id, question, .. } = &examples[index];
                memory.check(id, "question", question, memory.bytes_of_each_thread())?;
                let context = &contexts[context_of[index]];
                example_features(index, &examples[index], context, tokenizer, options)
            })
            .collect();
        for of_example in made {
            features.extend(of_example?);
        }
        progress(chunk.end);
        for index in chunk {
            let context = context_of[index];
            if last_use[context] == index {
                contexts[context] = Encoding::default();
            }
        }
    }
    Ok(features)
}

/// The memory that tokenizing may take: measured, 300 bytes for each byte of a text.
struct TokenizerMemory(Option<u64>);

impl TokenizerMemory {
    /// How long a text can be.
    fn bytes(&self) -> u64 {
        const BYTES_PER_BYTE: u64 = 512;
        self.0.map_or(u64::MAX, |limit| limit / BYTES_PER_BYTE)
    }

    /// How long texts can be if each thread tokenizes one.
    fn bytes_of_each_thread(&self) -> u64 {
        self.bytes() / rayon::current_num_threads() as u64
    }

    fn check(&self, id: &str, part: &'static str, text: &str, most: u64) -> Result<(), Error> {
        let length = text.len() as u64;
        if length <= most {
            return Ok(());
        }
        Err(Error::Encode {
            id: id.into(),
            part,
            problem: format!(
                "it has {}; in the {} of memory that this process can have, at most {} can be tokenized: shorten it",
                readable_size(length),
                readable_size(self.0.unwrap_or(u64::MAX)),
                readable_size(most)
            ),
        })
    }
}

/// The index of the first example of each distinct context, and for each example the index of its context among these.
fn distinct_contexts(examples: &[Example]) -> (Vec<usize>, Vec<usize>) {
    let mut distinct = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    let mut previous: Option<(&Example, usize)> = None;
    let mut context_of = Vec::with_capacity(examples.len());
    for (index, example) in examples.iter().enumerate() {
        let context = match previous {
            // Questions of one paragraph follow each other, so most texts need not be hashed.
            Some((last, context)) if Arc::ptr_eq(&last.context, &example.context) => context,
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

/// Tokenizes the contexts of the examples with these indices.
fn encode_contexts(
    examples: &[Example],
    indices: &[usize],
    tokenizer: &QaTokenizer,
    memory: &TokenizerMemory,
) -> Result<Vec<Encoding>, Error> {
    let encode = |index: usize| {
        let example = &examples[index];
        encode(tokenizer, example, "context", &example.context)
    };
    let is_short =
        |index: usize| examples[index].context.len() as u64 <= memory.bytes_of_each_thread();
    let short: Vec<Option<Result<Encoding, Error>>> = indices
        .par_iter()
        .map(|&index| is_short(index).then(|| encode(index)))
        .collect();
    let encoded = short.into_iter().zip(indices).map(|(encoding, &index)| {
        // A long text is tokenized alone.
        encoding.unwrap_or_else(|| {
            let Example { id, context, .. } = &examples[index];
            memory.check(id, "context", context, memory.bytes())?;
            encode(index)
        })
    });
    encoded.collect()
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
    let question = if options.strip_questions {
        example.stripped_question()
    } else {
        &example.question
    };
    let mut question = encode(tokenizer, example, "question", question)?;
    let template = tokenizer.pair_template();
    let special = template.num_special_tokens();
    let longest = max_question(options, special, context.ids.len());
    if question.ids.len() > longest {
        match options.long_questions {
            LongQuestions::Error => {}
            LongQuestions::Truncate => question.ids.truncate(longest),
            LongQuestions::Skip => return Ok(Vec::new()),
        }
    }
    let located = example.answers().iter().filter(|a| a.start.is_some());
    let labels: Vec<_> = match options.label_answer {
        LabelAnswer::First => located
            .take(1)
            .map(|a| answer_tokens(a, &context.offsets))
            .collect(),
        LabelAnswer::Any => located
            .map(|a| answer_tokens(a, &context.offsets))
            .collect(),
    };
    let mut windows = context_windows(
        options,
        &example.id,
        special,
        question.ids.len(),
        context.ids.len(),
    )?;
    if tokenizer.cuts_from_end() {
        windows = from_end(windows, context.ids.len());
    }
    let context_start = template.context_start(question.ids.len());
    let feature = |window: ContextWindow| {
        let tokens = window.tokens;
        let inside = labels
            .iter()
            .flatten()
            .find(|answer| tokens.contains(answer.start()) && tokens.contains(answer.end()));
        let position = |token: usize| token - tokens.start + context_start;
        let (start_position, end_position) = inside.map_or((0, 0), |answer| {
            (position(*answer.start()), position(*answer.end()))
        });
        Feature {
            example_index: index,
            input_ids: template.input_ids(&question.ids, &context.ids[tokens.clone()]),
            template: Arc::clone(template),
            context: context_start..context_start + tokens.len(),
            max_context: position(window.max_context.start)..position(window.max_context.end),
            offsets: context.offsets[tokens.clone()].to_vec(),
            word_starts: context.word_starts[tokens.clone()].to_vec(),
            start_position,
            end_position,
        }
    };
    Ok(windows.into_iter().map(feature).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_takes_all_memory_is_refused() {
        let memory = TokenizerMemory(Some(1 << 20));
        assert_eq!(memory.bytes(), 2048);
        let check = |length| memory.check("q1", "context", &"x".repeat(length), memory.bytes());
        check(2048).unwrap();
        let message = check(2049).unwrap_err().to_string();
        for part in ["\"q1\"", "context", "2.0 KiB", "1.0 MiB"] {
            assert!(message.contains(part), "{message}");
        }
        assert!(TokenizerMemory(None).bytes() > 1 << 60);
    }
}
