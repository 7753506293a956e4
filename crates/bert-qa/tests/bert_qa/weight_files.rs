//! Every weights format gives the same parameters.

use std::path::Path;

use burn::tensor::{DType, TensorData};
use test_support::TempDir;

use crate::common::{
    Tensors, Value, by_name, copy_of, fixture, load, read_tensors, rewrite_weights, tiny,
};

/// The tiny model without its weights.
pub(crate) fn without_weights() -> TempDir {
    let folder = copy_of("tiny-bert");
    std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    folder
}

/// The tiny model with a PyTorch file of the fixtures.
pub(crate) fn with_bin(file: &str) -> TempDir {
    let folder = without_weights();
    let bin = fixture("tiny-bert-bin").join(file);
    std::fs::copy(bin, folder.path().join("pytorch_model.bin")).unwrap();
    folder
}

/// Splits the weights into shards with an index. Returns the names of the tensors, in order.
pub(crate) fn divide(folder: &Path, count: usize) -> Vec<String> {
    let whole = folder.join("model.safetensors");
    let names: Vec<_> = read_tensors(&whole).into_keys().collect();
    let mut weight_map = serde_json::Map::new();
    for shard in 0..count {
        let file = format!("model-{:05}-of-{count:05}.safetensors", shard + 1);
        std::fs::copy(&whole, folder.join(&file)).unwrap();
        let mine: Vec<_> = names.iter().skip(shard).step_by(count).collect();
        keep_tensors(&folder.join(&file), &mine);
        weight_map.extend(
            mine.iter()
                .map(|name| ((*name).clone(), file.clone().into())),
        );
    }
    std::fs::remove_file(&whole).unwrap();
    let index = serde_json::json!({ "metadata": { "total_size": 1 }, "weight_map": weight_map });
    let path = folder.join("model.safetensors.index.json");
    std::fs::write(path, index.to_string()).unwrap();
    names
}

/// Removes all tensors but `names` from a safetensors file and keeps their order.
fn keep_tensors(file: &Path, names: &[&String]) {
    rewrite_weights(file, |header, data| {
        let bounds = |tensor: &serde_json::Value, at: usize| {
            tensor["data_offsets"][at].as_u64().unwrap() as usize
        };
        header.retain(|name, _| names.contains(&name) || name == "__metadata__");
        let mut tensors: Vec<_> = header
            .iter_mut()
            .filter(|(name, _)| *name != "__metadata__")
            .collect();
        tensors.sort_by_key(|(_, tensor)| bounds(tensor, 0));
        let mut kept = Vec::new();
        for (_, tensor) in tensors {
            let begin = kept.len();
            kept.extend_from_slice(&data[bounds(tensor, 0)..bounds(tensor, 1)]);
            tensor["data_offsets"] = serde_json::json!([begin, kept.len()]);
        }
        *data = kept;
    });
}

fn whole() -> Tensors {
    by_name(&tiny().model, Value)
}

#[test]
fn a_pytorch_file_gives_the_same_bits() {
    let (tensors, report) = load(with_bin("pytorch_model.bin").path());
    assert_eq!(tensors, whole());
    assert_eq!(report.files, ["pytorch_model.bin"]);
    assert!(report.loaded.iter().eq(tensors.keys()));
    assert!(report.missing.is_empty() && report.unexpected.is_empty());
}

/// The tensors of the file are `f16`, `bf16` and `f64` in turn: the original values, rounded to that type.
#[test]
fn f16_bf16_and_f64_become_f32() {
    let (tensors, _) = load(with_bin("mixed.bin").path());
    let dtypes = [DType::F16, DType::BF16, DType::F64].into_iter().cycle();
    let mut rounded = 0;
    for ((name, values), dtype) in whole().into_iter().zip(dtypes) {
        let size = values.len();
        let data = TensorData::new(values.clone(), [size]);
        let data = data.convert_dtype(dtype).convert_dtype(DType::F32);
        assert_eq!(tensors[&name], data.try_to_vec::<f32>().unwrap(), "{name}");
        rounded += usize::from(tensors[&name] != values);
    }
    // Negative control: two thirds of the tensors lost bits.
    assert!(
        rounded >= tensors.len() / 2,
        "{rounded} of {}",
        tensors.len()
    );
}

#[test]
fn the_first_bert_files_load_and_other_heads_are_reported() {
    let (tensors, report) = load(with_bin("legacy.bin").path());
    let mut expected = whole();
    for head in ["qa_outputs.weight", "qa_outputs.bias"] {
        expected.insert(head.into(), tensors[head].clone());
    }
    assert_eq!(tensors, expected);
    assert_eq!(report.missing, ["qa_outputs.bias", "qa_outputs.weight"]);
    assert_eq!(
        report.unexpected,
        [
            "bert.pooler.dense.bias",
            "cls.predictions.bias",
            "cls.predictions.decoder.weight",
            "cls.seq_relationship.weight",
        ]
    );
}

/// Beside the weights lie numbers and arrays of NumPy, states of random number generators, an empty `defaultdict`, a
/// `Counter` and a `Namespace`.
#[test]
fn objects_that_are_no_tensors_do_not_matter() {
    let (tensors, report) = load(with_bin("others.bin").path());
    assert_eq!(tensors, whole());
    assert!(report.missing.is_empty());
    assert_eq!(report.unexpected, ["rng_state.cpu"]);
}

#[test]
fn shards_give_the_whole_model() {
    for count in [1, 2, 5] {
        let folder = copy_of("tiny-bert");
        divide(folder.path(), count);
        let (tensors, report) = load(folder.path());
        assert_eq!(tensors, whole());
        assert_eq!(report.files.len(), count);
        assert!(report.missing.is_empty() && report.unexpected.is_empty());
    }
}

#[test]
fn pytorch_shards_load() {
    let folder = with_bin("pytorch_model.bin");
    let shard = "pytorch_model-00001-of-00001.bin";
    let path = |file: &str| folder.path().join(file);
    std::fs::rename(path("pytorch_model.bin"), path(shard)).unwrap();
    let weight_map: serde_json::Map<_, _> = whole()
        .into_keys()
        .map(|name| (name, shard.into()))
        .collect();
    let index = serde_json::json!({ "weight_map": weight_map });
    std::fs::write(path("pytorch_model.bin.index.json"), index.to_string()).unwrap();
    assert_eq!(load(folder.path()).0, whole());
}

/// As in transformers, if both exist.
#[test]
fn safetensors_take_precedence() {
    let folder = copy_of("tiny-bert");
    std::fs::write(folder.path().join("pytorch_model.bin"), "not read").unwrap();
    assert_eq!(load(folder.path()).1.files, ["model.safetensors"]);
}
