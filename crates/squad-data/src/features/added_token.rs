//! Tokens beside those of a vocabulary, and where folders without a `tokenizer.json` have them.

use serde_json::{Value, json};

/// The key of `tokenizer_config.json` for added tokens by their ids.
pub(super) const DECODER: &str = "added_tokens_decoder";
/// The file of older folders for the ids of added tokens.
pub(super) const ADDED_TOKENS: &str = "added_tokens.json";
/// The list of a configuration's further special tokens.
pub(super) const ADDITIONAL: &str = "additional_special_tokens";

/// An entry of `added_tokens`, without its id.
#[derive(Clone)]
pub(super) struct AddedToken {
    pub(super) text: String,
    pub(super) single_word: bool,
    pub(super) lstrip: bool,
    pub(super) rstrip: bool,
    pub(super) normalized: bool,
    pub(super) special: bool,
}

impl AddedToken {
    pub(super) fn new(text: &str, normalized: bool, special: bool) -> Self {
        Self {
            text: text.to_owned(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized,
            special,
        }
    }

    /// From its object in a configuration; `None` if it is none.
    pub(super) fn from_object(value: &Value, special: bool) -> Option<Self> {
        let text = value.get("content")?.as_str()?;
        let flag = |key: &str| value[key].as_bool();
        let special = special || flag("special").unwrap_or(false);
        Some(Self {
            text: text.to_owned(),
            single_word: flag("single_word").unwrap_or(false),
            lstrip: flag("lstrip").unwrap_or(false),
            rstrip: flag("rstrip").unwrap_or(false),
            normalized: flag("normalized").unwrap_or(!special),
            special,
        })
    }

    /// As `tokenizer.json` has it.
    pub(super) fn to_json(&self, id: impl Into<Value>) -> Value {
        json!({"id": id.into(), "content": self.text, "single_word": self.single_word, "lstrip": self.lstrip,
            "rstrip": self.rstrip, "normalized": self.normalized, "special": self.special})
    }
}
