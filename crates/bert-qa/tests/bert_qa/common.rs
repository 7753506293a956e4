//! What the tests share.

use std::path::{Path, PathBuf};

use bert_qa::{BertForQuestionAnswering, DropoutSeed, PackedInput, Pretrained};
use burn::tensor::Device;
use squad_data::PackedBatch;
use tempfile::TempDir;

pub(crate) use crate::case::{Window, batch};
pub(crate) use crate::tensors::{
    OfParameter, Tensors, Value, by_name, largest_difference, read_tensors,
};

/// The tiny model's positions: no window is longer.
pub(crate) const MAX_LENGTH: usize = 40;
/// Rows of its word embedding.
pub(crate) const VOCAB_SIZE: u32 = 60;

#[allow(deprecated)] // Burn marks NdArray as superseded; it is what this project runs on.
pub(crate) fn cpu() -> Device {
    Device::ndarray()
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// The tiny model with its span head.
pub(crate) fn tiny() -> Pretrained {
    Pretrained::load(&fixture("tiny-bert"), 0, &cpu()).unwrap()
}

/// A copy of a model folder of the fixtures, to be changed.
pub(crate) fn copy_of(name: &str) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in file_names(&fixture(name)) {
        std::fs::copy(fixture(name).join(&file), copy.path().join(&file)).unwrap();
    }
    copy
}

/// Replaces a piece of a text file, which must be there exactly once.
pub(crate) fn edit(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert_eq!(
        text.matches(from).count(),
        1,
        "{from} in {}",
        file.display()
    );
    std::fs::write(file, text.replace(from, to)).unwrap();
}

/// Changes a safetensors file: the length of the header in 8 bytes, the header as JSON, the numbers.
pub(crate) fn rewrite_weights(
    file: &Path,
    change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>, &mut Vec<u8>),
) {
    let bytes = std::fs::read(file).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let (header, data) = bytes[8..].split_at(length);
    let (mut header, mut data) = (serde_json::from_slice(header).unwrap(), data.to_vec());
    change(&mut header, &mut data);
    let header = serde_json::to_vec(&header).unwrap();
    let length = (header.len() as u64).to_le_bytes();
    std::fs::write(file, [&length[..], &header, &data].concat()).unwrap();
}

/// Gives a tensor of a safetensors file another name.
pub(crate) fn rename_tensor(file: &Path, from: &str, to: &str) {
    rewrite_weights(file, |header, _| {
        let tensor = header.remove(from).unwrap();
        header.insert(to.into(), tensor);
    });
}

/// Names of what a folder holds, hidden files included, sorted.
pub(crate) fn file_names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Start and end logit of every token: start, end, start, end, …
pub(crate) fn logits(
    model: &BertForQuestionAnswering,
    batch: &PackedBatch,
    dropout: Option<DropoutSeed>,
) -> Vec<f32> {
    let output = model.forward(&PackedInput::new(batch, &cpu()), dropout);
    assert_eq!(output.dims(), [batch.num_tokens(), 2]);
    output.into_data().try_to_vec().unwrap()
}
