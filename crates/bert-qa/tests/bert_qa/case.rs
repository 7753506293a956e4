//! Small models whose weights are a formula, and transformers' results: the folders of `fixtures/parity`, written by
//! `scripts/reference/make_parity_fixture.py`. The tests of `trainer` use this file too.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use squad_data::PackedBatch;
use test_support::{TempDir, temp_dir};

use crate::tensors::{Tensors, read_tensors};

/// The folders.
pub(crate) const CASES: [&str; 18] = [
    "bert-uncased",
    "bert-cased",
    "bert-relu",
    "distilbert",
    "minilm",
    "roberta",
    "camembert",
    "xlm-roberta",
    "mpnet",
    "deberta-v3",
    "deberta-v2",
    "deberta-v2-conv",
    "modernbert",
    "modernbert-bias",
    "electra",
    "electra-base",
    "albert",
    "albert-groups",
];
/// The fixture holds at most as many values of a tensor.
const MAX_VALUES: usize = 1000;

/// One feature with its labels.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Window {
    pub(crate) input_ids: Vec<u32>,
    pub(crate) token_type_ids: Vec<u32>,
    pub(crate) start_position: usize,
    pub(crate) end_position: usize,
}

/// Packs windows into a batch.
pub(crate) fn batch(windows: &[Window]) -> PackedBatch {
    let mut batch = PackedBatch {
        feature_indices: (0..windows.len()).collect(),
        cu_seqlens: vec![0],
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
        batch.cu_seqlens.push(batch.input_ids.len());
    }
    batch
}

/// A tensor of the weights file: name, shape, scale and offset; its values lie within `scale` of `offset`.
#[derive(Deserialize)]
pub(crate) struct Formula(pub(crate) String, pub(crate) Vec<usize>, f32, f32);

/// The contents of `case.json`.
#[derive(Deserialize)]
pub(crate) struct Case {
    #[serde(skip)]
    folder: PathBuf,
    #[serde(skip)]
    expected: Tensors,
    pub(crate) tensors: Vec<Formula>,
    /// Questions with their contexts; their features are the first windows.
    pub(crate) texts: Vec<(String, String)>,
    pub(crate) windows: Vec<Window>,
}

impl Case {
    pub(crate) fn read(name: &str) -> Self {
        let folder = folder(name);
        Self {
            expected: read_tensors(&folder.join("expected.safetensors")),
            folder,
            ..case_file(name)
        }
    }

    /// A result of transformers.
    pub(crate) fn expected(&self, key: &str) -> &[f32] {
        &self.expected[key]
    }

    /// All results whose names begin with `start` and end with `end`, by the rest of the name.
    pub(crate) fn all(&self, start: &str, end: &str) -> Vec<(&str, &[f32])> {
        let inner = |key| str::strip_suffix(str::strip_prefix(key, start)?, end);
        let found = self.expected.iter();
        found
            .filter_map(|(key, values)| Some((inner(key)?, values.as_slice())))
            .collect()
    }

    /// Writes a model folder.
    pub(crate) fn model(&self) -> TempDir {
        self.model_with(str::to_owned, |_, _| None)
    }

    /// Writes a model folder with renamed tensors; `value` may replace the value of a tensor at an index.
    pub(crate) fn model_with(
        &self,
        rename: impl Fn(&str) -> String,
        value: impl Fn(&str, usize) -> Option<f32>,
    ) -> TempDir {
        let model = temp_dir();
        for file in ["config.json", "tokenizer.json"] {
            std::fs::copy(self.folder.join(file), model.path().join(file)).unwrap();
        }
        let (mut header, mut data) = (Map::new(), Vec::new());
        for Formula(name, shape, scale, offset) in &self.tensors {
            let start = data.len();
            for (index, unit) in units(name).take(shape.iter().product()).enumerate() {
                let number = value(name, index).unwrap_or(offset + scale * unit);
                data.extend(number.to_le_bytes());
            }
            let offsets = [start, data.len()];
            let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": offsets});
            header.insert(rename(name), entry);
        }
        // The safetensors format: the header's length, the header in JSON, the values.
        let header = Value::Object(header).to_string();
        let length = (header.len() as u64).to_le_bytes();
        let bytes = [&length, header.as_bytes(), &data].concat();
        std::fs::write(model.path().join("model.safetensors"), bytes).unwrap();
        model
    }
}

fn folder(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bert-qa/tests/fixtures");
    fixtures.join("parity").join(name)
}

/// Parses `case.json` as the caller's type.
pub(crate) fn case_file<T: DeserializeOwned>(name: &str) -> T {
    let text = std::fs::read_to_string(folder(name).join("case.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Pseudorandom values in -1..1: a hash of a tensor's name (FNV-1a) and of an element's index (SplitMix64).
pub(crate) fn units(name: &str) -> impl Iterator<Item = f32> {
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    (1..).map(move |index: u64| {
        let mut z = seed.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 40) as f32 / (1 << 23) as f32 - 1.0
    })
}

/// The values that a fixture holds of a tensor: all, or `MAX_VALUES` at even distances.
pub(crate) fn sample(values: &[f32]) -> Vec<f32> {
    match values.len() {
        ..=MAX_VALUES => values.to_vec(),
        length => (0..MAX_VALUES)
            .map(|i| values[i * length / MAX_VALUES])
            .collect(),
    }
}
