use burn::tensor::{Tensor, activation::log_softmax};

use crate::{CuSeqlens, cu_seqlens::ints};

/// The span loss of extractive question answering (Devlin et al. 2018, section 4.2), summed over
/// windows: the mean of the cross-entropies of the start and of the end position.
///
/// `logits` is `[tokens, 2]` (start, end); `start_positions` and `end_positions` count from each
/// window's first token; the result is `[1]`. Divide by the number of windows for the mean that
/// Hugging Face reports. Unlike Hugging Face's, the softmax runs over each window's own tokens, so
/// padding has no part in it.
///
/// # Panics
/// If a position lies outside its window or there is not one of each for every window.
pub fn span_loss(
    logits: Tensor<2>,
    lengths: &CuSeqlens,
    start_positions: &[usize],
    end_positions: &[usize],
) -> Tensor<1> {
    for positions in [start_positions, end_positions] {
        assert_eq!(lengths.len(), positions.len(), "one position per window");
        for (range, position) in lengths.ranges().zip(positions) {
            assert!(*position < range.len(), "position outside its window");
        }
    }
    #[cfg(any(feature = "ndarray", feature = "tch"))]
    if crate::extension::takes(&logits) {
        return crate::extension::span_loss(logits, lengths, start_positions, end_positions);
    }
    reference(logits, lengths, start_positions, end_positions)
}

/// [`span_loss`] from Burn primitives.
pub fn reference(
    logits: Tensor<2>,
    lengths: &CuSeqlens,
    start_positions: &[usize],
    end_positions: &[usize],
) -> Tensor<1> {
    let (windows, device) = (lengths.len(), logits.device());
    let padded = pad_span_logits(logits, lengths);
    let targets = start_positions
        .iter()
        .zip(end_positions)
        .flat_map(|(start, end)| [*start as i64, *end as i64]);
    let targets = ints(targets.collect(), &device).reshape([windows, 2, 1]);
    log_softmax(padded, 2).gather(2, targets).sum() / -2.0
}

/// Span logits in padded form: `[tokens, 2]` to `[windows, 2, longest]`, the least finite number
/// at places of padding, so that no softmax and no argmax sees them.
pub fn pad_span_logits(logits: Tensor<2>, lengths: &CuSeqlens) -> Tensor<3> {
    let (windows, max, device) = (lengths.len(), lengths.max(), logits.device());
    let padding = lengths.padding_mask(&device).reshape([windows, 1, max]);
    logits
        .select(0, lengths.padded_indices(&device))
        .reshape([windows, max, 2])
        .swap_dims(1, 2)
        .mask_fill(padding.expand([windows, 2, max]), f32::MIN)
}
