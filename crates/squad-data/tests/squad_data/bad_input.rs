//! Wrong input is one clear line, never a panic.

use std::path::Path;

use squad_data::{Dataset, Error, Example, FeatureOptions, QaTokenizer, make_features};

use crate::common::{fixture, small_tokenizer};

const GOOD: &str = "{\"version\":\"v2.0\",\"data\":[{\"title\":\"Zoë\",\"paragraphs\":[{\"context\":\"Zoë 🙂 ate\\r\\na pie.\",\
    \"qas\":[{\"id\":\"q1\",\"question\":\"What?\",\"is_impossible\":false,\"answers\":[{\"text\":\"a pie\",\"answer_start\":11}]},\
    {\"id\":\"q2\",\"question\":\"Who?\",\"is_impossible\":true,\"answers\":[],\"plausible_answers\":[]}]}]}]}";

fn windows(example: Example, options: &FeatureOptions) -> Result<usize, Error> {
    make_features(&[example], &small_tokenizer(), options).map(|features| features.len())
}

#[test]
fn the_good_file_is_good() {
    let dataset = Dataset::from_json("good.json", GOOD.as_bytes()).unwrap();
    assert_eq!(
        (dataset.len(), dataset.version.as_deref()),
        (2, Some("v2.0"))
    );
    assert_eq!(dataset.examples[0].answers[0].text, "a pie");
    assert!(std::sync::Arc::ptr_eq(
        &dataset.examples[0].context,
        &dataset.examples[1].context
    ));
}

#[test]
fn missing_files_are_named() {
    let missing = Path::new("no/such/file.json");
    let message = Dataset::read(missing).unwrap_err().to_string();
    assert!(
        message.starts_with("cannot read no/such/file.json: "),
        "{message}"
    );
    let message = QaTokenizer::from_file(missing).unwrap_err().to_string();
    assert!(
        message.starts_with("cannot read no/such/file.json: "),
        "{message}"
    );
    let folder = tempfile::tempdir().unwrap();
    let message = QaTokenizer::from_file(folder.path())
        .unwrap_err()
        .to_string();
    assert!(message.contains("tokenizer.json"), "{message}");
    assert!(Dataset::read(folder.path()).is_err());
}

#[test]
fn files_are_joined_and_shared_ids_named() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.json"), folder.path().join("b.json"));
    std::fs::write(&a, GOOD).unwrap();
    std::fs::write(&b, GOOD.replace("\"q", "\"r")).unwrap();
    assert_eq!(Dataset::read_all(&[&a]).unwrap().len(), 2);
    std::fs::write(&b, GOOD.replace("q2", "q3")).unwrap();
    let message = Dataset::read_all(&[&a, &b]).unwrap_err().to_string();
    assert!(
        message.contains("\"q1\"") && message.contains("a.json") && message.contains("b.json"),
        "{message}"
    );
}

#[test]
fn tokenizers_that_do_not_fit() {
    let json = std::fs::read_to_string(fixture("tokenizer.json")).unwrap();
    for token in ["[CLS]", "[SEP]"] {
        let without = json.replace(token, "[XXX]");
        let message = QaTokenizer::from_bytes("t.json", without.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("t.json: ") && message.contains(token),
            "{message}"
        );
    }
    for wrong in ["", "{}", "[]", &json[..json.len() / 2]] {
        let message = QaTokenizer::from_bytes("t.json", wrong.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("t.json: not a tokenizer.json"),
            "{message}"
        );
    }
}

#[test]
fn a_saved_tokenizer_neither_cuts_nor_pads() {
    let text = std::fs::read_to_string(fixture("tokenizer.json")).unwrap();
    assert!(
        text.contains("\"max_length\": 128"),
        "the fixture must truncate, or this test shows nothing"
    );
    let tokenizer = small_tokenizer();
    let long = "bread ".repeat(400);
    assert_eq!(tokenizer.encode(&long).unwrap().ids.len(), 400);
    assert_eq!(tokenizer.encode("bread").unwrap().ids.len(), 1);

    let folder = tempfile::tempdir().unwrap();
    tokenizer.save(folder.path()).unwrap();
    let saved = std::fs::read_to_string(folder.path().join("tokenizer.json")).unwrap();
    assert!(saved.contains("\"truncation\": null") && saved.contains("\"padding\": null"));
    let again = QaTokenizer::from_file(folder.path()).unwrap();
    assert_eq!(
        again.encode("Zoë’s café, 1,250").unwrap(),
        tokenizer.encode("Zoë’s café, 1,250").unwrap()
    );
    assert_eq!(
        (again.vocab_size(), again.cls_id(), again.sep_id()),
        (tokenizer.vocab_size(), 2, 3)
    );
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing half-written remains"
    );
    let message = tokenizer
        .save(&folder.path().join("no/such/place.json"))
        .unwrap_err()
        .to_string();
    assert!(message.starts_with("cannot write "), "{message}");
}

#[test]
fn options_that_cannot_work() {
    let options = |max_seq_length, doc_stride, max_query_length| FeatureOptions {
        max_seq_length,
        doc_stride,
        max_query_length,
        ..FeatureOptions::default()
    };
    for (wrong, names) in [
        (options(384, 380, None), "doc_stride = 380: "),
        (options(384, 128, Some(253)), "doc_stride = 128: "),
        (options(4, 0, None), "max_seq_length = 4: "),
        (options(0, 0, None), "max_seq_length = 0: "),
        (
            options(384, 128, Some(usize::MAX)),
            "max_seq_length = 384: ",
        ),
        (options(384, 128, Some(0)), "max_query_length = 0: "),
    ] {
        assert!(
            wrong.validate().unwrap_err().to_string().starts_with(names),
            "{wrong:?}"
        );
        assert!(windows(Example::new("q", "who?", "the cat"), &wrong).is_err());
    }
    options(384, 379, None).validate().unwrap();
    options(384, 128, Some(252)).validate().unwrap();
}

#[test]
fn questions_without_room() {
    let long = "bread ".repeat(300);
    let options = FeatureOptions::default();
    let message = windows(
        Example::new("q7", long.clone(), "fire ".repeat(200)),
        &options,
    )
    .unwrap_err()
    .to_string();
    assert!(
        message.starts_with(
            "question \"q7\": 300 tokens, but max_seq_length 384 then has room for 81"
        ),
        "{message}"
    );
    // A context that fits in one window needs no overlap.
    assert_eq!(
        windows(Example::new("q7", long, "fire ".repeat(81)), &options).unwrap(),
        1
    );
    for length in [381, 382, 1000] {
        assert!(
            windows(
                Example::new("q7", "bread ".repeat(length), "fire"),
                &options
            )
            .is_err()
        );
    }
    let limited = FeatureOptions {
        max_query_length: Some(4),
        ..options
    };
    let message = windows(
        Example::new("q8", "who ate the old bread", "fire"),
        &limited,
    )
    .unwrap_err()
    .to_string();
    assert_eq!(
        message,
        "question \"q8\": 5 tokens, but max_query_length is 4; shorten the question or raise the limit"
    );
}

#[test]
fn contexts_without_tokens_give_one_window() {
    for context in ["\0\0", "\u{200b}", "\u{301}", " "] {
        let features = make_features(
            &[Example::new("q", "who?", context)],
            &small_tokenizer(),
            &FeatureOptions::default(),
        );
        let features = features.unwrap();
        assert_eq!(
            (features.len(), features[0].context.len()),
            (1, 0),
            "{context:?}"
        );
        assert_eq!(
            features[0].char_span(features[0].context.start, features[0].context.start),
            None
        );
    }
}
