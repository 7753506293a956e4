//! What the tests share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bert_qa::{BertForQuestionAnswering, DropoutSeed, PackedInput, Pretrained, hugging_face_name};
use burn::module::{Module, ModuleVisitor, Param};
use burn::store::{ModuleStore, SafetensorsStore, bridge};
use burn::tensor::{Device, Tensor};
use serde::Deserialize;
use squad_data::PackedBatch;
use tempfile::TempDir;

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

/// One window with its labels.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Window {
    pub(crate) input_ids: Vec<u32>,
    pub(crate) token_type_ids: Vec<u32>,
    pub(crate) start_position: usize,
    pub(crate) end_position: usize,
}

/// Windows one after the other.
pub(crate) fn batch(windows: &[Window]) -> PackedBatch {
    let mut batch = PackedBatch {
        features: (0..windows.len()).collect(),
        bounds: vec![0],
        ..PackedBatch::default()
    };
    for window in windows {
        let length = window.input_ids.len();
        batch.input_ids.extend(&window.input_ids);
        batch.token_type_ids.extend(&window.token_type_ids);
        batch.position_ids.extend(0..length as u32);
        batch.lengths.push(length);
        batch.start_positions.push(window.start_position);
        batch.end_positions.push(window.end_position);
        batch.bounds.push(batch.input_ids.len());
    }
    batch
}

/// Start and end logit of every token: start, end, start, end, …
pub(crate) fn logits(
    model: &BertForQuestionAnswering,
    batch: &PackedBatch,
    dropout: Option<DropoutSeed>,
) -> Vec<f32> {
    let output = model.forward(&PackedInput::new(batch, &cpu()), dropout);
    assert_eq!(output.dims(), [batch.tokens(), 2]);
    output.into_data().try_to_vec().unwrap()
}

/// The logits of each window by itself, one after the other.
pub(crate) fn logits_alone(model: &BertForQuestionAnswering, windows: &[Window]) -> Vec<f32> {
    let alone = |window: &Window| logits(model, &batch(std::slice::from_ref(window)), None);
    windows.iter().flat_map(alone).collect()
}

/// NaN, which nothing is less than, where a number is not one.
pub(crate) fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |max, d| if d <= max { max } else { d })
}

/// Values of tensors by name.
pub(crate) type Tensors = BTreeMap<String, Vec<f32>>;

/// The tensors of a safetensors file.
pub(crate) fn read_tensors(path: &Path) -> Tensors {
    let mut store = SafetensorsStore::from_file(path);
    let tensors = store.get_all_tensors().unwrap().iter();
    tensors
        .map(|(name, tensor)| {
            let values = bridge::to_data(tensor).unwrap().try_to_vec().unwrap();
            (name.clone(), values)
        })
        .collect()
}

/// A tensor for each parameter of the model, by Hugging Face's names and in PyTorch's layout.
pub(crate) fn by_name<F>(model: &BertForQuestionAnswering, of_parameter: F) -> Tensors
where
    F: OfParameter,
{
    let mut collector = Collector {
        of_parameter,
        path: Vec::new(),
        found: Tensors::new(),
    };
    model.visit(&mut collector);
    collector.found
}

/// What to take of a parameter: a closure cannot be generic over the number of dimensions.
pub(crate) trait OfParameter {
    fn take<const D: usize>(&self, parameter: Tensor<D>) -> Option<Tensor<D>>;
}

/// The parameter itself.
pub(crate) struct Value;

impl OfParameter for Value {
    fn take<const D: usize>(&self, parameter: Tensor<D>) -> Option<Tensor<D>> {
        Some(parameter)
    }
}

struct Collector<F> {
    of_parameter: F,
    path: Vec<String>,
    found: Tensors,
}

impl<F: OfParameter> ModuleVisitor for Collector<F> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let name = hugging_face_name(&self.path.join("."));
        let Some(tensor) = self.of_parameter.take(parameter.val()) else {
            return;
        };
        // A linear layer's weight is [in, out] in Burn, [out, in] in PyTorch; an embedding's is the same in both.
        let tensor = match D == 2 && !name.contains("embeddings") {
            true => tensor.swap_dims(0, 1),
            false => tensor,
        };
        let values = tensor.into_data().try_to_vec().unwrap();
        assert!(
            self.found.insert(name.clone(), values).is_none(),
            "{name} twice"
        );
    }
}
