use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};

/// Where the windows of a packed batch begin and end.
///
/// Cheap to clone: the lengths are shared.
///
/// ```
/// let lengths = fused_ops::CuSeqlens::new(&[3, 1, 4]);
/// assert_eq!(lengths.tokens(), 8);
/// assert_eq!(lengths.range(2), 4..8);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CuSeqlens {
    /// Running sums: window `i` is `bounds[i]..bounds[i + 1]`.
    bounds: Arc<[usize]>,
}

impl CuSeqlens {
    /// Lengths in tokens, in the order in which the windows lie in the packed sequence.
    pub fn new(lengths: &[usize]) -> Self {
        let sums = lengths.iter().scan(0, |sum, length| {
            *sum += length;
            Some(*sum)
        });
        Self {
            bounds: std::iter::once(0).chain(sums).collect(),
        }
    }

    /// The number of windows.
    pub fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    /// Whether there is no window at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of tokens in all windows.
    pub fn tokens(&self) -> usize {
        self.bounds[self.len()]
    }

    /// The tokens of one window, as positions in the packed sequence.
    ///
    /// # Panics
    /// If there is no such window.
    pub fn range(&self, window: usize) -> Range<usize> {
        self.bounds[window]..self.bounds[window + 1]
    }

    /// The token ranges of all windows, in order.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = Range<usize>> + '_ {
        self.bounds.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// The longest window's length, 0 without windows.
    pub fn max(&self) -> usize {
        self.ranges().map(|range| range.len()).max().unwrap_or(0)
    }

    /// For each place of the padded `[windows, max]` form, the packed token it holds; places of
    /// padding name the window's first token and must be masked by the caller.
    pub(crate) fn padded_indices(&self, device: &Device) -> Tensor<1, Int> {
        let max = self.max();
        let indices: Vec<i64> = self
            .ranges()
            .flat_map(|range| {
                (0..max)
                    .map(move |i| range.start as i64 + if i < range.len() { i as i64 } else { 0 })
            })
            .collect();
        ints(indices, device)
    }

    /// For each packed token, its place in the padded `[windows, max]` form.
    pub(crate) fn packed_indices(&self, device: &Device) -> Tensor<1, Int> {
        let max = self.max();
        let indices: Vec<i64> = self
            .ranges()
            .enumerate()
            .flat_map(|(window, range)| (0..range.len()).map(move |i| (window * max + i) as i64))
            .collect();
        ints(indices, device)
    }

    /// `[windows, max]`, true where the padded form has padding.
    pub(crate) fn padding_mask(&self, device: &Device) -> Tensor<2, burn::tensor::Bool> {
        let max = self.max();
        let mask: Vec<bool> = self
            .ranges()
            .flat_map(|range| (0..max).map(move |i| i >= range.len()))
            .collect();
        Tensor::from_data(TensorData::new(mask, [self.len(), max]), device)
    }
}

pub(crate) fn ints(values: Vec<i64>, device: &Device) -> Tensor<1, Int> {
    let len = values.len();
    Tensor::from_data(TensorData::new(values, [len]), device)
}
