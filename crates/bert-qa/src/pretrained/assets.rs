use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use squad_data::QaTokenizer;

use super::checkpoint_files::{CheckpointFiles, WEIGHTS, architecture};
use super::missing::{instead_of_config, instead_of_tokenizer};
use super::model_card::ModelCard;
use super::qa_config::{QA_CONFIG, QaConfig};
use super::weights;
use crate::error::Error;
use crate::model::{BertConfig, BertForQuestionAnswering};

pub(crate) const CONFIG: &str = "config.json";
/// The name that FARM gives to `config.json`.
const FARM_CONFIG: &str = "language_model_config.json";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// The Hub shows it as the model's page.
const MODEL_CARD: &str = "README.md";
/// How to make a `tokenizer.json` from the vocabulary files of an old tokenizer.
pub(crate) const MAKE_TOKENIZER: &str =
    ": make it with transformers, AutoTokenizer.from_pretrained(FROM).save_pretrained(FOLDER)";

/// The files of a model folder besides the weights: configuration, tokenizer and how the model answers.
#[derive(Clone, Debug)]
pub struct ModelAssets {
    /// `config.json`.
    pub config: BertConfig,
    /// `tokenizer.json`.
    pub tokenizer: QaTokenizer,
    /// `qa_config.json`, if the folder has one.
    pub qa_config: Option<QaConfig>,
    /// `tokenizer_config.json`, if the folder has one.
    tokenizer_config: Option<String>,
}

