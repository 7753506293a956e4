use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use squad_data::{memory_limit, readable_size};

use super::assets::{CONFIG, ModelAssets};
use super::checkpoint_files::{CheckpointFiles, word_embedding_rows};
use super::weights::{self, LoadReport};
use crate::error::Error;
use crate::model::BertForQuestionAnswering;

/// A loaded model folder: model, configuration and tokenizer.
#[derive(Debug)]
pub struct Pretrained {
    /// The model.
    pub model: BertForQuestionAnswering,
    /// Configuration and tokenizer.
    pub assets: ModelAssets,
    /// Which tensors were loaded, and which parameters are new.
    pub report: LoadReport,
}

impl Pretrained {
    /// Loads a model folder in Hugging Face layout: `config.json`, `tokenizer.json`, and the first of
    /// `model.safetensors`, `model.safetensors.index.json` (shards), `pytorch_model.bin`,
    /// `pytorch_model.bin.index.json` (shards) that exists. Weights are `f32`, `f16`, `bf16` or
    /// `f64`; parameters are `f32`.
    ///
    /// Folders and files of other tools are read too: FARM's (`language_model.bin`,
    /// `language_model_config.json`, `prediction_head_0.bin`), and a single checkpoint of PyTorch
    /// (`.ckpt`, `.pt`, `.pth`, `.bin`) whose names begin with `module.`, `model.` or `state_dict.`, as
    /// DDP, Lightning and NVIDIA's examples write them. A vocabulary that such a file pads to a
    /// multiple of 8 stays padded.
    ///
    /// PyTorch files are pickles, which can run any code in Python. Nothing of them is executed here:
    /// the reader takes tensors and ignores any other object.
    ///
    /// An encoder without a span head gets a new one, initialized from `seed`.
    ///
    /// # Errors
    /// If a file is missing or damaged, the files do not belong together, the architecture is not
    /// supported, an encoder parameter is missing, a weight is NaN or infinite, or the parameters do
    /// not fit into this machine's memory.
    pub fn load(folder: &Path, seed: u64, device: &Device) -> Result<Self, Error> {
        let mut assets = ModelAssets::read(folder)?;
        let files = CheckpointFiles::find(folder)?;
        let tensors = files.open()?;
        if let Some(rows) = word_embedding_rows(&tensors) {
            assets.config.pad_vocabulary(rows);
        }
        let mut model = new_model(folder, &assets, seed, device)?;
        let report = weights::load(&mut model, &files, tensors, assets.config.has_other_head())?;
        Ok(Self {
            model,
            assets,
            report,
        })
    }

    /// A newly initialized model with a folder's configuration and tokenizer. Weights in the folder
    /// are ignored.
    ///
    /// # Errors
    /// As [`Pretrained::load`] for `config.json` and `tokenizer.json`, and if the parameters do not
    /// fit into this machine's memory.
    pub fn random(folder: &Path, seed: u64, device: &Device) -> Result<Self, Error> {
        let assets = ModelAssets::read(folder)?;
        let model = new_model(folder, &assets, seed, device)?;
        let report = LoadReport {
            missing: weights::names(&model),
            ..LoadReport::default()
        };
        Ok(Self {
            model,
            assets,
            report,
        })
    }
}

/// A model whose parameters are made at their first use, if this machine has memory for them.
fn new_model(
    folder: &Path,
    assets: &ModelAssets,
    seed: u64,
    device: &Device,
) -> Result<BertForQuestionAnswering, Error> {
    let model = BertForQuestionAnswering::new(&assets.config, seed, device);
    let mut elements = ElementCounter(0);
    model.visit(&mut elements);
    let bytes = elements.0.saturating_mul(4);
    match memory_limit() {
        // Hidden states and logits need memory too.
        Some(limit) if bytes > limit / 2 => Err(Error::Config {
            path: folder.join(CONFIG),
            message: format!(
                "asks for a model of {} parameters, {}: at most half of the {} of memory that this process can have is used for them",
                elements.0,
                readable_size(bytes),
                readable_size(limit)
            ),
        }),
        _ => Ok(model),
    }
}

/// Counts the elements of all parameters without making any.
struct ElementCounter(u64);

impl ModuleVisitor for ElementCounter {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let sizes = param.lazy_shape().to_vec();
        let elements = sizes
            .iter()
            .fold(1_u64, |product, size| product.saturating_mul(*size as u64));
        self.0 = self.0.saturating_add(elements);
    }
}
