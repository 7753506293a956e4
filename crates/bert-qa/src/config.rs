use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Error;

/// An encoder's shape and settings, as Hugging Face's `config.json` names them.
#[derive(Clone, Debug, PartialEq)]
pub struct BertConfig {
    /// Rows of the word embedding.
    pub vocab_size: usize,
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// Encoder layers.
    pub num_hidden_layers: usize,
    /// Attention heads; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// The longest window, in tokens.
    pub max_position_embeddings: usize,
    /// Token types (question, context).
    pub type_vocab_size: usize,
    /// Added to the variance in every LayerNorm.
    pub layer_norm_eps: f64,
    /// Dropout on embeddings and sub-layer outputs.
    pub hidden_dropout_prob: f64,
    /// Dropout on attention probabilities.
    pub attention_probs_dropout_prob: f64,
    /// Standard deviation of newly initialised weights.
    pub initializer_range: f64,
    /// The whole file, kept so that what is saved has what was loaded.
    raw: Map<String, Value>,
}

/// The keys read from `config.json`; defaults are those of transformers' `BertConfig`.
#[derive(Deserialize)]
struct Raw {
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    #[serde(default = "Raw::positions")]
    max_position_embeddings: usize,
    #[serde(default = "Raw::types")]
    type_vocab_size: usize,
    #[serde(default = "Raw::eps")]
    layer_norm_eps: f64,
    #[serde(default = "Raw::dropout")]
    hidden_dropout_prob: f64,
    #[serde(default = "Raw::dropout")]
    attention_probs_dropout_prob: f64,
    #[serde(default = "Raw::range")]
    initializer_range: f64,
    #[serde(default)]
    hidden_act: Option<String>,
    #[serde(default)]
    position_embedding_type: Option<String>,
}

impl Raw {
    fn positions() -> usize {
        512
    }
    fn types() -> usize {
        2
    }
    fn eps() -> f64 {
        1e-12
    }
    fn dropout() -> f64 {
        0.1
    }
    fn range() -> f64 {
        0.02
    }
}

