//! Folders with a SentencePiece model alone equal transformers' fast tokenizers, recorded by
//! scripts/reference/make_sentencepiece_fixture.py.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use squad_data::{Example, FeatureOptions, QaTokenizer, make_features};

use crate::common::fixture;

#[derive(Deserialize)]
struct Golden {
    /// Questions and contexts.
    texts: Vec<(String, String)>,
    folders: BTreeMap<String, Folder>,
}

#[derive(Deserialize)]
struct Folder {
    /// Number of ids.
    size: usize,
    /// What transformers makes of `texts`.
    pairs: Vec<Pair>,
}

#[derive(Deserialize, PartialEq, Debug)]
struct Pair {
    /// With the special tokens.
    ids: Vec<u32>,
    /// Offsets of the question's tokens.
    question: Vec<(u32, u32)>,
    /// Offsets of the context's tokens.
    context: Vec<(u32, u32)>,
}

fn golden(folder: &Path) -> Golden {
    let bytes = std::fs::read(folder.join("expected.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// The pairs as `tokenizer` has them.
fn pairs(tokenizer: &QaTokenizer, texts: &[(String, String)]) -> Vec<Pair> {
    let encode = |text: &str| tokenizer.encode(text).unwrap();
    let pair = |(question, context): &(String, String)| {
        let [question, context] = [question, context].map(|text| encode(text));
        let template = tokenizer.pair_template();
        Pair {
            ids: template.input_ids(&question.ids, &context.ids),
            question: question.offsets,
            context: context.offsets,
        }
    };
    texts.iter().map(pair).collect()
}

fn check(folder: &Path) {
    let golden = golden(folder);
    assert!(golden.texts.len() >= 40 && golden.folders.len() >= 8);
    for (name, expected) in &golden.folders {
        let tokenizer = QaTokenizer::from_file(&folder.join(name)).unwrap();
        assert_eq!(tokenizer.warnings(), [""; 0], "{name}");
        assert_eq!(tokenizer.vocab_size(), expected.size, "{name}");
        let ours = pairs(&tokenizer, &golden.texts);
        for ((ours, theirs), texts) in ours.iter().zip(&expected.pairs).zip(&golden.texts) {
            assert_eq!(ours, theirs, "{name}: {texts:?}");
        }
        // What is saved is the same tokenizer.
        let saved = test_support::temp_dir();
        tokenizer.save(saved.path()).unwrap();
        let saved = QaTokenizer::from_file(saved.path()).unwrap();
        assert_eq!(pairs(&saved, &golden.texts), ours, "{name}");
    }
}

#[test]
fn a_model_alone_equals_transformers() {
    // Another folder that the script has made, for example with all normalization rules.
    let other = std::env::var_os("SQUAD_BURN_SENTENCEPIECE");
    check(&other.map_or_else(|| fixture("sentencepiece"), Into::into));
}

/// Token types and windows of features come from the same rules.
#[test]
fn features_have_the_types_of_their_model() {
    let types = |name: &str| {
        let tokenizer = QaTokenizer::from_file(&fixture("sentencepiece").join(name)).unwrap();
        let examples = [Example::new("q", "Who?", "The baker.")];
        let features = make_features(&examples, &tokenizer, &FeatureOptions::default()).unwrap();
        features[0].token_type_ids().max()
    };
    assert_eq!(types("deberta-v2"), Some(1));
    assert_eq!(types("albert"), Some(1));
    assert_eq!(types("camembert"), Some(0));
    assert_eq!(types("xlm-roberta"), Some(0));
}

/// Copies a folder, without and with files.
fn changed(name: &str, files: &[(&str, &str)]) -> test_support::TempDir {
    let folder = test_support::temp_dir();
    for entry in std::fs::read_dir(fixture("sentencepiece").join(name)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    for (file, text) in files {
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    folder
}

/// Negative control: another type's rules make something else of the same model.
#[test]
fn the_rules_of_another_type_are_noticed() {
    let golden = golden(&fixture("sentencepiece"));
    for (name, other) in [
        ("xlm-roberta", "camembert"),
        ("camembert", "xlm-roberta"),
        ("albert", "deberta-v2"),
        ("deberta-v2", "albert"),
    ] {
        let config = format!("{{\"model_type\": \"{other}\"}}");
        let folder = changed(name, &[("config.json", &config)]);
        let tokenizer = QaTokenizer::from_file(folder.path()).unwrap();
        let ours = pairs(&tokenizer, &golden.texts);
        let same = ours.iter().zip(&golden.folders[name].pairs);
        let same = same.filter(|(ours, theirs)| ours == theirs).count();
        assert!(same < golden.texts.len() / 2, "{name}: {same}");
    }
}

#[test]
fn what_cannot_be_read_is_one_line() {
    let error = |name: &str, files: &[(&str, &str)]| {
        let folder = changed(name, files);
        let message = QaTokenizer::from_file(folder.path())
            .unwrap_err()
            .to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    };
    for (files, part) in [
        (
            [("config.json", "{\"model_type\": \"t5\"}")],
            "spm.model: SentencePiece models of t5 are not supported; make a tokenizer.json",
        ),
        ([("config.json", "{}")], "spm.model: neither"),
        (
            [("spm.model", "version https://git-lfs.github.com/spec/v1\n")],
            "spm.model: a Git LFS pointer",
        ),
        ([("spm.model", "<html>")], "spm.model: a web page"),
        ([("spm.model", "")], "spm.model: empty"),
        ([("spm.model", "words")], "spm.model: damaged"),
        (
            [("added_tokens.json", "{\"a\": \"b\"}")],
            "added_tokens.json: \"a\" has no id",
        ),
        ([("added_tokens.json", "[]")], "added_tokens.json: not a"),
        (
            [(
                "tokenizer_config.json",
                "{\"added_tokens_decoder\": {\"x\": {\"content\": \"y\"}}}",
            )],
            "added_tokens_decoder: \"x\"",
        ),
    ] {
        let message = error("deberta-v2", &files);
        assert!(message.contains(part), "{message}");
    }
}

/// Cut anywhere, changed anywhere: one error or a tokenizer, and no panic leaves the crate.
#[test]
fn damaged_models_are_errors() {
    let folder = changed("albert", &[]);
    let file = folder.path().join("spiece.model");
    let model = std::fs::read(&file).unwrap();
    let read = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        QaTokenizer::from_file(folder.path())
    };
    for length in (0..model.len()).step_by(61) {
        if let Err(error) = read(&model[..length]) {
            let message = error.to_string();
            assert!(message.contains("spiece.model: "), "{message}");
        }
    }
    for index in (0..model.len()).step_by(23) {
        for byte in [0, 0x7f, 0x80, 0xff] {
            let mut changed = model.clone();
            changed[index] = byte;
            if let Ok(tokenizer) = read(&changed) {
                let _ = tokenizer.encode("Zoë’s café, 1,250 [MASK]");
            }
        }
    }
}
