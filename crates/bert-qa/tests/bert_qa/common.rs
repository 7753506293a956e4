//! Helpers of several test modules.

use std::path::{Path, PathBuf};

use bert_qa::{BertForQuestionAnswering, DropoutSeed, LoadReport, PackedInput, Pretrained};
use burn::tensor::Device;
use squad_data::PackedBatch;
use test_support::{TempDir, copy_folder};

pub(crate) use crate::case::{Window, batch};
pub(crate) use crate::tensors::{
    OfParameter, Tensors, Value, by_name, largest_difference, read_tensors,
};

/// The tiny model's `max_position_embeddings`.
pub(crate) const MAX_LENGTH: usize = 40;
/// Its `vocab_size`.
pub(crate) const VOCAB_SIZE: u32 = 60;

#[allow(deprecated)] // Burn marks NdArray as superseded; this project runs on it.
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

/// A temporary copy of a fixture.
pub(crate) fn copy_of(name: &str) -> TempDir {
    copy_folder(fixture(name))
}

/// A model folder's parameters, and the report of loading it.
pub(crate) fn load(folder: &Path) -> (Tensors, LoadReport) {
    let loaded = Pretrained::load(folder, 0, &cpu()).unwrap();
    (by_name(&loaded.model, Value), loaded.report)
}

/// The error of loading a model folder, which is one line.
#[track_caller]
pub(crate) fn refusal(folder: &Path) -> String {
    let loaded = Pretrained::load(folder, 0, &cpu());
    let message = loaded.expect_err("it must be refused").to_string();
    assert!(!message.contains('\n'), "more than one line: {message}");
    message
}

#[track_caller]
pub(crate) fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no {part:?} in {message:?}");
    }
}

/// Replaces text that a file contains exactly once.
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

/// Changes the header and the values of a safetensors file: the header's length in 8 bytes, the header in JSON, the values.
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

/// Renames a tensor of a safetensors file.
pub(crate) fn rename_tensor(file: &Path, from: &str, to: &str) {
    rewrite_weights(file, |header, _| {
        let tensor = header.remove(from).unwrap();
        header.insert(to.into(), tensor);
    });
}

/// The names of a folder's files and folders, hidden ones included, sorted.
pub(crate) fn file_names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Start and end logits of every token: start, end, start, end, …
pub(crate) fn logits(
    model: &BertForQuestionAnswering,
    batch: &PackedBatch,
    dropout: Option<DropoutSeed>,
) -> Vec<f32> {
    let output = model.forward(&PackedInput::new(batch, &cpu()), dropout);
    assert_eq!(output.dims(), [batch.num_tokens(), 2]);
    output.into_data().try_to_vec().unwrap()
}
