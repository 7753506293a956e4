use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor};
use fused_ops::CuSeqlens;
use squad_data::PackedBatch;

/// A packed batch on a device: the input of the model and of [`span_loss`].
///
/// Cloning is cheap: nothing is copied.
///
/// [`span_loss`]: super::loss::span_loss
#[derive(Clone, Debug)]
pub struct PackedInput {
    /// `[tokens]`: rows of the word embedding.
    pub input_ids: Tensor<1, Int>,
    /// `[tokens]`: 0 for the question, 1 for the context.
    pub token_type_ids: Tensor<1, Int>,
    /// `[tokens]`: each token's index in its feature.
    pub position_ids: Tensor<1, Int>,
    /// Where each feature begins and ends.
    pub cu_seqlens: CuSeqlens,
    /// `[features]`: the answer's first token, counted from the feature's first. In host memory,
    /// where the span loss is computed.
    pub start_positions: Arc<[usize]>,
    /// `[features]`: the answer's last token, as `start_positions`.
    pub end_positions: Arc<[usize]>,
}

impl PackedInput {
    /// Copies a batch to `device`.
    ///
    /// # Panics
    /// If the batch has no feature.
    pub fn new(batch: &PackedBatch, device: &Device) -> Self {
        let ids = [&batch.input_ids, &batch.token_type_ids, &batch.position_ids];
        let ids = ids.map(|ids| ids.iter().map(|id| i64::from(*id)));
        let [input_ids, token_type_ids, position_ids] = fused_ops::upload_ints(ids, device);
        Self {
            input_ids,
            token_type_ids,
            position_ids,
            cu_seqlens: CuSeqlens::new(&batch.lengths),
            start_positions: batch.start_positions.as_slice().into(),
            end_positions: batch.end_positions.as_slice().into(),
        }
    }

    /// The same tensors without autodiff.
    pub fn inner(&self) -> Self {
        Self {
            input_ids: self.input_ids.clone().inner(),
            token_type_ids: self.token_type_ids.clone().inner(),
            position_ids: self.position_ids.clone().inner(),
            ..self.clone()
        }
    }

    /// The number of features.
    pub fn len(&self) -> usize {
        self.cu_seqlens.len()
    }

    /// Whether the batch has no feature.
    pub fn is_empty(&self) -> bool {
        self.cu_seqlens.is_empty()
    }
}
