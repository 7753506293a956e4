//! Wrong rows of a flat file: one line that names the file, the line, the column and the field.

use serde_json::{Value, json};
use squad_data::Dataset;

use crate::forms::message;

fn row(id: &str) -> Value {
    json!({
        "id": id, "title": "Pies", "context": "Zoë 🙂 ate a pie.", "question": "What?",
        "answers": {"text": ["a pie"], "answer_start": [10]},
    })
}

/// The message for a good row, a blank line and the given row.
fn third_line(wrong: &str) -> String {
    message("f.jsonl", format!("{}\n\n{wrong}\n", row("q0")).as_bytes())
}

fn with(field: &str, value: Value) -> String {
    let mut row = row("q1");
    row[field] = value;
    third_line(&row.to_string())
}

#[test]
fn the_good_row_is_good() {
    let text = format!("{}\n\n{}\n", row("q0"), row("q1"));
    let dataset = Dataset::from_json("f.jsonl", text.as_bytes()).unwrap();
    assert_eq!(dataset.len(), 2);
    assert_eq!(dataset.version, None);
    let unanswerable = text.replace("[\"a pie\"]", "[]").replace("[10]", "[]");
    let dataset = Dataset::from_json("f.jsonl", unanswerable.as_bytes()).unwrap();
    assert_eq!(dataset.answerable().len(), 0);
}

#[test]
fn fields_of_another_type_are_placed() {
    for (field, value, expected) in [
        (
            "id",
            json!(5),
            "at id: invalid type: integer `5`, expected a string",
        ),
        ("id", Value::Null, "at id: invalid type: null"),
        ("context", Value::Null, "at context: invalid type: null"),
        ("question", json!([]), "at question: invalid type: sequence"),
        ("title", json!(1), "at title: invalid type"),
        (
            "answers",
            Value::Null,
            "at answers: invalid type: null, expected an object with two lists",
        ),
        (
            "answers",
            json!({"text": []}),
            "at answers: missing field `answer_start`",
        ),
        (
            "answers",
            json!({"text": null, "answer_start": []}),
            "at answers.text: invalid type: null",
        ),
        (
            "answers",
            json!({"text": ["a pie", null], "answer_start": [10, 10]}),
            "at answers.text[1]: invalid type: null",
        ),
        (
            "answers",
            json!({"text": ["a pie"], "answer_start": [10.5]}),
            "at answers.answer_start[0]: invalid type: floating point `10.5`",
        ),
        (
            "answers",
            json!({"text": ["a pie"], "answer_start": [1e30]}),
            "at answers.answer_start[0]: invalid type: floating point `1e+30`",
        ),
    ] {
        let message = with(field, value);
        assert!(message.starts_with("f.jsonl: line 3, column "), "{message}");
        assert!(message.contains(expected), "{expected} is not in {message}");
    }
}

#[test]
fn columns_count_from_the_lines_start() {
    let wrong = r#"{"id": "q1", "context": true}"#;
    let column = wrong.find("true").unwrap() + "true".len();
    // A second row on a line is as good as one on a line of its own.
    for before in [String::new(), row("q2").to_string()] {
        let text = format!("{}\n{before}{wrong}", row("q0"));
        let message = message("f.jsonl", text.as_bytes());
        let column = before.len() + column;
        let place = format!("f.jsonl: line 2, column {column}, at context: ");
        assert!(message.starts_with(&place), "{place} is not in {message}");
    }
}

#[test]
fn missing_fields_are_named() {
    for field in ["id", "context", "question", "answers"] {
        let mut row = row("q1");
        row.as_object_mut().unwrap().remove(field);
        let message = third_line(&row.to_string());
        assert!(message.starts_with("f.jsonl: line 3, column "), "{message}");
        assert!(
            message.contains(&format!("missing field `{field}`")),
            "{message}"
        );
    }
    // Of a first row as well, as long as it is one.
    let first = message("f.jsonl", br#"{"id": "q1", "question": "What?"}"#);
    assert!(first.contains("missing field `context`"), "{first}");
    let neither = message("f.jsonl", br#"{"name": "q1"}"#);
    assert!(neither.contains("missing field `data`"), "{neither}");
    // What may be missing: a title.
    let mut row = row("q1");
    row.as_object_mut().unwrap().remove("title");
    let dataset = Dataset::from_json("f.jsonl", row.to_string().as_bytes()).unwrap();
    assert_eq!(&*dataset.examples[0].title, "");
}

#[test]
fn the_rules_of_the_nested_form_hold_for_rows() {
    for (field, value, expected) in [
        (
            "id",
            json!("q0"),
            "question id \"q0\" occurs twice, in f.jsonl: question 1 and in f.jsonl: line 3;",
        ),
        (
            "context",
            json!(" \n"),
            "f.jsonl: line 3: the context is empty",
        ),
        (
            "question",
            json!("\t"),
            "f.jsonl: line 3: question \"q1\": the question is empty",
        ),
        (
            "answers",
            json!({"text": ["a pie"], "answer_start": [9]}),
            "f.jsonl: line 3: question \"q1\": answer \"a pie\" does not match its context: at answer_start 9 stands \" a pi\"; \
             the text occurs at character 10",
        ),
        (
            "answers",
            json!({"text": ["a pie"], "answer_start": [-1]}),
            "answer_start -1, which is outside",
        ),
        (
            "answers",
            json!({"text": [" "], "answer_start": [3]}),
            "an answer's text is \" \"",
        ),
        (
            "answers",
            json!({"text": ["a pie", "a"], "answer_start": [10]}),
            "f.jsonl: line 3: question \"q1\": answers.text has 2 entries and answers.answer_start 1;",
        ),
        (
            "is_impossible",
            json!(true),
            "is_impossible is true but answers are given",
        ),
    ] {
        let mut row = row("q1");
        row[field] = value;
        let text = format!("{}\n\n{row}\n", self::row("q0"));
        let message = Dataset::from_json("f.jsonl", text.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(message.contains(expected), "{expected} is not in {message}");
    }
}

#[test]
fn what_is_no_row_is_refused() {
    for (wrong, expected) in [
        (
            "[]",
            "line 3, column 1, at the top level: invalid type: sequence, expected a row",
        ),
        ("7", "expected a row"),
        (
            "{\"id\": \"q1\"",
            "line 4, column 1: not valid JSON: EOF while parsing",
        ),
        ("x", "line 3, column 1: not valid JSON: expected value"),
        // A document behind rows is not a row.
        ("{\"data\": []}", "missing field `id`"),
    ] {
        let message = third_line(wrong);
        assert!(message.contains(expected), "{expected} is not in {message}");
    }
    let document = format!("{{\"data\": []}}\n{}", row("q1"));
    let message = message("f.json", document.as_bytes());
    assert!(
        message.contains("line 2, column 1: not valid JSON: trailing characters"),
        "{message}"
    );
}

#[test]
fn bytes_that_are_not_utf8_are_placed() {
    let mut text = format!("{}\r\n{}", row("q0"), row("q1")).into_bytes();
    let place = text.len() - 20;
    text[place] = 0xc3;
    let line = row("q0").to_string().len() + 2;
    // Two characters of the context take two and four bytes.
    let column = place - line + 1 - 1 - 3;
    let message = message("f.jsonl", &text);
    assert_eq!(
        message,
        format!(
            "f.jsonl: line 2, column {column}: not UTF-8; convert the file to UTF-8, for example with iconv"
        )
    );
}
