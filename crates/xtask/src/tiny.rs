//! A training run that takes seconds: an encoder of one layer, a vocabulary of the sample's words.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::root;

/// Writes a model folder without weights and a configuration that trains it from random ones; returns an error as one line.
pub(crate) fn write(folder: &Path) -> Result<(), String> {
    let train = root().join("datasets/sample/train.json");
    let texts = std::fs::read_to_string(&train).map_err(|e| format!("{}: {e}", train.display()))?;
    let vocabulary = vocabulary(&texts);
    let config = json!({
        "model_type": "bert", "vocab_size": vocabulary.len(), "hidden_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 64, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1, "max_position_embeddings": 256, "type_vocab_size": 2,
        "initializer_range": 0.02, "layer_norm_eps": 1e-12,
    });
    let settings = format!(
        "model.source = {:?}\nmodel.init = \"random\"\ntrain.files = [{:?}]\neval.file = {:?}\nrun.threads = 1\n\
         features.max_seq_length = 256\nfeatures.doc_stride = 64\n",
        folder.join("encoder"),
        train,
        root().join("datasets/sample/dev.json"),
    );
    std::fs::create_dir_all(folder.join("encoder"))
        .and_then(|()| std::fs::write(folder.join("encoder/config.json"), config.to_string()))
        .and_then(|()| {
            std::fs::write(
                folder.join("encoder/tokenizer.json"),
                tokenizer(&vocabulary).to_string(),
            )
        })
        .and_then(|()| std::fs::write(folder.join("config.toml"), settings))
        .map_err(|e| format!("{}: {e}", folder.display()))
}

/// The special tokens, every character alone and inside a word, and the words of `texts`.
fn vocabulary(texts: &str) -> Vec<String> {
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    let mut tokens: Vec<String> = special.map(String::from).into();
    for character in '!'..='~' {
        tokens.push(character.into());
        tokens.push(format!("##{character}"));
    }
    let texts = texts.to_lowercase();
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
    let ids = vocabulary
        .iter()
        .cloned()
        .zip((0..).map(|id: u32| json!(id)));
    let ids: Map<_, _> = ids.collect();
    let added = vocabulary[..5].iter().enumerate().map(|(id, token)| {
        json!({"id": id, "content": token, "special": true, "normalized": false,
               "single_word": false, "lstrip": false, "rstrip": false})
    });
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": ids},
    })
}
