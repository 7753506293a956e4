//! Loading and saving `tokenizer.json`.

use std::path::Path;

use serde::Deserialize;
use squad_data::{Example, FeatureOptions, PairTemplate, QaTokenizer, make_features};

use crate::common::{fixture, small_tokenizer};

#[test]
fn a_missing_file_is_named() {
    let error = |path: &Path| QaTokenizer::from_file(path).unwrap_err().to_string();
    let message = error(Path::new("no/such/file.json"));
    let expected = "cannot read no/such/file.json: ";
    assert!(message.starts_with(expected), "{message}");
    let message = error(test_support::temp_dir().path());
    assert!(message.contains("tokenizer.json"), "{message}");
}

#[test]
fn files_that_are_no_bert_tokenizer_are_rejected() {
    let error = |json: &str| {
        let message = QaTokenizer::from_bytes("t.json", json.as_bytes());
        message.unwrap_err().to_string()
    };
    let json = std::fs::read_to_string(fixture("tokenizer.json")).unwrap();
    let mut file: serde_json::Value = serde_json::from_str(&json).unwrap();
    file["post_processor"]["special_tokens"]["[CLS]"]["ids"] = 99_999.into();
    let message = error(&file.to_string());
    assert!(message.starts_with("t.json: "), "{message}");
    file["post_processor"]["special_tokens"]["[CLS]"]["ids"] = serde_json::json!([99_999]);
    let message = error(&file.to_string());
    assert!(
        message.contains("id 99999, which the vocabulary does not have"),
        "{message}"
    );
    file["post_processor"] = serde_json::Value::Null;
    let message = error(&file.to_string());
    assert!(
        message.starts_with("t.json: post_processor is null"),
        "{message}"
    );
    for (wrong, expected) in [
        ("", "empty"),
        ("{}", "not a tokenizer.json"),
        ("[]", "not a tokenizer.json"),
        ("{\"model\": 1}", "not a tokenizer.json"),
        (&json[..json.len() / 2], "not JSON: "),
    ] {
        let message = error(wrong);
        let expected = format!("t.json: {expected}");
        assert!(message.starts_with(&expected), "{message}");
    }
}

#[test]
fn truncation_and_padding_are_off_also_after_saving() {
    let text = std::fs::read_to_string(fixture("tokenizer.json")).unwrap();
    let truncates = text.contains("\"max_length\": 128");
    assert!(
        truncates,
        "the fixture must truncate, or this test shows nothing"
    );
    let tokenizer = small_tokenizer();
    let count = |text: &str| tokenizer.encode(text).unwrap().ids.len();
    assert_eq!((count(&"bread ".repeat(400)), count("bread")), (400, 1));

    let folder = test_support::temp_dir();
    tokenizer.save(folder.path()).unwrap();
    let saved = std::fs::read_to_string(folder.path().join("tokenizer.json")).unwrap();
    assert!(saved.contains("\"truncation\": null") && saved.contains("\"padding\": null"));
    let again = QaTokenizer::from_file(folder.path()).unwrap();
    let encode = |tokenizer: &QaTokenizer| tokenizer.encode("Zoë’s café, 1,250").unwrap();
    assert_eq!(encode(&again), encode(&tokenizer));
    assert_eq!(again.vocab_size(), tokenizer.vocab_size());
    assert_eq!(**again.pair_template(), PairTemplate::bert(2, 3));

    let message = tokenizer.save(&folder.path().join("no/such/place.json"));
    let message = message.unwrap_err().to_string();
    assert!(message.starts_with("cannot write "), "{message}");
}

