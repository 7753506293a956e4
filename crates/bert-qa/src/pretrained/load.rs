use std::path::{Path, PathBuf};

use burn::tensor::Device;
use squad_data::QaTokenizer;

use crate::checkpoint::Checkpoint;
use crate::{BertConfig, BertForQuestionAnswering, Error, LoadReport, weights};

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const WEIGHTS: &str = "model.safetensors";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// What to do where only the files of an old tokenizer are.
pub(crate) const MAKE_TOKENIZER: &str =
    ": make it with transformers, AutoTokenizer.from_pretrained(FROM).save_pretrained(FOLDER)";

/// A model with its configuration and tokenizer: what a Hugging Face model folder holds.
#[derive(Debug)]
pub struct Pretrained {
    /// The model.
    pub model: BertForQuestionAnswering,
    /// What stands beside the weights.
    pub companions: Companions,
    /// What became of the tensors of the weights file.
    pub report: LoadReport,
}

/// What stands beside the weights in a model folder. It stays the same while the model is trained,
/// and is saved with it again.
#[derive(Clone, Debug)]
pub struct Companions {
    /// The encoder's shape and settings.
    pub config: BertConfig,
    /// The tokenizer that the word embedding belongs to.
    pub tokenizer: QaTokenizer,
    /// `tokenizer_config.json` as it was found, if there was one.
    pub(crate) tokenizer_config: Option<String>,
}

impl Pretrained {
    /// Loads a model folder in Hugging Face layout: `config.json`, `tokenizer.json`, and the weights
    /// in the first of these that is there: `model.safetensors`, safetensors in shards
    /// (`model.safetensors.index.json`), `pytorch_model.bin`, PyTorch files in shards
    /// (`pytorch_model.bin.index.json`). Weights are `f32`, `f16`, `bf16` or `f64`, parameters `f32`.
    ///
    /// safetensors files are mapped into memory. A PyTorch file is a pickle, which in Python can run
    /// any code; here nothing of it is executed: it is read for its tensors, and any other object
    /// is passed over.
    ///
    /// `seed` governs what the folder lacks: the span head of an encoder that was not trained to
    /// answer questions.
    ///
    /// # Errors
    /// If a file is missing, damaged, of another kind than its name says, or if the three do not
    /// belong together; if the encoder is one that this crate does not have, before anything else
    /// is looked at; if a weight is NaN or infinite.
    pub fn load(folder: &Path, seed: u64, device: &Device) -> Result<Self, Error> {
        let companions = Companions::read(folder)?;
        let checkpoint = Checkpoint::find(folder)?;
        let mut model = BertForQuestionAnswering::new(&companions.config, seed, device);
        let report = weights::load(&mut model, &checkpoint)?;
        Ok(Self {
            model,
            companions,
            report,
        })
    }

    /// A newly initialised model of the shape that a folder describes, with the folder's tokenizer;
    /// weights that may be there are not looked at.
    ///
    /// # Errors
    /// As [`Pretrained::load`] for `config.json` and `tokenizer.json`.
    pub fn random(folder: &Path, seed: u64, device: &Device) -> Result<Self, Error> {
        let companions = Companions::read(folder)?;
        let model = BertForQuestionAnswering::new(&companions.config, seed, device);
        let report = LoadReport {
            missing: weights::names(&model),
            ..LoadReport::default()
        };
        Ok(Self {
            model,
            companions,
            report,
        })
    }
}

impl Companions {
    /// Reads and checks `config.json` and `tokenizer.json`.
    fn read(folder: &Path) -> Result<Self, Error> {
        if !folder.is_dir() {
            let source = std::io::Error::new(std::io::ErrorKind::NotFound, "no such model folder");
            return Err(Error::io(folder, source));
        }
        let config = BertConfig::read(&file_in(folder, CONFIG, "")?)?;
        let tokenizer_file = file_in(folder, TOKENIZER, MAKE_TOKENIZER)?;
        let tokenizer = QaTokenizer::from_file(&tokenizer_file)?;
        if tokenizer.num_ids() > config.vocab_size {
            return Err(Error::Config {
                path: tokenizer_file,
                message: format!(
                    "this tokenizer needs {} embeddings, the model has {}: they do not belong together",
                    tokenizer.num_ids(),
                    config.vocab_size
                ),
            });
        }
        let tokenizer_config = std::fs::read_to_string(folder.join(TOKENIZER_CONFIG)).ok();
        Ok(Self {
            config,
            tokenizer,
            tokenizer_config,
        })
    }
}

/// A file that must be there; `hint` says what to do where it is not.
fn file_in(folder: &Path, file: &'static str, hint: &'static str) -> Result<PathBuf, Error> {
    let path = folder.join(file);
    match path.is_file() {
        true => Ok(path),
        false => Err(Error::MissingFile {
            folder: folder.into(),
            file,
            hint,
        }),
    }
}
