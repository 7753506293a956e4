use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

/// Cumulative sequence lengths: where the features of a packed batch begin and end, as FlashAttention's `cu_seqlens`.
///
/// Cloning is cheap: clones share the numbers.
///
/// ```
/// let cu_seqlens = fused_ops::CuSeqlens::new(&[3, 1, 4]);
/// assert_eq!(cu_seqlens.tokens(), 8);
/// assert_eq!(cu_seqlens.range(2), 4..8);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CuSeqlens {
    /// Feature `i` is `offsets[i]..offsets[i + 1]`.
    offsets: Arc<[usize]>,
}

impl CuSeqlens {
    /// From the features' lengths in tokens, in the order in which the features lie in the batch.
    pub fn new(lengths: &[usize]) -> Self {
        let sums = lengths.iter().scan(0, |sum, length| {
            *sum += length;
            Some(*sum)
        });
        Self {
            offsets: std::iter::once(0).chain(sums).collect(),
        }
    }

    /// The number of features.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is no feature.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of tokens of all features.
    pub fn tokens(&self) -> usize {
        self.offsets[self.len()]
    }

    /// The `len() + 1` cumulative lengths, from 0 to `tokens()`.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// The tokens of one feature, as positions in the packed batch.
    ///
    /// # Panics
    /// If there is no such feature.
    pub fn range(&self, feature: usize) -> Range<usize> {
        self.offsets[feature]..self.offsets[feature + 1]
    }

    /// The token ranges of all features, in order.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = Range<usize>> + '_ {
        self.offsets.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// The length of the longest feature, 0 without features.
    pub fn max_seqlen(&self) -> usize {
        self.ranges().map(|range| range.len()).max().unwrap_or(0)
    }

    /// `[features * max_seqlen]`: the packed token at each position of the padded form. Padding refers to the feature's
    /// first token; the caller must mask it.
    pub(crate) fn padded_indices(&self, device: &Device) -> Tensor<1, Int> {
        let max = self.max_seqlen();
        let indices = self.ranges().flat_map(|range| {
            (0..max).map(move |i| range.start + if i < range.len() { i } else { 0 })
        });
        int_tensor(indices, device)
    }

    /// `[tokens]`: the position of each packed token in the padded form.
    pub(crate) fn packed_indices(&self, device: &Device) -> Tensor<1, Int> {
        let max = self.max_seqlen();
        let indices = self
            .ranges()
            .enumerate()
            .flat_map(|(feature, range)| (0..range.len()).map(move |i| feature * max + i));
        int_tensor(indices, device)
    }

    /// `[features, max_seqlen]`: true at padding.
    pub(crate) fn padding_mask(&self, device: &Device) -> Tensor<2, Bool> {
        let max = self.max_seqlen();
        let mask: Vec<bool> = self
            .ranges()
            .flat_map(|range| (0..max).map(move |i| i >= range.len()))
            .collect();
        Tensor::from_data(TensorData::new(mask, [self.len(), max]), device)
    }
}

/// A vector of indices on a device.
pub(crate) fn int_tensor(values: impl Iterator<Item = usize>, device: &Device) -> Tensor<1, Int> {
    let values: Vec<i64> = values.map(|value| value as i64).collect();
    let len = values.len();
    Tensor::from_data(TensorData::new(values, [len]), device)
}