impl ModelAssets {
    /// Reads and checks `config.json` and the tokenizer's files.
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        if !folder.is_dir() {
            let source = std::io::Error::new(std::io::ErrorKind::NotFound, "no such model folder");
            return Err(Error::io(folder, source));
        }
        let farm = folder.join(FARM_CONFIG);
        let file = if farm.is_file() && !folder.join(CONFIG).is_file() {
            farm
        } else {
            require(folder, CONFIG, || instead_of_config(folder))?
        };
        let config = BertConfig::read_or_guess(&file, &|| {
            Ok(architecture(&CheckpointFiles::find(folder)?.open()?))
        })?;
        if !has_tokenizer(folder) {
            require(folder, TOKENIZER, || instead_of_tokenizer(folder))?;
        }
        let tokenizer = QaTokenizer::from_file(folder)?;
        let tokenizer = tokenizer.with_num_embeddings(config.vocab_size)?;
        let num_types = tokenizer.pair_template().num_token_types();
        let inputs = config.architecture.spec().model_inputs;
        // DeBERTa's tokenizers return types, of which most of its models have none.
        let has_types = inputs.contains(&"token_type_ids") && config.type_vocab_size > 0;
        if has_types && num_types > config.type_vocab_size {
            return Err(Error::Config {
                path: tokenizer.name().into(),
                message: format!(
                    "this tokenizer has {num_types} token types, the model {}: they do not belong together",
                    config.type_vocab_size
                ),
            });
        }
        let path = folder.join(TOKENIZER_CONFIG);
        let tokenizer_config = path.is_file().then(|| atomic_fs::read_text(&path));
        let tokenizer_config = tokenizer_config.and_then(Result::ok);
        let qa_config = QaConfig::read(folder, config.max_seq_length())?;
        Ok(Self {
            config,
            tokenizer,
            qa_config,
            tokenizer_config,
        })
    }

    /// Saves a model folder that [`Pretrained::load`](super::load::Pretrained::load) and
    /// transformers' `from_pretrained` read: weights, configuration and tokenizer, and `qa_config.json` if
    /// there is a [`QaConfig`]. Equal models give equal bytes.
    ///
    /// The folder is replaced as a whole: its files are written to a temporary folder beside it,
    /// which is then renamed.
    ///
    /// # Errors
    /// If a file cannot be written, or a weight is NaN or infinite; an existing folder is then
    /// unchanged.
    pub fn save(&self, model: &BertForQuestionAnswering, folder: &Path) -> Result<(), Error> {
        atomic_fs::replace_folder(folder, |new| {
            self.write(model, self.qa_config.as_ref(), new)
        })
    }

    /// As [`ModelAssets::save`], with a model card, `README.md`, and always with the `qa_config.json` that the card's
    /// example reads.
    ///
    /// # Errors
    /// As [`ModelAssets::save`].
    pub fn save_with_card(
        &self,
        model: &BertForQuestionAnswering,
        folder: &Path,
        card: &ModelCard,
    ) -> Result<(), Error> {
        atomic_fs::replace_folder(folder, |new| {
            self.write(model, Some(&self.qa_config_or_default()), new)?;
            write(&new.join(MODEL_CARD), &card.to_markdown())
        })
    }

    /// [`ModelAssets::qa_config`], or what is used without one.
    pub fn qa_config_or_default(&self) -> QaConfig {
        let known = self.qa_config.clone();
        known.unwrap_or_else(|| QaConfig::new(self.longest()))
    }

    /// The most tokens that a feature has if nothing else is known: the positions, or the tokenizer's limit, which
    /// transformers takes for the pipeline's window too.
    fn longest(&self) -> usize {
        let positions = self.config.max_seq_length();
        let config = self.tokenizer_config.as_deref().unwrap_or_default();
        let config: Value = serde_json::from_str(config).unwrap_or_default();
        // The second is the key's old name. Tokenizers without a limit have 1e30.
        let limit = ["model_max_length", "max_len"].map(|key| config[key].as_u64());
        let limit = limit.into_iter().flatten().find(|&limit| limit > 0);
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        limit.map_or(positions, |limit| limit.min(positions))
    }

    fn write(
        &self,
        model: &BertForQuestionAnswering,
        qa_config: Option<&QaConfig>,
        folder: &Path,
    ) -> Result<(), Error> {
        let config = folder.join(CONFIG);
        write(&config, &self.config.to_json())?;
        write(&folder.join(TOKENIZER_CONFIG), &self.tokenizer_config())?;
        self.tokenizer.save(&folder.join(TOKENIZER))?;
        if let Some(qa_config) = qa_config {
            write(&folder.join(QA_CONFIG), &qa_config.to_json()?)?;
        }
        let weights = folder.join(WEIGHTS[0]);
        weights::save(model, &weights)?;
        // Burn writes through a private temporary file. Give the weights the permissions of the
        // other files, so that other users can read them too.
        std::fs::metadata(&config)
            .and_then(|config| std::fs::set_permissions(&weights, config.permissions()))
            .map_err(|e| Error::io(&weights, e))
    }

    /// The loaded `tokenizer_config.json`, or the smallest that transformers accepts; with it transformers tokenizes as
    /// the saved `tokenizer.json` says.
    fn tokenizer_config(&self) -> String {
        let loaded = self.tokenizer_config.as_deref();
        let loaded: Option<Map<String, Value>> =
            loaded.and_then(|text| serde_json::from_str(text).ok());
        let mut config = loaded.clone().unwrap_or_else(|| {
            let config = json!({
                "tokenizer_class": "PreTrainedTokenizerFast",
                "model_max_length": self.config.max_seq_length(),
                // This class of transformers 5 returns token types only if they are named.
                "model_input_names": self.config.architecture.spec().model_inputs,
            });
            config.as_object().cloned().unwrap_or_default()
        });
        // Of these classes transformers takes `tokenizer.json` as it is.
        let class = config.get("tokenizer_class").and_then(Value::as_str);
        let as_it_is = matches!(class, Some("PreTrainedTokenizerFast" | "TokenizersBackend"));
        for (key, value) in self.tokenizer.config() {
            let is_token = key.ends_with("_token");
            // A file may name a token by an object.
            // transformers 4 sets this one of every class.
            let is_option = !is_token && (!as_it_is || key == "add_prefix_space");
            if (is_token && !config.contains_key(&key)) || is_option {
                config.insert(key, value);
            }
        }
        // Of its own accord this class of transformers 5 gives the model no token types.
        let is_albert = config.get("tokenizer_class") == Some(&"AlbertTokenizer".into());
        if is_albert && self.tokenizer.pair_template().num_token_types() > 1 {
            let inputs = self.config.architecture.spec().model_inputs;
            let names = config.entry("model_input_names");
            names.or_insert_with(|| inputs.into());
        }
        match &self.tokenizer_config {
            Some(text) if loaded.as_ref() == Some(&config) => text.clone(),
            _ => format!("{:#}\n", Value::Object(config)),
        }
    }
}

/// Whether a folder has all files of a tokenizer in one of its forms.
pub(crate) fn has_tokenizer(folder: &Path) -> bool {
    let is_there = |file: &&str| folder.join(file).is_file();
    QaTokenizer::FILES
        .iter()
        .any(|files| files.iter().all(is_there))
}

/// The path of a file that the folder must hold; `hint` follows the error message.
fn require(
    folder: &Path,
    file: &'static str,
    hint: impl FnOnce() -> String,
) -> Result<PathBuf, Error> {
    let path = folder.join(file);
    if path.is_file() {
        Ok(path)
    } else {
        Err(Error::MissingFile {
            folder: folder.into(),
            file,
            hint: hint(),
        })
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|e| Error::io(path, e))
}
