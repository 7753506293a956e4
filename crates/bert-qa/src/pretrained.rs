use std::path::{Path, PathBuf};

use burn::tensor::Device;
use squad_data::QaTokenizer;

use crate::{BertConfig, BertForQuestionAnswering, Error, LoadReport, weights};

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const WEIGHTS: &str = "model.safetensors";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

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
    /// Loads a model folder in Hugging Face layout: `config.json`, `model.safetensors` and
    /// `tokenizer.json`.
    ///
    /// `seed` governs what the folder lacks: the span head of an encoder that was not trained to
    /// answer questions.
    ///
    /// # Errors
    /// If a file is missing, damaged, or the three do not belong together.
    pub fn load(folder: &Path, seed: u64, device: &Device) -> Result<Self, Error> {
        if !folder.is_dir() {
            let source = std::io::Error::new(std::io::ErrorKind::NotFound, "no such model folder");
            return Err(Error::io(folder, source));
        }
        let config = BertConfig::read(&file_in(folder, CONFIG)?)?;
        let tokenizer_file = file_in(folder, TOKENIZER)?;
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
        let weights_file = file_in(folder, WEIGHTS)?;
        let mut model = BertForQuestionAnswering::new(&config, seed, device);
        let report = weights::load(&mut model, &weights_file)?;
        let tokenizer_config = std::fs::read_to_string(folder.join(TOKENIZER_CONFIG)).ok();
        let companions = Companions {
            config,
            tokenizer,
            tokenizer_config,
        };
        Ok(Self {
            model,
            companions,
            report,
        })
    }
}

fn file_in(folder: &Path, file: &'static str) -> Result<PathBuf, Error> {
    let path = folder.join(file);
    match path.is_file() {
        true => Ok(path),
        false => Err(Error::MissingFile {
            folder: folder.into(),
            file,
        }),
    }
}
