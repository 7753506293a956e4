//! Texts that are unusual but right: null bytes, line ends, emoji, combining characters, ten megabytes.

use serde_json::json;
use squad_data::{Dataset, FeatureOptions, inspect, make_features};

use crate::common::small_tokenizer;

/// A question for each answer, in the nested form.
fn document(context: &str, answers: &[&str]) -> String {
    let question = |answer: &&str| {
        let start = context[..context.find(answer).unwrap()].chars().count();
        json!({"id": *answer, "question": "who?", "answers": [{"text": *answer, "answer_start": start}]})
    };
    let qas: Vec<_> = answers.iter().map(question).collect();
    json!({"data": [{"paragraphs": [{"context": context, "qas": qas}]}]}).to_string()
}

/// Every answer comes back from the labels of a window, and windows are many.
fn assert_labels_decode(context: &str, answers: &[&str]) {
    let dataset = Dataset::from_json("f.json", document(context, answers).as_bytes()).unwrap();
    let options = FeatureOptions {
        max_seq_length: 24,
        doc_stride: 8,
        ..FeatureOptions::default()
    };
    let features = make_features(&dataset.examples, &small_tokenizer(), &options).unwrap();
    assert!(features.len() > 2 * answers.len(), "{}", features.len());
    for (number, example) in dataset.examples.iter().enumerate() {
        let mut labelled = 0;
        for feature in features
            .iter()
            .filter(|f| f.example_index == number && f.has_answer())
        {
            let chars = feature.char_span(feature.start_position, feature.end_position);
            assert_eq!(
                example.slice(chars.unwrap()),
                Some(example.answers[0].text.as_str())
            );
            labelled += 1;
        }
        assert!(labelled > 0, "{:?}", example.answers[0].text);
    }
    assert_eq!(inspect(&dataset.examples, &features).lost, []);
}

#[test]
fn null_bytes_count_as_characters() {
    let context = format!(
        "\0the king\0 ate\0\0 old bread {}in peace\0",
        "\0water ".repeat(30)
    );
    assert_labels_decode(&context, &["king", "old bread", "in peace"]);
    // Beside a null byte, which no token stands for.
    let dataset =
        Dataset::from_json("f.json", document("a\0bread\0", &["\0bread\0"]).as_bytes()).unwrap();
    let features = make_features(
        &dataset.examples,
        &small_tokenizer(),
        &FeatureOptions::default(),
    )
    .unwrap();
    let span = features[0].char_span(features[0].start_position, features[0].end_position);
    assert_eq!(dataset.examples[0].slice(span.unwrap()), Some("bread"));
}

#[test]
fn emoji_and_combining_characters_beside_answers() {
    let filler = "fire 🙂 e\u{301} 👩\u{200d}🚀 ".repeat(12);
    let context = format!(
        "🙂the king🙂 {filler}“bread”🙂 n\u{303}o, {filler}\u{1f1eb}\u{1f1f7} peace \u{1f1eb}\u{1f1f7}"
    );
    assert_labels_decode(&context, &["the king", "bread", "n\u{303}o", "peace"]);
}

#[test]
fn windows_line_ends_inside_and_outside_of_texts() {
    let context = format!(
        "the king\r\nate\r\n\r\nold bread\r\n{}in peace",
        "water\r\n".repeat(40)
    );
    assert_labels_decode(&context, &["king", "ate", "old bread", "in peace"]);
    let unix = document(&context, &["old bread"]).replace(',', ",\n");
    let windows = format!("\u{feff}{}", unix.replace('\n', "\r\n"));
    let [unix, windows] =
        [unix, windows].map(|text| Dataset::from_json("f.json", text.as_bytes()).unwrap());
    assert_eq!(unix, windows);
    // One more would be a character of the text, where JSON allows none.
    let twice = "\u{feff}\u{feff}{\"data\": []}";
    let message = Dataset::from_json("f.json", twice.as_bytes())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("line 1, column 1: not valid JSON"),
        "{message}"
    );
}

#[test]
fn a_paragraph_of_ten_megabytes_is_cut_into_as_many_windows_as_it_takes() {
    let (words, answer) = (1_430_000, "the old king of bread");
    let context = format!("é🙂 {}{answer}", "garden street ".repeat(words / 2));
    assert!(context.len() > 10_000_000 && context.chars().count() < context.len());
    let json = document(&context, &[answer]);
    let dataset = Dataset::from_json("f.json", json.as_bytes()).unwrap();
    let options = FeatureOptions::default();
    let features = make_features(&dataset.examples, &small_tokenizer(), &options).unwrap();
    // One token for each word, two for the first, and the answer's five.
    let tokens = 2 + words + 5;
    let room = 384 - 3 - features[0].num_question_tokens();
    assert_eq!(features.len(), 1 + (tokens - room).div_ceil(room - 128));
    let labelled = features
        .iter()
        .find(|feature| feature.has_answer())
        .unwrap();
    let span = labelled.char_span(labelled.start_position, labelled.end_position);
    assert_eq!(dataset.examples[0].slice(span.unwrap()), Some(answer));
}

#[test]
fn numbers_that_do_not_fit_and_deep_nesting_are_one_line() {
    let good = document("the king", &["king"]);
    for (start, expected) in [
        ("-1", "outside its context"),
        ("-9223372036854775808", "outside its context"),
        ("9223372036854775807", "outside its context"),
        (
            "9223372036854775808",
            "at data[0].paragraphs[0].qas[0].answers[0].answer_start: invalid value",
        ),
        (
            "18446744073709551616",
            "answer_start: invalid type: floating point",
        ),
        ("1e30", "answer_start: invalid type: floating point `1e+30`"),
        ("1e400", "not valid JSON: number out of range"),
        ("4.0", "answer_start: invalid type: floating point `4.0`"),
        ("true", "answer_start: invalid type: boolean"),
    ] {
        let json = good.replace("\"answer_start\":4", &format!("\"answer_start\":{start}"));
        assert_ne!(json, good);
        let message = Dataset::from_json("f.json", json.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(
            message.contains(expected) && !message.contains('\n'),
            "{expected} is not in {message}"
        );
    }
    for (open, close) in [("[", "]"), ("{\"data\":", "}"), ("{\"x\":[", "]}")] {
        for depth in [127, 200, 1_000_000] {
            let nest = open.repeat(depth) + "1" + &close.repeat(depth);
            for json in [
                nest.clone(),
                format!("{{\"version\": {nest}, \"data\": []}}"),
                format!("{{\"data\": {nest}}}"),
            ] {
                let message = Dataset::from_json("f.json", json.as_bytes())
                    .unwrap_err()
                    .to_string();
                assert!(message.len() < 500 && !message.contains('\n'), "{message}");
                let version = json.starts_with("{\"version\"");
                assert!(
                    !version || message.contains("nested too deeply"),
                    "{message}"
                );
            }
            // In a field that nobody reads any depth is passed over.
            let ignored = good.replacen('{', &format!("{{\"notes\": {nest}, "), 1);
            assert_eq!(
                Dataset::from_json("f.json", ignored.as_bytes())
                    .unwrap()
                    .len(),
                1
            );
        }
    }
}
