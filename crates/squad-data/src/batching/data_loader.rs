//! Features for Burn's data loaders (feature `burn`).

use std::sync::Arc;

use burn::data::dataloader::batcher::Batcher;
use burn::data::dataset::{Dataset, DatasetError};
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::batching::packed::PackedBatch;
use crate::features::Feature;

/// Features as a Burn dataset. Clones share the features.
///
/// ```
/// use burn::data::dataloader::DataLoaderBuilder;
/// use burn::tensor::Device;
/// use squad_data::{Example, FeatureDataset, PackedBatcher, QaTokenizer, FeatureOptions, make_features};
/// # use std::path::Path;
/// # let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tokenizer.json"));
/// let tokenizer = QaTokenizer::from_file(path)?;
/// let examples = [Example::new("q1", "who ate?", "the cat"), Example::new("q2", "who ate?", "the old cat ate")];
/// let features = make_features(&examples, &tokenizer, &FeatureOptions::default())?;
///
/// let loader = DataLoaderBuilder::new(PackedBatcher)
///     .batch_size(8)
///     .set_device(Device::default())
///     .build(FeatureDataset::new(features));
/// for batch in loader.iter() {
///     let batch = batch.unwrap();
///     assert_eq!(batch.input_ids.dims(), [batch.lengths.iter().sum::<usize>()]);
/// }
/// # Ok::<(), squad_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FeatureDataset {
    features: Arc<[Feature]>,
}

impl FeatureDataset {
    /// A dataset of these features, in their order.
    pub fn new(features: Vec<Feature>) -> Self {
        Self {
            features: features.into(),
        }
    }
}

impl Dataset<Feature> for FeatureDataset {
    fn get(&self, index: usize) -> Result<Feature, DatasetError> {
        Ok(self.features[index].clone())
    }

    fn len(&self) -> usize {
        self.features.len()
    }
}

/// Packs features as [`PackedBatch`] does and uploads them to a device. See [`FeatureDataset`] for an example.
#[derive(Clone, Copy, Debug, Default)]
pub struct PackedBatcher;

impl Batcher<Feature, TensorBatch> for PackedBatcher {
    fn batch(&self, items: Vec<Feature>, device: &Device) -> TensorBatch {
        let indices: Vec<usize> = (0..items.len()).collect();
        let example_indices = items.iter().map(|feature| feature.example_index).collect();
        TensorBatch::new(&PackedBatch::new(&items, &indices), example_indices, device)
    }
}

/// A [`PackedBatch`] on a device.
#[derive(Clone, Debug)]
pub struct TensorBatch {
    /// Vocabulary ids, `[tokens]`.
    pub input_ids: Tensor<1, Int>,
    /// Token types, `[tokens]`: for BERT 0 for `[CLS] question [SEP]`, 1 for `context [SEP]`.
    pub token_type_ids: Tensor<1, Int>,
    /// Positions, `[tokens]`: from 0 in each feature.
    pub position_ids: Tensor<1, Int>,
    /// First token of the answer within its feature, `[features]`; 0, the position of `[CLS]`, if there is none.
    pub start_positions: Tensor<1, Int>,
    /// Last token (inclusive) of the answer within its feature, `[features]`; 0 if there is none.
    pub end_positions: Tensor<1, Int>,
    /// Length of each feature in tokens, `[features]`, on the host.
    pub lengths: Vec<usize>,
    /// Index of each feature's example, `[features]`, on the host.
    pub example_indices: Vec<usize>,
}

impl TensorBatch {
    fn new(batch: &PackedBatch, example_indices: Vec<usize>, device: &Device) -> Self {
        let ids = |ids: &[u32]| tensor(ids.iter().map(|&id| i64::from(id)).collect(), device);
        let positions =
            |positions: &[usize]| tensor(positions.iter().map(|&at| at as i64).collect(), device);
        Self {
            input_ids: ids(&batch.input_ids),
            token_type_ids: ids(&batch.token_type_ids),
            position_ids: ids(&batch.position_ids),
            start_positions: positions(&batch.start_positions),
            end_positions: positions(&batch.end_positions),
            lengths: batch.lengths.clone(),
            example_indices,
        }
    }
}

fn tensor(values: Vec<i64>, device: &Device) -> Tensor<1, Int> {
    let shape = [values.len()];
    Tensor::from_data(TensorData::new(values, shape), device)
}