impl BertConfig {
    /// Reads and checks a `config.json`.
    ///
    /// # Errors
    /// If the file cannot be read or parsed, or describes an encoder that this crate does not
    /// have: another model type, activation or kind of position embedding, named in the message.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::io(path, source))?;
        Self::from_json(&text).map_err(|message| Error::Config {
            path: path.into(),
            message,
        })
    }

    /// Parses the text of a `config.json`; the error says what is wrong with it.
    pub(crate) fn from_json(text: &str) -> Result<Self, String> {
        let map: Map<String, Value> = serde_json::from_str(text).map_err(|e| e.to_string())?;
        // The type decides which keys there are, so it is looked at before any other.
        match map.get("model_type").and_then(Value::as_str) {
            Some("bert") => {}
            // DistilBERT shares this encoder but for token types, its key names and where dropout
            // stands; until those are here it is refused by name.
            Some(other) => {
                return Err(format!(
                    "model_type \"{other}\" is not supported: use \"bert\""
                ));
            }
            None => return Err("no model_type: is this a Hugging Face model folder?".into()),
        }
        let raw: Raw = serde_json::from_str(text).map_err(|e| e.to_string())?;
        debug_assert_eq!(raw.model_type, "bert");
        if let Some(act) = raw.hidden_act.filter(|act| act != "gelu") {
            return Err(format!(
                "hidden_act \"{act}\" is not supported: use \"gelu\""
            ));
        }
        if let Some(kind) = raw
            .position_embedding_type
            .filter(|kind| kind != "absolute")
        {
            return Err(format!(
                "position_embedding_type \"{kind}\" is not supported: use \"absolute\""
            ));
        }
        let config = Self {
            vocab_size: raw.vocab_size,
            hidden_size: raw.hidden_size,
            num_hidden_layers: raw.num_hidden_layers,
            num_attention_heads: raw.num_attention_heads,
            intermediate_size: raw.intermediate_size,
            max_position_embeddings: raw.max_position_embeddings,
            type_vocab_size: raw.type_vocab_size,
            layer_norm_eps: raw.layer_norm_eps,
            hidden_dropout_prob: raw.hidden_dropout_prob,
            attention_probs_dropout_prob: raw.attention_probs_dropout_prob,
            initializer_range: raw.initializer_range,
            raw: map,
        };
        config.check().map(|()| config)
    }

    fn check(&self) -> Result<(), String> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
        ];
        // A bound far above any published encoder keeps a damaged file from asking for more
        // memory than any machine has.
        if let Some((name, size)) = sizes.iter().find(|(_, size)| !(1..=1 << 20).contains(size)) {
            return Err(format!(
                "{name} is {size}: it must be between 1 and 1048576"
            ));
        }
        if self.type_vocab_size < 2 {
            return Err("type_vocab_size must be at least 2: question and context".into());
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(format!(
                "num_attention_heads {} does not divide hidden_size {}",
                self.num_attention_heads, self.hidden_size
            ));
        }
        for (name, prob) in [
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            (
                "attention_probs_dropout_prob",
                self.attention_probs_dropout_prob,
            ),
        ] {
            if !(0.0..1.0).contains(&prob) {
                return Err(format!("{name} is {prob}: it must be in 0..1"));
            }
        }
        if !(self.layer_norm_eps > 0.0 && self.initializer_range > 0.0) {
            return Err("layer_norm_eps and initializer_range must be positive".into());
        }
        Ok(())
    }

    /// The text of the `config.json` to save beside a question-answering model's weights: what
    /// was loaded, with the architecture named, and the precision that weights are saved in.
    pub fn to_json(&self) -> String {
        let mut map = self.raw.clone();
        map.insert(
            "architectures".into(),
            serde_json::json!(["BertForQuestionAnswering"]),
        );
        // The key's old name and its new one: transformers loads weights in the precision it names.
        for key in ["torch_dtype", "dtype"] {
            map.entry(key).and_modify(|dtype| *dtype = "float32".into());
        }
        map.insert(
            "hidden_dropout_prob".into(),
            self.hidden_dropout_prob.into(),
        );
        map.insert(
            "attention_probs_dropout_prob".into(),
            self.attention_probs_dropout_prob.into(),
        );
        let mut text = serde_json::to_string_pretty(&map).expect("a JSON map can be written");
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: &str = r#"{"model_type": "bert", "vocab_size": 30, "hidden_size": 8,
        "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "extra": 1}"#;

    #[test]
    fn reads_what_is_there_and_keeps_what_it_does_not_know() {
        let config = BertConfig::from_json(TINY).unwrap();
        assert_eq!(
            (config.hidden_size, config.max_position_embeddings),
            (8, 512)
        );
        assert_eq!(config.layer_norm_eps, 1e-12);
        let saved = BertConfig::from_json(&config.to_json()).unwrap();
        assert_eq!(saved.raw["extra"], 1);
        assert_eq!(saved.raw["architectures"][0], "BertForQuestionAnswering");
    }

    #[test]
    fn refuses_by_name_what_it_does_not_have() {
        for (from, to, named) in [
            ("\"bert\"", "\"distilbert\"", "distilbert"),
            ("\"extra\": 1", "\"hidden_act\": \"relu\"", "relu"),
            (
                "\"extra\": 1",
                "\"position_embedding_type\": \"relative_key\"",
                "relative_key",
            ),
            (
                "\"num_attention_heads\": 2",
                "\"num_attention_heads\": 3",
                "num_attention_heads",
            ),
            ("\"hidden_size\": 8,", "\"hidden_size\": 0,", "hidden_size"),
            ("\"hidden_size\": 8,", "", "hidden_size"),
            (
                "\"extra\": 1",
                "\"hidden_dropout_prob\": 1.5",
                "hidden_dropout_prob",
            ),
        ] {
            let error = BertConfig::from_json(&TINY.replace(from, to)).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
