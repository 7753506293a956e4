//! Features concatenated to one sequence of tokens, without padding.

use std::ops::Range;

use crate::features::Feature;

/// A batch of features concatenated to one sequence of tokens, without padding.
///
/// ```
/// use squad_data::{Example, PackedBatch, QaTokenizer, FeatureOptions, make_features};
/// # use std::path::Path;
/// # let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tokenizer.json"));
/// let tokenizer = QaTokenizer::from_file(path)?;
/// let examples = [Example::new("q1", "who ate?", "the cat"), Example::new("q2", "who ate?", "the old cat ate")];
/// let features = make_features(&examples, &tokenizer, &FeatureOptions::default())?;
///
/// let batch = PackedBatch::new(&features, &[1, 0]);
/// assert_eq!(batch.lengths, [features[1].len(), features[0].len()]);
/// assert_eq!(batch.num_tokens(), features[0].len() + features[1].len());
/// assert_eq!(&batch.input_ids[batch.range(1)], features[0].input_ids);
/// # Ok::<(), squad_data::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackedBatch {
    /// Vocabulary ids, `[tokens]`.
    pub input_ids: Vec<u32>,
    /// Token types, `[tokens]`: for BERT 0 for `[CLS] question [SEP]`, 1 for `context [SEP]`.
    pub token_type_ids: Vec<u32>,
    /// Positions, `[tokens]`: from 0 in each feature.
    pub position_ids: Vec<u32>,
    /// Length of each feature in tokens, `[features]`.
    pub lengths: Vec<usize>,
    /// First token of the answer within its feature, `[features]`; 0, the position of `[CLS]`, if there is none.
    pub start_positions: Vec<usize>,
    /// Last token (inclusive) of the answer within its feature, `[features]`; 0 if there is none.
    pub end_positions: Vec<usize>,
    /// Index of each feature in the slice it was taken from, `[features]`.
    pub feature_indices: Vec<usize>,
    /// Running sums of `lengths`, `[features + 1]`: feature `i` has the tokens `cu_seqlens[i]..cu_seqlens[i + 1]`.
    pub cu_seqlens: Vec<usize>,
}

impl PackedBatch {
    /// Packs `features[i]` for each `i` of `indices`, in that order.
    ///
    /// # Panics
    ///
    /// If an index is out of bounds.
    pub fn new(features: &[Feature], indices: &[usize]) -> Self {
        let tokens = indices.iter().map(|&index| features[index].len()).sum();
        let mut batch = Self {
            input_ids: Vec::with_capacity(tokens),
            token_type_ids: Vec::with_capacity(tokens),
            position_ids: Vec::with_capacity(tokens),
            feature_indices: indices.to_vec(),
            cu_seqlens: vec![0],
            ..Self::default()
        };
        for feature in indices.iter().map(|&index| &features[index]) {
            batch.input_ids.extend_from_slice(&feature.input_ids);
            batch.token_type_ids.extend(feature.token_type_ids());
            batch.position_ids.extend((0u32..).take(feature.len()));
            batch.lengths.push(feature.len());
            batch.start_positions.push(feature.start_position);
            batch.end_positions.push(feature.end_position);
            batch.cu_seqlens.push(batch.input_ids.len());
        }
        batch
    }

    /// Number of tokens of all features.
    pub fn num_tokens(&self) -> usize {
        self.input_ids.len()
    }

    /// Number of features.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether the batch has no features.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Length of the longest feature in tokens; 0 if the batch is empty.
    pub fn max_length(&self) -> usize {
        self.lengths.iter().copied().max().unwrap_or(0)
    }

    /// The tokens of feature `index` of the batch.
    ///
    /// # Panics
    ///
    /// If `index` is out of bounds.
    pub fn range(&self, index: usize) -> Range<usize> {
        self.cu_seqlens[index]..self.cu_seqlens[index + 1]
    }

    /// Splits values of all tokens, `[tokens]`, for example logits, into those of each feature, in order.
    ///
    /// # Panics
    ///
    /// If the number of values is not the batch's number of tokens.
    pub fn unpack<'a, T>(&'a self, values: &'a [T]) -> impl ExactSizeIterator<Item = &'a [T]> + 'a {
        assert_eq!(
            values.len(),
            self.num_tokens(),
            "unpack needs one value for each token of the batch"
        );
        (0..self.len()).map(|index| &values[self.range(index)])
    }
}