/// Cut anywhere, changed anywhere: one error or a tokenizer, and no panic leaves the crate.
#[test]
fn damaged_files_are_errors() {
    let json = std::fs::read(fixture("tokenizer.json")).unwrap();
    let read = |bytes: &[u8]| QaTokenizer::from_bytes("t.json", bytes);
    for length in (0..json.len()).step_by(13) {
        let message = read(&json[..length]).unwrap_err().to_string();
        let problem = if length == 0 { "empty" } else { "not JSON" };
        assert!(
            message.starts_with(&format!("t.json: {problem}: ")),
            "{message}"
        );
    }
    for index in (0..json.len()).step_by(7) {
        for byte in [b'0', b'"', b'}', b'x'] {
            let mut changed = json.clone();
            changed[index] = byte;
            if let Ok(tokenizer) = read(&changed) {
                let _ = tokenizer.encode("Zoë’s café, 1,250");
            }
        }
    }
}

/// What the `tokenizers` crate panics on.
#[test]
fn parts_that_contradict_each_other_are_errors() {
    let json = std::fs::read_to_string(fixture("tokenizer.json")).unwrap();
    let good: serde_json::Value = serde_json::from_str(&json).unwrap();
    let bpe = |prefix: &str| {
        serde_json::json!({"type": "BPE", "vocab": {"a": 0, "b": 1, "[CLS]": 2, "[SEP]": 3},
            "merges": [["a", "b"]], "continuing_subword_prefix": prefix})
    };
    for (key, value) in [
        ("model", bpe("longer than a token")),
        ("model", bpe("##")),
        (
            "normalizer",
            serde_json::json!({"type": "Precompiled", "precompiled_charsmap": "AAAAAA=="}),
        ),
        (
            "normalizer",
            serde_json::json!({"type": "Precompiled", "precompiled_charsmap": 1}),
        ),
    ] {
        let mut file = good.clone();
        file[key] = value;
        let error = QaTokenizer::from_bytes("t.json", file.to_string().as_bytes()).unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with("t.json: ") && !message.contains('\n'),
            "{message}"
        );
    }
}

