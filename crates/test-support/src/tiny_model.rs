use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::{Random, safetensors_file};

/// A model folder in Hugging Face layout, made from nothing: BERT with random weights and without a
/// span head, and a vocabulary of the words of given texts.
#[derive(Clone, Debug)]
pub struct TinyModel {
    /// Layers.
    pub num_hidden_layers: usize,
    /// Width of hidden states; the feed-forward layer has twice as much.
    pub hidden_size: usize,
    /// The longest feature in tokens.
    pub max_position_embeddings: usize,
    /// Rows of the word embedding fewer than the tokenizer has tokens.
    pub missing_rows: usize,
}

impl Default for TinyModel {
    fn default() -> Self {
        Self {
            num_hidden_layers: 1,
            hidden_size: 32,
            max_position_embeddings: 384,
            missing_rows: 0,
        }
    }
}

impl TinyModel {
    /// Writes `config.json`, `tokenizer.json` and `model.safetensors` for `texts`.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, folder: &Path, texts: &str) -> std::io::Result<()> {
        let vocabulary = vocabulary(texts);
        let vocab_size = vocabulary.len() - self.missing_rows;
        std::fs::create_dir_all(folder)?;
        let write = |name: &str, content: &[u8]| std::fs::write(folder.join(name), content);
        write(
            "config.json",
            self.config(vocab_size).to_string().as_bytes(),
        )?;
        write(
            "tokenizer.json",
            tokenizer(&vocabulary).to_string().as_bytes(),
        )?;
        write("model.safetensors", &self.weights(vocab_size))
    }

    fn config(&self, vocab_size: usize) -> Value {
        json!({
            "model_type": "bert",
            "vocab_size": vocab_size,
            "hidden_size": self.hidden_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": 2,
            "intermediate_size": 2 * self.hidden_size,
            "max_position_embeddings": self.max_position_embeddings,
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1,
        })
    }

    /// The tensors with their shapes, by Hugging Face's names.
    fn tensors(&self, vocab_size: usize) -> Vec<(String, Vec<usize>)> {
        let (width, inner) = (self.hidden_size, 2 * self.hidden_size);
        let mut tensors = Vec::new();
        let mut linear = |name: String, output: usize, input: usize| {
            tensors.push((format!("{name}.weight"), vec![output, input]));
            tensors.push((format!("{name}.bias"), vec![output]));
        };
        let mut norms = vec!["bert.embeddings.LayerNorm".to_owned()];
        for layer in (0..self.num_hidden_layers).map(|i| format!("bert.encoder.layer.{i}")) {
            for projection in ["self.query", "self.key", "self.value", "output.dense"] {
                linear(format!("{layer}.attention.{projection}"), width, width);
            }
            linear(format!("{layer}.intermediate.dense"), inner, width);
            linear(format!("{layer}.output.dense"), width, inner);
            norms.push(format!("{layer}.attention.output.LayerNorm"));
            norms.push(format!("{layer}.output.LayerNorm"));
        }
        for name in norms {
            tensors.push((format!("{name}.weight"), vec![width]));
            tensors.push((format!("{name}.bias"), vec![width]));
        }
        for (name, rows) in [
            ("word", vocab_size),
            ("position", self.max_position_embeddings),
            ("token_type", 2),
        ] {
            tensors.push((
                format!("bert.embeddings.{name}_embeddings.weight"),
                vec![rows, width],
            ));
        }
        tensors
    }

    /// The bytes of `model.safetensors`.
    fn weights(&self, vocab_size: usize) -> Vec<u8> {
        let mut random = Random::new(1);
        let tensors = self.tensors(vocab_size).into_iter().map(|(name, shape)| {
            let mut value = || match (name.contains("LayerNorm"), name.ends_with(".bias")) {
                (_, true) => 0.0,
                (true, false) => 1.0,
                (false, false) => 0.2 * random.normal(),
            };
            let values = (0..shape.iter().product::<usize>())
                .map(|_| value())
                .collect();
            (name, shape, values)
        });
        safetensors_file(tensors)
    }
}

/// The special tokens, every character alone and inside a word, and the words of `texts`.
fn vocabulary(texts: &str) -> Vec<String> {
    let mut tokens: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        .map(String::from)
        .into();
    let texts = texts.to_lowercase();
    let characters: BTreeSet<char> = texts.chars().chain(' '..='~').collect();
    for character in characters.into_iter().filter(|c| !c.is_whitespace()) {
        tokens.push(character.into());
        tokens.push(format!("##{character}"));
    }
    let words: BTreeSet<&str> = texts.split(|c: char| !c.is_ascii_alphabetic()).collect();
    tokens.extend(
        words
            .into_iter()
            .filter(|word| word.len() > 1)
            .map(String::from),
    );
    tokens
}

fn tokenizer(vocabulary: &[String]) -> Value {
    let ids: Map<_, _> = vocabulary
        .iter()
        .cloned()
        .zip((0..).map(|id: u32| json!(id)))
        .collect();
    let special = |(id, token)| {
        json!({"id": id, "content": token, "special": true, "normalized": false,
               "single_word": false, "lstrip": false, "rstrip": false})
    };
    let added: Vec<Value> = vocabulary[..5].iter().enumerate().map(special).collect();
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "clean_text": true,
                       "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": ids},
    })
}
