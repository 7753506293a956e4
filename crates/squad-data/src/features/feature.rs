//! One feature.

use std::ops::Range;
use std::sync::Arc;

use crate::features::pair_template::PairTemplate;

/// A question with one window of its context, in BERT's form `[CLS] question [SEP] part of the context [SEP]`, never
/// padded. The tokenizer's [`PairTemplate`] says which special tokens there are.
///
/// A context that is too long for one feature becomes several, whose windows cover it.
///
/// ```
/// use squad_data::{Example, FeatureOptions, QaTokenizer, make_features};
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
    /// Index of the question in the slice of examples.
    pub example_index: usize,
    /// Vocabulary ids, `[tokens]`.
    pub input_ids: Vec<u32>,
    /// The special tokens around question and context.
    pub template: Arc<PairTemplate>,
    /// The positions of the context's tokens. Special tokens follow.
    pub context: Range<usize>,
    /// The positions, within `context`, at which an answer may begin.
    ///
    /// All of `context` with [`crate::StrideKind::Overlap`]. With [`crate::StrideKind::Step`] the tokens of which no
    /// other feature has more context, so that each token of the text is in the `max_context` of one feature.
    pub max_context: Range<usize>,
    /// For each token in `context` its range in the example's context in Unicode code points, `[context.len()]`.
    pub offsets: Vec<(u32, u32)>,
    /// For each token in `context` whether it begins a word of the pre-tokenizer, `[context.len()]`.
    pub word_starts: Vec<bool>,
    /// Position of the labelled gold answer's first token; 0, the position of the first special token, if the feature
    /// does not hold the whole answer.
    pub start_position: usize,
    /// Position of the labelled gold answer's last token (inclusive); 0 if the feature does not hold the whole answer.
    pub end_position: usize,
}

impl Feature {
    /// Number of tokens, special tokens included.
    pub fn len(&self) -> usize {
        self.input_ids.len()
    }

    /// Whether there are no tokens. Features of [`crate::make_features`] have at least three.
    pub fn is_empty(&self) -> bool {
        self.input_ids.is_empty()
    }

    /// Bytes of memory that the feature takes: the structure and the capacity of its vectors.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.input_ids.capacity() * size_of::<u32>()
            + self.offsets.capacity() * size_of::<(u32, u32)>()
            + self.word_starts.capacity()
    }

    /// Number of tokens of the question.
    pub fn num_question_tokens(&self) -> usize {
        self.template.num_question(self.context.start)
    }

    /// Whether the feature holds the whole gold answer, so that its labels point at it and not at `[CLS]`.
    pub fn has_answer(&self) -> bool {
        self.start_position != 0
    }

    /// Token types, `[tokens]`: for BERT 0 for `[CLS] question [SEP]`, 1 for `context [SEP]`.
    ///
    /// Padding that a caller has put behind the last token has that token's type.
    pub fn token_type_ids(&self) -> impl Iterator<Item = u32> + '_ {
        let (question, context) = (self.num_question_tokens(), self.context.len());
        let padding = std::iter::repeat(self.template.last_type());
        let types = self.template.token_type_ids(question, context);
        types.chain(padding).take(self.len())
    }

    /// The context's Unicode code points from the token at position `start` to the one at `end` (inclusive).
    ///
    /// `None` if `end` comes before `start` or a position is outside `context`.
    pub fn char_span(&self, start: usize, end: usize) -> Option<Range<usize>> {
        let first = self.offsets.get(start.checked_sub(self.context.start)?)?.0 as usize;
        let last = self.offsets.get(end.checked_sub(self.context.start)?)?.1 as usize;
        (start <= end && first <= last).then_some(first..last)
    }
}
