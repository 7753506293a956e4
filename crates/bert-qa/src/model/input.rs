use burn::tensor::{Device, Int, Tensor, TensorData};
use fused_ops::CuSeqlens;
use squad_data::PackedBatch;

/// A packed batch on a device: what the encoder reads.
#[derive(Clone, Debug)]
pub struct PackedInput {
    /// `[tokens]`: rows of the word embedding.
    pub input_ids: Tensor<1, Int>,
    /// `[tokens]`: 0 for the question, 1 for the context.
    pub token_type_ids: Tensor<1, Int>,
    /// `[tokens]`: each token's place in its window.
    pub position_ids: Tensor<1, Int>,
    /// Where the windows begin and end.
    pub lengths: CuSeqlens,
}

impl PackedInput {
    /// Copies a batch to `device`.
    pub fn new(batch: &PackedBatch, device: &Device) -> Self {
        let ids = |values: &[u32]| {
            let values: Vec<i64> = values.iter().map(|id| i64::from(*id)).collect();
            let shape = [values.len()];
            Tensor::from_data(TensorData::new(values, shape), device)
        };
        Self {
            input_ids: ids(&batch.input_ids),
            token_type_ids: ids(&batch.token_type_ids),
            position_ids: ids(&batch.position_ids),
            lengths: CuSeqlens::new(&batch.lengths),
        }
    }
}