/// The decoder is of no use here, whatever it is, and is kept in the saved file.
#[test]
fn the_decoder_is_only_kept() {
    let json = std::fs::read_to_string(fixture("tokenizer.json")).unwrap();
    let mut file: serde_json::Value = serde_json::from_str(&json).unwrap();
    let folder = test_support::temp_dir();
    for decoder in [
        file["decoder"].clone(),
        serde_json::json!({"type": "Foo", "x": ["y\n"]}),
    ] {
        file["decoder"] = decoder.clone();
        let tokenizer = QaTokenizer::from_bytes("t.json", file.to_string().as_bytes()).unwrap();
        tokenizer.save(folder.path()).unwrap();
        let saved = std::fs::read(folder.path().join("tokenizer.json")).unwrap();
        let saved: serde_json::Value = serde_json::from_slice(&saved).unwrap();
        assert_eq!(saved["decoder"], decoder);
        assert_eq!(saved["model"]["vocab"], file["model"]["vocab"]);
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

/// The options of `tokenizer_config.json` win over `tokenizer.json`, are warnings, and are in the saved file.
#[test]
fn contradicting_options_are_followed_and_told() {
    let json = std::fs::read_to_string(fixture("tokenizer.json")).unwrap();
    let folder = test_support::temp_dir();
    write(folder.path(), "tokenizer.json", &json);
    let ids = |text: &str| {
        let tokenizer = QaTokenizer::from_file(folder.path()).unwrap();
        (
            tokenizer.encode(text).unwrap().ids,
            tokenizer.warnings().to_vec(),
        )
    };
    let (lower, warnings) = ids("Bread");
    assert_eq!(warnings, [""; 0]);
    for agrees in [r#"{"do_lower_case": true, "strip_accents": null}"#, "{}"] {
        write(folder.path(), "tokenizer_config.json", agrees);
        assert_eq!(ids("Bread"), (lower.clone(), Vec::new()));
    }
    // Of this class transformers takes tokenizer.json as it is.
    let class = r#"{"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": false}"#;
    write(folder.path(), "tokenizer_config.json", class);
    assert_eq!(ids("Bread"), (lower.clone(), Vec::new()));

    write(
        folder.path(),
        "tokenizer_config.json",
        r#"{"do_lower_case": false}"#,
    );
    let (cased, warnings) = ids("Bread");
    assert_ne!(cased, lower);
    // A cased file that no configuration confirms is followed, and told: transformers would lowercase.
    let said = json.replace("\"lowercase\": true", "\"lowercase\": false");
    assert_ne!(said, json);
    for (config, count) in [
        (r#"{"model_max_length": 99}"#, 1),
        (r#"{"tokenizer_class": "BertTokenizer"}"#, 1),
        (r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#, 0),
    ] {
        let other = test_support::temp_dir();
        write(other.path(), "tokenizer.json", &said);
        write(other.path(), "tokenizer_config.json", config);
        write(other.path(), "config.json", r#"{"model_type": "bert"}"#);
        let tokenizer = QaTokenizer::from_file(other.path()).unwrap();
        assert_eq!(tokenizer.encode("Bread").unwrap().ids, cased);
        let warnings = tokenizer.warnings();
        assert_eq!(warnings.len(), count, "{config}: {warnings:?}");
        assert!(
            warnings
                .iter()
                .all(|line| line.contains("do_lower_case as true, not false")),
            "{warnings:?}"
        );
    }
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("do_lower_case is false, the tokenizer has true"),
        "{warnings:?}"
    );
    let tokenizer = QaTokenizer::from_file(folder.path()).unwrap();
    let saved = test_support::temp_dir();
    tokenizer.save(saved.path()).unwrap();
    let again = QaTokenizer::from_file(saved.path()).unwrap();
    assert_eq!(again.encode("Bread").unwrap().ids, cased);
    assert_eq!(again.config()["do_lower_case"], false);
    assert_eq!(again.config()["cls_token"], "[CLS]");
    assert_eq!(again.config()["mask_token"], "[MASK]");

    write(folder.path(), "tokenizer_config.json", "[");
    let message = QaTokenizer::from_file(folder.path())
        .unwrap_err()
        .to_string();
    assert!(message.contains("tokenizer_config.json"), "{message}");
}

/// RoBERTa's options of `tokenizer_config.json` win over its `tokenizer.json` too.
#[test]
fn robertas_contradicting_options_are_followed() {
    let folder = test_support::temp_dir();
    let vocab = r#"{"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "Ġ": 5, "Ġa": 6}"#;
    write(folder.path(), "vocab.json", vocab);
    write(folder.path(), "merges.txt", "#version: 0.2\nĠ a\n");
    let made = QaTokenizer::from_file(folder.path()).unwrap();
    made.save(folder.path()).unwrap();
    let read = |config: &str| {
        write(folder.path(), "tokenizer_config.json", config);
        QaTokenizer::from_file(folder.path()).unwrap()
    };
    let plain = read(r#"{"tokenizer_class": "RobertaTokenizer"}"#);
    assert_eq!(plain.encode("a a").unwrap().ids, [4, 6]);
    assert!(!plain.config().contains_key("add_prefix_space"));
    let prefix = r#"{"tokenizer_class": "RobertaTokenizer", "add_prefix_space": true, "trim_offsets": false}"#;
    let prefix = read(prefix);
    let encoding = prefix.encode("a a").unwrap();
    assert_eq!((encoding.ids, encoding.offsets[1]), (vec![6, 6], (1, 3)));
    assert_eq!(prefix.config()["add_prefix_space"], true);
    assert_eq!(prefix.config()["trim_offsets"], false);
    let [warning] = prefix.warnings() else {
        panic!("{:?}", prefix.warnings());
    };
    assert!(
        warning.contains("add_prefix_space is true, the tokenizer has false"),
        "{warning}"
    );
    // What the file alone says is followed too; transformers would take its defaults.
    prefix.save(folder.path()).unwrap();
    let alone = read("{}");
    assert_eq!(alone.encode("a a").unwrap().ids, [6, 6]);
    assert_eq!(alone.warnings(), [""; 0]);
    let alone = read(r#"{"tokenizer_class": "RobertaTokenizer"}"#);
    assert_eq!(alone.encode("a a").unwrap().ids, [6, 6]);
    let [warning] = alone.warnings() else {
        panic!("{:?}", alone.warnings());
    };
    assert!(
        warning.contains("add_prefix_space as false, not true; trim_offsets as true, not false"),
        "{warning}"
    );
    made.save(folder.path()).unwrap();
    // transformers sets it for every class; version 5 takes the last two as their tokenizer.json says.
    let other = read(r#"{"tokenizer_class": "LongformerTokenizer", "add_prefix_space": true}"#);
    assert_eq!(other.encode("a a").unwrap().ids, [6, 6]);
    for class in ["PreTrainedTokenizerFast", "TokenizersBackend"] {
        let plain = format!(r#"{{"tokenizer_class": "{class}", "add_prefix_space": true}}"#);
        let plain = read(&plain);
        assert_eq!(plain.encode("a a").unwrap().ids, [4, 6]);
        let [warning] = plain.warnings() else {
            panic!("{:?}", plain.warnings());
        };
        assert!(
            warning.contains("transformers 4 takes add_prefix_space as true, not false"),
            "{warning}"
        );
    }
}

#[test]
fn of_many_tokens_without_an_embedding_the_first_are_named() {
    let json = std::fs::read_to_string(fixture("tokenizer.json")).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let num_embeddings = small_tokenizer().num_ids();
    let added = json["added_tokens"].as_array_mut().unwrap();
    added.extend((0..20).map(|index| {
        serde_json::json!({"id": num_embeddings + index, "content": format!("<{index}>"), "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false, "special": false})
    }));
    let tokenizer = QaTokenizer::from_bytes("t.json", json.to_string().as_bytes()).unwrap();
    let tokenizer = tokenizer.with_num_embeddings(num_embeddings).unwrap();
    let warning = &tokenizer.warnings()[0];
    assert!(
        warning.contains("\"<0>\"") && warning.contains("\"<7>\" and 12 more: a text"),
        "{warning}"
    );
}

/// As transformers' key says.
#[test]
fn special_tokens_in_a_text_may_be_split() {
    let folder = test_support::temp_dir();
    let json = std::fs::read_to_string(fixture("tokenizer.json")).unwrap();
    write(folder.path(), "tokenizer.json", &json);
    let count = |config: &str| {
        write(folder.path(), "tokenizer_config.json", config);
        let tokenizer = QaTokenizer::from_file(folder.path()).unwrap();
        tokenizer.encode("[CLS]").unwrap().ids.len()
    };
    assert_eq!(count(r#"{"split_special_tokens": false}"#), 1);
    assert!(count(r#"{"split_special_tokens": true}"#) > 1);
}

/// As PowerShell writes texts.
#[test]
fn a_configuration_may_be_utf_16() {
    let folder = test_support::temp_dir();
    let json = std::fs::read_to_string(fixture("tokenizer.json")).unwrap();
    write(folder.path(), "tokenizer.json", &json);
    let config = "\u{feff}{\"cls_token\": \"[SEP]\"}";
    let bytes: Vec<u8> = config.encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(folder.path().join("tokenizer_config.json"), bytes).unwrap();
    let tokenizer = QaTokenizer::from_file(folder.path()).unwrap();
    assert!(!tokenizer.begins_with_cls());
}

/// The first feature has the end of the context.
#[test]
fn a_context_is_cut_from_the_side_that_the_configuration_names() {
    let folder = test_support::temp_dir();
    let json = std::fs::read_to_string(fixture("tokenizer.json")).unwrap();
    write(folder.path(), "tokenizer.json", &json);
    let context = format!("{}cat", "the ".repeat(30));
    let examples = [Example::new("q", "who?", context)];
    let options = FeatureOptions {
        max_seq_length: 24,
        doc_stride: 4,
        ..FeatureOptions::default()
    };
    let ends = |config: &str| {
        write(folder.path(), "tokenizer_config.json", config);
        let tokenizer = QaTokenizer::from_file(folder.path()).unwrap();
        let features = make_features(&examples, &tokenizer, &options).unwrap();
        let last = features
            .iter()
            .map(|feature| feature.offsets.last().unwrap().1);
        last.collect::<Vec<_>>()
    };
    let right = ends(r#"{"truncation_side": "right"}"#);
    let left = ends(r#"{"truncation_side": "left"}"#);
    assert!(right.is_sorted() && right.len() > 1, "{right:?}");
    assert!(
        left.is_sorted_by(|a, b| a > b) && left.len() > 1,
        "{left:?}"
    );
    assert_eq!((right.last(), left.first()), (Some(&123), Some(&123)));
}

/// As `tokenizer.cls_token` of transformers.
#[test]
fn a_feature_begins_with_the_cls_token_or_not() {
    let folder = test_support::temp_dir();
    let json = std::fs::read_to_string(fixture("tokenizer.json")).unwrap();
    write(folder.path(), "tokenizer.json", &json);
    for (config, expected) in [
        ("{}", true),
        (r#"{"tokenizer_class": "BertTokenizer"}"#, true),
        (r#"{"cls_token": {"content": "[CLS]"}}"#, true),
        (r#"{"cls_token": "[SEP]"}"#, false),
        (r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#, false),
        (
            r#"{"tokenizer_class": "TokenizersBackend", "cls_token": "[CLS]"}"#,
            true,
        ),
    ] {
        write(folder.path(), "tokenizer_config.json", config);
        let tokenizer = QaTokenizer::from_file(folder.path()).unwrap();
        assert_eq!(tokenizer.begins_with_cls(), expected, "{config}");
    }
}

/// A model that gets no token types from transformers gets none but 0.
#[test]
fn token_types_that_the_model_does_not_get_are_0() {
    let json = std::fs::read_to_string(fixture("tokenizer.json")).unwrap();
    let folder = test_support::temp_dir();
    write(folder.path(), "tokenizer.json", &json);
    let types = |config: &str| {
        write(folder.path(), "tokenizer_config.json", config);
        let tokenizer = QaTokenizer::from_file(folder.path()).unwrap();
        let template = tokenizer.pair_template();
        let types: Vec<u32> = template.token_type_ids(1, 1).collect();
        (types, template.num_token_types())
    };
    let named = r#"{"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}"#;
    assert_eq!(types("{}"), (vec![0, 0, 0, 1, 1], 2));
    assert_eq!(types(named), types("{}"));
    let without = r#"{"model_input_names": ["input_ids", "attention_mask"]}"#;
    assert_eq!(types(without), (vec![0; 5], 1));
    let version_5 = r#"{"tokenizer_class": "TokenizersBackend"}"#;
    assert_eq!(types(version_5), types(without));
    let albert = r#"{"tokenizer_class": "AlbertTokenizer", "backend": "tokenizers"}"#;
    assert_eq!(types(albert), (vec![0; 5], 1));
    let tokenizer = QaTokenizer::from_file(folder.path()).unwrap();
    let [warning] = tokenizer.warnings() else {
        panic!("{:?}", tokenizer.warnings());
    };
    assert!(
        warning.contains("AlbertTokenizer gives the model no token types"),
        "{warning}"
    );
    let version_4 = r#"{"tokenizer_class": "AlbertTokenizer"}"#;
    assert_eq!(types(version_4), types("{}"));
}

#[test]
fn left_padding_is_told() {
    let json = std::fs::read_to_string(fixture("tokenizer.json")).unwrap();
    let folder = test_support::temp_dir();
    write(folder.path(), "tokenizer.json", &json);
    write(
        folder.path(),
        "tokenizer_config.json",
        r#"{"padding_side": "left"}"#,
    );
    let tokenizer = QaTokenizer::from_file(folder.path()).unwrap();
    assert_eq!(tokenizer.warnings().len(), 1);
    assert!(tokenizer.warnings()[0].contains("padding_side is left"));
}

/// Their vocabularies look like BERT's and RoBERTa's.
#[test]
fn tokenizers_that_cut_texts_in_another_way_are_refused() {
    let folder = test_support::temp_dir();
    let vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n";
    write(folder.path(), "vocab.txt", vocab);
    for class in ["BertJapaneseTokenizer", "HerbertTokenizerFast"] {
        let config = format!(r#"{{"tokenizer_class": "{class}"}}"#);
        write(folder.path(), "tokenizer_config.json", &config);
        let message = QaTokenizer::from_file(folder.path())
            .unwrap_err()
            .to_string();
        assert!(message.contains(class), "{message}");
    }
    let bert = r#"{"tokenizer_class": "BertTokenizerFast"}"#;
    write(folder.path(), "tokenizer_config.json", bert);
    assert!(QaTokenizer::from_file(folder.path()).is_ok());
}

/// Tokens that were added beside a `vocab.txt`, in both forms of the files.
#[test]
fn added_tokens_of_a_vocabulary_are_read() {
    let folder = test_support::temp_dir();
    write(
        folder.path(),
        "vocab.txt",
        "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n",
    );
    let ids = || {
        let tokenizer = QaTokenizer::from_file(folder.path()).unwrap();
        tokenizer.encode("a [E2] <ent> a").unwrap().ids
    };
    assert!(!ids().contains(&7));
    write(
        folder.path(),
        "added_tokens.json",
        r#"{"<ent>": 7, "[E2]": 6}"#,
    );
    assert_eq!(ids(), [5, 6, 7, 5]);
    // The newer file wins.
    let config = r#"{"added_tokens_decoder": {"7": {"content": "[E2]", "special": true}, "6": {"content": "<ent>"},
        "0": {"content": "[PAD]", "special": true}}}"#;
    write(folder.path(), "tokenizer_config.json", config);
    assert_eq!(ids(), [5, 7, 6, 5]);
    // What names no token is an error, as with a SentencePiece model.
    for (name, text, part) in [
        (
            "tokenizer_config.json",
            r#"{"added_tokens_decoder": {"x": {"content": "y"}}}"#,
            "tokenizer_config.json: added_tokens_decoder: \"x\" is no id",
        ),
        (
            "tokenizer_config.json",
            r#"{"added_tokens_decoder": {"6": "<ent>"}}"#,
            "tokenizer_config.json: added_tokens_decoder: \"6\" is no id",
        ),
        (
            "tokenizer_config.json",
            r#"{"added_tokens_decoder": ["<ent>"]}"#,
            "tokenizer_config.json: added_tokens_decoder is no object",
        ),
        (
            "tokenizer_config.json",
            "{}",
            "added_tokens.json: \"[E2]\" has",
        ),
    ] {
        write(folder.path(), name, text);
        write(folder.path(), "added_tokens.json", r#"{"[E2]": "6"}"#);
        let message = QaTokenizer::from_file(folder.path())
            .unwrap_err()
            .to_string();
        assert!(message.contains(part), "{message}");
    }
}

/// `vocab.txt` alone gives the tokenizer that its `tokenizer.json` describes.
#[test]
fn a_vocabulary_alone_becomes_berts_tokenizer() {
    let expected = small_tokenizer();
    let count = u32::try_from(expected.vocab_size()).unwrap();
    let lines: Vec<String> = (0..count).filter_map(|id| expected.token(id)).collect();
    let folder = test_support::temp_dir();
    // An editor has added a line.
    write(folder.path(), "vocab.txt", &(lines.join("\n") + "\n\n"));
    let tokenizer = QaTokenizer::from_file(folder.path()).unwrap();
    assert_eq!(tokenizer.num_ids(), lines.len());
    assert_eq!(tokenizer.pair_template(), expected.pair_template());
    for text in ["Who ate the BREAD?", "Zoë’s café, 1,250", "[SEP] x [MASK]"] {
        assert_eq!(
            tokenizer.encode(text).unwrap(),
            expected.encode(text).unwrap()
        );
    }
    write(
        folder.path(),
        "tokenizer_config.json",
        r#"{"cls_token": "<x>"}"#,
    );
    let message = QaTokenizer::from_file(folder.path())
        .unwrap_err()
        .to_string();
    assert!(message.contains("no \"<x>\", the cls_token"), "{message}");
    write(
        folder.path(),
        "tokenizer_config.json",
        r#"{"tokenizer_class": "MPNetTokenizer"}"#,
    );
    write(
        folder.path(),
        "vocab.txt",
        "<s>\n<pad>\n</s>\n[UNK]\nBread\n<mask>\n",
    );
    let tokenizer = QaTokenizer::from_file(folder.path()).unwrap();
    assert_eq!(tokenizer.pair_template().num_special_tokens(), 4);
    assert!(tokenizer.warnings()[0].contains("capital letters"));
    // Negative control: "ℝ" is a capital letter that lowercasing leaves as it is.
    write(
        folder.path(),
        "vocab.txt",
        "<s>\n<pad>\n</s>\n[UNK]\nbread\nℝ\n##ℂ\n<mask>\n",
    );
    let tokenizer = QaTokenizer::from_file(folder.path()).unwrap();
    assert_eq!(tokenizer.warnings(), [""; 0]);
}

/// `vocab.json` with `merges.txt` gives RoBERTa's tokenizer.
#[test]
fn a_vocabulary_with_merges_becomes_robertas_tokenizer() {
    let folder = test_support::temp_dir();
    let vocab = r#"{"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "b": 5, "Ġ": 6, "ab": 7, "Ġab": 8, "<mask>": 9}"#;
    write(folder.path(), "vocab.json", vocab);
    write(folder.path(), "merges.txt", "#version: 0.2\na b\nĠ ab\n");
    let tokenizer = QaTokenizer::from_file(folder.path()).unwrap();
    assert_eq!(**tokenizer.pair_template(), PairTemplate::roberta(0, 2));
    let encoding = tokenizer.encode("ab ab a").unwrap();
    assert_eq!(encoding.ids, [7, 8, 6, 4]);
    assert_eq!(encoding.offsets[1], (3, 5));
    // What transformers 4.57.6 makes of "ab ab a" with these files.
    for (merges, ids, lost) in [
        ("#version: 0.2\na  b\nĠ ab\n", &[7, 8, 6, 4][..], ""),
        ("#version: 0.2\r\na b\r\nĠ ab\r\n", &[7, 8, 6, 4], ""),
        (
            "#version: 0.2\na b\nĠ ab",
            &[7, 6, 7, 6, 4],
            ": \"Ġ ab\" passed",
        ),
        ("a b\nĠ ab\n", &[4, 5, 6, 4, 5, 6, 4], ": \"a b\" passed"),
        (
            "a b\nĠ ab",
            &[4, 5, 6, 4, 5, 6, 4],
            "\"a b\" and \"Ġ ab\" passed",
        ),
        ("", &[4, 5, 6, 4, 5, 6, 4], ""),
    ] {
        write(folder.path(), "merges.txt", merges);
        let tokenizer = QaTokenizer::from_file(folder.path()).unwrap();
        assert_eq!(tokenizer.encode("ab ab a").unwrap().ids, ids, "{merges:?}");
        match tokenizer.warnings() {
            [] => assert_eq!(lost, "", "{merges:?}"),
            [warning] => assert!(!lost.is_empty() && warning.contains(lost), "{warning}"),
            more => panic!("{more:?}"),
        }
    }
    write(folder.path(), "merges.txt", "#version: 0.2\na b c\n");
    let message = QaTokenizer::from_file(folder.path())
        .unwrap_err()
        .to_string();
    assert!(message.contains("merges.txt: line 2"), "{message}");
    write(folder.path(), "merges.txt", "#version: 0.2\na z\n");
    let message = QaTokenizer::from_file(folder.path())
        .unwrap_err()
        .to_string();
    assert!(message.contains("vocab.json: "), "{message}");
}

#[test]
fn a_vocabulary_is_named_by_its_folder() {
    let folder = test_support::temp_dir();
    let error = |name: &str| {
        let file = folder.path().join(name);
        QaTokenizer::from_file(&file).unwrap_err().to_string()
    };
    // As a SentencePiece model and other binary files begin.
    let model = b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02\xff";
    for name in [
        "spm.model",
        "tokenizer.model",
        "vocab.txt",
        "vocab.json",
        "merges.txt",
    ] {
        assert!(error(name).contains("No such file"), "{name}");
        std::fs::write(folder.path().join(name), model).unwrap();
        let message = error(name);
        assert!(
            message.ends_with(&format!(
                "{name}: other files of its folder say how it is used: name the folder"
            )),
            "{message}"
        );
    }
    std::fs::write(folder.path().join("tokenizer.json"), model).unwrap();
    assert!(error("tokenizer.json").contains("not UTF-8"));
}

/// A pair as transformers tokenizes it.
#[derive(Deserialize)]
struct ExpectedPair {
    /// With the special tokens.
    ids: Vec<u32>,
    /// Of each token.
    question: Vec<(u32, u32)>,
    context: Vec<(u32, u32)>,
}

/// Real pairs in seven languages, by every tokenizer that packages carry.
#[test]
#[ignore = "needs ../shared/data, pip, and Python with transformers: $REFERENCE_PYTHON or python3"]
fn every_tokenizer_equals_transformers() {
    let folder = test_support::temp_dir();
    let data = test_support::shared_data("");
    let script = "scripts/reference/make_tokenizer_pairs.py";
    test_support::run_python(script, [folder.path(), &data]);

    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let pairs: Vec<(String, String)> = serde_json::from_slice(&read("pairs.json")).unwrap();
    assert!(pairs.len() >= 2000);
    let pair = |(question, context): &(String, String)| Example::new("", &**question, &**context);
    let examples: Vec<Example> = pairs.iter().map(pair).collect();
    let options = FeatureOptions {
        max_seq_length: 100_000,
        ..FeatureOptions::default()
    };
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.retain(|name| name != "pairs.json");
    assert!(names.len() >= 14, "{names:?}");
    for name in names {
        let name = name.to_str().unwrap();
        let tokenizer = QaTokenizer::from_file(&folder.path().join(name)).unwrap();
        let expected = read(&format!("{name}/expected.json"));
        let expected: Vec<ExpectedPair> = serde_json::from_slice(&expected).unwrap();
        let features = make_features(&examples, &tokenizer, &options).unwrap();
        assert_eq!((features.len(), expected.len()), (pairs.len(), pairs.len()));
        let all = std::iter::zip(&features, &expected);
        for ((feature, expected), (question, context)) in all.zip(&pairs) {
            let at = format!("{name}: {question:?} {context:?}");
            assert_eq!(feature.input_ids, expected.ids, "{at}");
            assert_eq!(feature.offsets, expected.context, "{at}");
            let encoding = tokenizer.encode(question).unwrap();
            assert_eq!(encoding.offsets, expected.question, "{at}");
        }
        // Negative control: the next pair.
        let next = std::iter::zip(&features, &expected[1..]);
        let same = next.filter(|(ours, next)| ours.input_ids == next.ids);
        assert!(same.count() < pairs.len() / 10, "{name}");
    }
}
