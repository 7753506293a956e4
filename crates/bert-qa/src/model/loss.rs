use burn::tensor::Tensor;

use super::input::PackedInput;

/// The span loss of extractive question answering (Devlin et al. 2018, section 4.2), summed over
/// the features of `input`: `[1]`. Divide by [`PackedInput::len`] for the mean, which Hugging Face
/// reports.
///
/// `logits` is `[tokens, 2]`, the output of [`BertForQuestionAnswering::forward`]. A feature's loss
/// is the mean of the cross-entropies of its start and end position, each over the feature's own
/// tokens. [`fused_ops::span_loss`] computes it.
///
/// # Panics
/// If `logits` has another number of tokens than `input`, or a position lies outside its feature.
///
/// [`BertForQuestionAnswering::forward`]: super::bert::BertForQuestionAnswering::forward
pub fn span_loss(logits: Tensor<2>, input: &PackedInput) -> Tensor<1> {
    fused_ops::span_loss(
        logits,
        &input.cu_seqlens,
        &input.start_positions,
        &input.end_positions,
    )
}
