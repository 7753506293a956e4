//! The span loss of extractive question answering.

#[cfg(kernels)]
mod function;
#[cfg(kernels)]
mod kernel;
#[cfg(feature = "tch")]
mod libtorch;

use burn::tensor::{Tensor, activation::log_softmax};

use crate::cu_seqlens::CuSeqlens;
use crate::upload::upload_ints;

/// The span loss of extractive question answering (Devlin et al. 2018, section 4.2), summed over
/// features: the mean of the cross-entropies of the start and of the end position.
///
/// `logits` is `[tokens, 2]` (start, end); `start_positions` and `end_positions` count from each
/// feature's first token; the result is `[1]`. Divide by the number of features for the mean that
/// Hugging Face reports. Unlike there, the softmax runs over each feature's own tokens, without
/// padding.
///
/// # Panics
/// If the logits are not those of all tokens, a position lies outside its feature, or there is not one position per feature.
pub fn span_loss(
    logits: Tensor<2>,
    cu_seqlens: &CuSeqlens,
    start_positions: &[usize],
    end_positions: &[usize],
) -> Tensor<1> {
    let shape = [cu_seqlens.tokens(), 2];
    assert_eq!(logits.dims(), shape, "logits of all tokens");
    for positions in [start_positions, end_positions] {
        assert_eq!(
            cu_seqlens.len(),
            positions.len(),
            "one position per feature"
        );
        for (range, position) in cu_seqlens.ranges().zip(positions) {
            assert!(*position < range.len(), "position outside its feature");
        }
    }
    #[cfg(kernels)]
    if crate::backend::is_supported(&logits) {
        let args = kernel::SpanLoss {
            cu_seqlens: cu_seqlens.clone(),
            start_positions: start_positions.into(),
            end_positions: end_positions.into(),
            #[cfg(feature = "tch")]
            device: logits.device().without_autodiff(),
        };
        return crate::backend::apply1(logits, args);
    }
    reference(logits, cu_seqlens, start_positions, end_positions)
}

/// [`span_loss`] from Burn primitives.
pub fn reference(
    logits: Tensor<2>,
    cu_seqlens: &CuSeqlens,
    start_positions: &[usize],
    end_positions: &[usize],
) -> Tensor<1> {
    let (features, device) = (cu_seqlens.len(), logits.device());
    let padded = pad_span_logits(logits, cu_seqlens);
    let [targets] = upload_ints([targets(start_positions, end_positions)], &device);
    let targets = targets.reshape([features, 2, 1]);
    log_softmax(padded, 2).gather(2, targets).sum() / -2.0
}

/// Start and end position of each feature.
fn targets(starts: &[usize], ends: &[usize]) -> impl ExactSizeIterator<Item = i64> {
    let pairs = starts
        .iter()
        .zip(ends)
        .flat_map(|(start, end)| [*start, *end]);
    let targets: Vec<_> = pairs.map(|position| position as i64).collect();
    targets.into_iter()
}

/// Span logits in padded form: `[tokens, 2]` to `[features, 2, max_seqlen]`, with `f32::MIN` at padding so that softmax and
/// argmax ignore it.
pub fn pad_span_logits(logits: Tensor<2>, cu_seqlens: &CuSeqlens) -> Tensor<3> {
    let (features, max) = (cu_seqlens.len(), cu_seqlens.max_seqlen());
    let device = logits.device();
    let padding = cu_seqlens.padding_mask(&device).reshape([features, 1, max]);
    logits
        .select(0, cu_seqlens.padded_indices(&device))
        .reshape([features, max, 2])
        .swap_dims(1, 2)
        .mask_fill(padding.expand([features, 2, max]), f32::MIN)
}
