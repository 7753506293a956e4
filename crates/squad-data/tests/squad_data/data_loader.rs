//! Burn's data loaders over features.

use burn::data::dataloader::DataLoaderBuilder;
use burn::data::dataset::Dataset;
use burn::tensor::{Device, Int, Tensor};
use squad_data::{Feature, FeatureDataset, PackedBatch, PackedBatcher, TensorBatch};

use crate::answers::{examples, features};

#[allow(deprecated)] // Burn marks these backends as superseded; this project runs on them.
fn devices() -> Vec<Device> {
    vec![
        Device::ndarray(),
        #[cfg(feature = "flex")]
        Device::flex(),
        #[cfg(feature = "tch")]
        Device::libtorch(),
    ]
}

fn values(tensor: &Tensor<1, Int>) -> Vec<usize> {
    tensor
        .to_data()
        .iter::<i64>()
        .map(|value| value as usize)
        .collect()
}

fn equals(ours: &TensorBatch, packed: &PackedBatch, features: &[Feature]) -> bool {
    let ids = |ids: &[u32]| ids.iter().map(|&id| id as usize).collect::<Vec<_>>();
    let examples = packed
        .feature_indices
        .iter()
        .map(|&index| features[index].example_index);
    values(&ours.input_ids) == ids(&packed.input_ids)
        && values(&ours.token_type_ids) == ids(&packed.token_type_ids)
        && values(&ours.position_ids) == ids(&packed.position_ids)
        && values(&ours.start_positions) == packed.start_positions
        && values(&ours.end_positions) == packed.end_positions
        && ours.lengths == packed.lengths
        && examples.eq(ours.example_indices.iter().copied())
}

fn load(
    device: &Device,
    features: &[Feature],
    batch_size: usize,
    workers: usize,
    shuffle: Option<u64>,
) -> Vec<TensorBatch> {
    let mut builder = DataLoaderBuilder::new(PackedBatcher)
        .batch_size(batch_size)
        .num_workers(workers)
        .set_device(device.clone());
    if let Some(seed) = shuffle {
        builder = builder.shuffle(seed);
    }
    let loader = builder.build(FeatureDataset::new(features.to_vec()));
    assert_eq!(loader.num_items(), features.len());
    loader.iter().map(|batch| batch.unwrap()).collect()
}

/// Features with distinct labels, so that a swapped label is noticed.
fn labelled() -> Vec<Feature> {
    let mut features = features(&examples());
    for (index, feature) in features.iter_mut().enumerate() {
        feature.start_position = feature.context.start + index % 3;
        feature.end_position = feature.start_position + index % 4;
    }
    features
}

#[test]
fn batches_equal_packed_batches() {
    let features = labelled();
    let indices: Vec<usize> = (0..features.len()).collect();
    for device in devices() {
        let loaded = load(&device, &features, 5, 0, None);
        assert_eq!(loaded.len(), features.len().div_ceil(5));
        for (ours, indices) in loaded.iter().zip(indices.chunks(5)) {
            assert_eq!(ours.input_ids.device(), device);
            assert!(equals(
                ours,
                &PackedBatch::new(&features, indices),
                &features
            ));
        }
        // Negative control: the same features in another order.
        let swapped = PackedBatch::new(&features, &[1, 0, 2, 3, 4]);
        assert!(!equals(&loaded[0], &swapped, &features));
    }
}

#[test]
fn shuffled_batches_from_threads_hold_every_feature_once() {
    let features = labelled();
    let mut expected: Vec<Vec<u32>> = features.iter().map(|f| f.input_ids.clone()).collect();
    expected.sort();
    let ways = [(2, None), (0, Some(3)), (2, Some(3))];
    let ways = ways.map(|way| devices().into_iter().map(move |device| (device, way)));
    for (device, (workers, shuffle)) in ways.into_iter().flatten() {
        let mut loaded = Vec::new();
        for batch in load(&device, &features, 4, workers, shuffle) {
            let ids = values(&batch.input_ids);
            let mut ids = ids.into_iter().map(|id| id as u32);
            for length in batch.lengths {
                loaded.push(ids.by_ref().take(length).collect::<Vec<_>>());
            }
            assert_eq!(ids.len(), 0);
        }
        loaded.sort();
        assert_eq!(loaded, expected);
    }
}

#[test]
fn the_dataset_returns_its_features() {
    let features = labelled();
    let dataset = FeatureDataset::new(features.clone());
    assert_eq!(Dataset::<Feature>::len(&dataset), features.len());
    assert_eq!(dataset.get(3).unwrap(), features[3]);
    assert!(dataset.iter().map(Result::unwrap).eq(features));
}
