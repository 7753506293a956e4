//! Loading and saving `tokenizer.json`.

use std::path::Path;

use squad_data::{PairTemplate, QaTokenizer};

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
    for wrong in ["", "{}", "[]", &json[..json.len() / 2]] {
        let message = error(wrong);
        let expected = "t.json: not a tokenizer.json";
        assert!(message.starts_with(expected), "{message}");
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
