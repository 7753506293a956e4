//! One window of a question and its context.

use std::ops::Range;

/// One window: `[CLS] question [SEP] part of the context [SEP]`, never padded.
///
/// ```
/// use squad_data::{Example, QaTokenizer, FeatureOptions, make_features};
/// # use std::path::Path;
/// # let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tokenizer.json"));
/// let tokenizer = QaTokenizer::from_file(path)?;
/// let example = Example::new("q1", "who ate?", "the old cat ate");
/// let features = make_features(&[example.clone()], &tokenizer, &FeatureOptions::default())?;
///
/// let feature = &features[0];
/// assert_eq!(feature.len(), 1 + feature.num_question_tokens() + 1 + feature.context.len() + 1);
/// let last = feature.context.end - 1;
/// assert_eq!(example.slice(feature.char_span(last, last).unwrap()), Some("ate"));
/// # Ok::<(), squad_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Index of the question among the examples.
    pub example_index: usize,
    /// Vocabulary ids, `[tokens]`.
    pub input_ids: Vec<u32>,
    /// Where the context's tokens stand in the window, in tokens. `[SEP]` follows.
    pub context: Range<usize>,
    /// Where in `context` an answer may begin, in tokens of the window: all of `context` under
    /// [`crate::StrideKind::Overlap`]; under [`crate::StrideKind::Step`] the tokens of which no other window has more
    /// context, so that each token of the text is in the `max_context` of one window.
    pub max_context: Range<usize>,
    /// For each token in `context`, in order, its range in the example's context in Unicode code points,
    /// `[context.len()]`.
    pub offsets: Vec<(u32, u32)>,
    /// First token of the first gold answer; 0, which is `[CLS]`, where the window does not hold the whole answer.
    pub start_position: usize,
    /// Last token (inclusive) of the first gold answer; 0 where the window does not hold the whole answer.
    pub end_position: usize,
}

impl Feature {
    /// Length of the window in tokens, special tokens included.
    pub fn len(&self) -> usize {
        self.input_ids.len()
    }

    /// Whether the window has no token. Windows of [`crate::make_features`] have at least three.
    pub fn is_empty(&self) -> bool {
        self.input_ids.is_empty()
    }

    /// Bytes that the window takes in memory: the structure itself and what its vectors have reserved.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.input_ids.capacity() * size_of::<u32>()
            + self.offsets.capacity() * size_of::<(u32, u32)>()
    }

    /// Number of tokens of the question.
    pub fn num_question_tokens(&self) -> usize {
        self.context.start.saturating_sub(2)
    }

    /// Whether the window holds the whole gold answer, so that its labels point at it rather than at `[CLS]`.
    pub fn has_answer(&self) -> bool {
        self.start_position != 0
    }

    /// Token type of each token, `[tokens]`: 0 for `[CLS] question [SEP]`, 1 for `context [SEP]`.
    pub fn token_type_ids(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        (0..self.len()).map(|position| u32::from(position >= self.context.start))
    }

    /// The Unicode code points of the context from token `start` to token `end` (inclusive, positions in the window),
    /// or `None` where they are not both tokens of the context in this order.
    pub fn char_span(&self, start: usize, end: usize) -> Option<Range<usize>> {
        let first = self.offsets.get(start.checked_sub(self.context.start)?)?.0 as usize;
        let last = self.offsets.get(end.checked_sub(self.context.start)?)?.1 as usize;
        (start <= end && first <= last).then_some(first..last)
    }
}
