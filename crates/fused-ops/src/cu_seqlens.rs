use std::ops::Range;
use std::sync::{Arc, OnceLock};

use burn::tensor::{Bool, Device, Int, Tensor};

use crate::upload::upload_ints;

/// Cumulative sequence lengths: where the features of a packed batch begin and end, as FlashAttention's `cu_seqlens`.
///
/// Cloning is cheap: clones share the numbers.
///
/// ```
/// let cu_seqlens = fused_ops::CuSeqlens::new(&[3, 1, 4]);
/// assert_eq!(cu_seqlens.tokens(), 8);
/// assert_eq!(cu_seqlens.range(2), 4..8);
/// ```
#[derive(Clone, Debug)]
pub struct CuSeqlens(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Feature `i` is `offsets[i]..offsets[i + 1]`.
    offsets: Vec<usize>,
    /// Copied once to the first device that needs them.
    padded: OnceLock<PaddedForm>,
    #[cfg(feature = "tch")]
    on_gpu: crate::backend::libtorch::CuSeqlensOnGpu,
}

/// How the padded form and the packed one refer to each other, on a device.
#[derive(Clone, Debug)]
struct PaddedForm {
    device: Device,
    /// `[features * max_seqlen]`
    padded_indices: Tensor<1, Int>,
    /// `[tokens]`
    packed_indices: Tensor<1, Int>,
    /// `[features, max_seqlen]`
    padding_mask: Tensor<2, Bool>,
}

impl PartialEq for CuSeqlens {
    fn eq(&self, other: &Self) -> bool {
        self.0.offsets == other.0.offsets
    }
}

impl Eq for CuSeqlens {}

impl CuSeqlens {
    /// From the features' lengths in tokens, in the order in which the features lie in the batch.
    pub fn new(lengths: &[usize]) -> Self {
        let sums = lengths.iter().scan(0, |sum, length| {
            *sum += length;
            Some(*sum)
        });
        Self(Arc::new(Shared {
            offsets: std::iter::once(0).chain(sums).collect(),
            padded: OnceLock::new(),
            #[cfg(feature = "tch")]
            on_gpu: Default::default(),
        }))
    }

    /// The number of features.
    pub fn len(&self) -> usize {
        self.0.offsets.len() - 1
    }

    /// Whether there is no feature.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of tokens of all features.
    pub fn tokens(&self) -> usize {
        self.0.offsets[self.len()]
    }

    /// The `len() + 1` cumulative lengths, from 0 to `tokens()`.
    pub fn offsets(&self) -> &[usize] {
        &self.0.offsets
    }

    /// The tokens of one feature, as positions in the packed batch.
    ///
    /// # Panics
    /// If there is no such feature.
    pub fn range(&self, feature: usize) -> Range<usize> {
        self.0.offsets[feature]..self.0.offsets[feature + 1]
    }

    /// The token ranges of all features, in order.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = Range<usize>> + '_ {
        self.0.offsets.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// The length of the longest feature, 0 without features.
    pub fn max_seqlen(&self) -> usize {
        self.ranges().map(|range| range.len()).max().unwrap_or(0)
    }

    /// Copies for kernels that take libtorch's tensors.
    #[cfg(feature = "tch")]
    pub(crate) fn on_gpu(&self) -> &crate::backend::libtorch::CuSeqlensOnGpu {
        &self.0.on_gpu
    }

    /// The position of each packed token in the padded form.
    pub(crate) fn positions_in_padded(&self) -> impl Iterator<Item = usize> + '_ {
        let max = self.max_seqlen();
        let ranges = self.ranges().enumerate();
        ranges.flat_map(move |(feature, range)| (0..range.len()).map(move |i| feature * max + i))
    }

    /// `[features * max_seqlen]`: the packed token at each position of the padded form. Padding refers to the feature's
    /// first token; the caller must mask it.
    pub(crate) fn padded_indices(&self, device: &Device) -> Tensor<1, Int> {
        self.padded_form(device).padded_indices
    }

    /// `[tokens]`: the position of each packed token in the padded form.
    pub(crate) fn packed_indices(&self, device: &Device) -> Tensor<1, Int> {
        self.padded_form(device).packed_indices
    }

    /// `[features, max_seqlen]`: true at padding.
    pub(crate) fn padding_mask(&self, device: &Device) -> Tensor<2, Bool> {
        self.padded_form(device).padding_mask
    }

    fn padded_form(&self, device: &Device) -> PaddedForm {
        let form = self.0.padded.get_or_init(|| self.upload(device));
        if form.device == *device {
            form.clone()
        } else {
            self.upload(device)
        }
    }

    fn upload(&self, device: &Device) -> PaddedForm {
        let max = self.max_seqlen();
        let positions = || {
            self.ranges()
                .flat_map(|range| (0..max).map(move |i| (range.clone(), i)))
        };
        let padded =
            positions().map(|(range, i)| range.start + if i < range.len() { i } else { 0 });
        let padding = positions().map(|(range, i)| usize::from(i >= range.len()));
        let packed = self.positions_in_padded();
        let parts: [Vec<usize>; 3] = [padded.collect(), packed.collect(), padding.collect()];
        let [padded_indices, packed_indices, padding] = upload_ints(
            parts.each_ref().map(|part| part.iter().map(|n| *n as i64)),
            device,
        );
        PaddedForm {
            device: device.clone(),
            padded_indices,
            packed_indices,
            padding_mask: padding.equal_elem(1).reshape([self.len(), max]),
        }
    }
}
