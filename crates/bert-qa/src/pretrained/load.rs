use std::path::Path;

use burn::tensor::Device;

use super::assets::ModelAssets;
use super::checkpoint_files::CheckpointFiles;
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
    /// safetensors files are mapped into memory. PyTorch files are pickles, which can run any code
    /// in Python. Nothing of them is executed here: the reader takes tensors and ignores any other
    /// object.
    ///
    /// An encoder without a span head gets a new one, initialized from `seed`.
    ///
    /// # Errors
    /// If a file is missing or damaged, the files do not belong together, the architecture is not
    /// supported, an encoder parameter is missing, or a weight is NaN or infinite.
    pub fn load(folder: &Path, seed: u64, device: &Device) -> Result<Self, Error> {
        let assets = ModelAssets::read(folder)?;
        let files = CheckpointFiles::find(folder)?;
        let mut model = BertForQuestionAnswering::new(&assets.config, seed, device);
        let report = weights::load(&mut model, &files)?;
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
    /// As [`Pretrained::load`] for `config.json` and `tokenizer.json`.
    pub fn random(folder: &Path, seed: u64, device: &Device) -> Result<Self, Error> {
        let assets = ModelAssets::read(folder)?;
        let model = BertForQuestionAnswering::new(&assets.config, seed, device);
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
