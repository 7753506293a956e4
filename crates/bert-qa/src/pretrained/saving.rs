use std::path::Path;

use crate::pretrained::{CONFIG, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS};
use crate::{BertForQuestionAnswering, Companions, Error, ModelCard, weights};

/// The model card, which the Hub shows as the model's page.
const MODEL_CARD: &str = "README.md";

impl Companions {
    /// Saves the four files of a model folder, so that [`crate::Pretrained::load`] and transformers'
    /// `from_pretrained` find all they need. Equal models give equal bytes.
    ///
    /// The folder appears whole or not at all: it is written under a temporary name beside
    /// `folder` and then renamed, replacing one that is there.
    ///
    /// # Errors
    /// If a file cannot be written; an older folder is then as it was.
    pub fn save(&self, model: &BertForQuestionAnswering, folder: &Path) -> Result<(), Error> {
        atomic_fs::replace_folder(folder, |new| self.write(model, new))
    }

    /// As [`Companions::save`], with a model card, `README.md`, beside the weights.
    ///
    /// # Errors
    /// As [`Companions::save`].
    pub fn save_with_card(
        &self,
        model: &BertForQuestionAnswering,
        folder: &Path,
        card: &ModelCard,
    ) -> Result<(), Error> {
        atomic_fs::replace_folder(folder, |new| {
            self.write(model, new)?;
            write(&new.join(MODEL_CARD), &card.to_markdown())
        })
    }

    fn write(&self, model: &BertForQuestionAnswering, folder: &Path) -> Result<(), Error> {
        let config = folder.join(CONFIG);
        write(&config, &self.config.to_json())?;
        write(&folder.join(TOKENIZER_CONFIG), &self.tokenizer_config())?;
        self.tokenizer.save(&folder.join(TOKENIZER))?;
        let weights = folder.join(WEIGHTS);
        weights::save(model, &weights)?;
        // Burn writes through a private temporary file; others may read the rest of the folder.
        std::fs::metadata(&config)
            .and_then(|config| std::fs::set_permissions(&weights, config.permissions()))
            .map_err(|e| Error::io(&weights, e))
    }

    /// The `tokenizer_config.json` that was loaded, or the least that transformers needs.
    fn tokenizer_config(&self) -> String {
        self.tokenizer_config.clone().unwrap_or_else(|| {
            let config = serde_json::json!({
                "tokenizer_class": "PreTrainedTokenizerFast",
                "model_max_length": self.config.max_position_embeddings,
                // Named, because this class of transformers 5 does not give token types by itself.
                "model_input_names": self.config.architecture.differences().model_inputs,
                "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]",
                "unk_token": "[UNK]", "mask_token": "[MASK]",
            });
            format!("{config:#}\n")
        })
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|e| Error::io(path, e))
}
