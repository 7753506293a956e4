//! Errors in JSON and JSON Lines: one line that names the file, the place in it and what is wrong.

use std::path::Path;

use serde_json::{Value, json};
use squad_data::Dataset;

use crate::common::{read_error, strict};

/// A good file of two questions about one context.
pub(crate) const GOOD: &str = "{\"version\":\"v2.0\",\"data\":[{\"title\":\"Zoë\",\"paragraphs\":[{\"context\":\"Zoë 🙂 ate\\r\\na pie.\",\
    \"qas\":[{\"id\":\"q1\",\"question\":\"What?\",\"is_impossible\":false,\"answers\":[{\"text\":\"a pie\",\"answer_start\":11}]},\
    {\"id\":\"q2\",\"question\":\"Who?\",\"is_impossible\":true,\"answers\":[],\"plausible_answers\":[]}]}]}]}";

/// Checks that reading `text` fails with a message that has `expected` in it.
#[track_caller]
fn assert_error(text: impl AsRef<[u8]>, expected: &str) {
    let message = read_error("f.json", text.as_ref());
    assert!(message.contains(expected), "{expected} is not in {message}");
}

/// A document with one paragraph and these questions.
fn document(qas: &str) -> String {
    format!(
        r#"{{"data":[{{"title":"T","paragraphs":[{{"context":"Zoë 🙂 ate a pie.","qas":[{qas}]}}]}}]}}"#
    )
}

/// A document with one answer.
fn with_answer(text: &str, start: &str) -> String {
    document(&format!(
        r#"{{"id":"q1","question":"What?","answers":[{{"text":"{text}","answer_start":{start}}}]}}"#
    ))
}

/// A good row of a flat file.
fn row(id: &str) -> Value {
    json!({
        "id": id, "title": "Pies", "context": "Zoë 🙂 ate a pie.", "question": "What?",
        "answers": {"text": ["a pie"], "answer_start": [10]},
    })
}

/// A flat file with a good row, a blank line and the given row.
fn rows(third_line: &str) -> String {
    format!("{}\n\n{third_line}\n", row("q0"))
}

/// [`rows`] with a row that has this value in this field.
fn rows_with(field: &str, value: Value) -> String {
    let mut row = row("q1");
    row[field] = value;
    rows(&row.to_string())
}

#[test]
fn good_files_are_read() {
    let dataset = Dataset::from_json("good.json", GOOD.as_bytes()).unwrap();
    let version = dataset.version.as_deref();
    assert_eq!((dataset.len(), version), (2, Some("v2.0")));
    let example = &dataset.examples[0];
    assert_eq!(
        example.slice(example.answers()[0].char_range().unwrap()),
        Some("a pie")
    );

    let text = rows(&row("q1").to_string());
    let dataset = Dataset::from_json("f.jsonl", text.as_bytes()).unwrap();
    assert_eq!((dataset.len(), dataset.version), (2, None));
    let unanswerable = text.replace("[\"a pie\"]", "[]").replace("[10]", "[]");
    let dataset = Dataset::from_json("f.jsonl", unanswerable.as_bytes()).unwrap();
    assert_eq!(dataset.answerable().len(), 0);
    // A title may be missing.
    let text = text.replace(",\"title\":\"Pies\"", "");
    let dataset = Dataset::from_json("f.jsonl", text.as_bytes()).unwrap();
    assert_eq!(&*dataset.examples[0].title, "");
}

#[test]
fn files_that_do_not_exist() {
    let missing = Path::new("no/such/file.json");
    let message = Dataset::read(missing).unwrap_err().to_string();
    let expected = "cannot read no/such/file.json: ";
    assert!(message.starts_with(expected), "{message}");
    assert!(Dataset::read(test_support::temp_dir().path()).is_err());
}

#[test]
fn files_with_an_id_in_common() {
    let folder = test_support::temp_dir();
    let (a, b) = (folder.path().join("a.json"), folder.path().join("b.json"));
    std::fs::write(&a, GOOD).unwrap();
    std::fs::write(&b, GOOD.replace("q1", "r1").replace("q2", "r2")).unwrap();
    assert_eq!(Dataset::read_all(&[&a, &b]).unwrap().len(), 4);
    std::fs::write(&b, GOOD.replace("q2", "q3")).unwrap();
    let message = Dataset::read_all(&[&a, &b]).unwrap_err().to_string();
    for part in ["\"q1\"", "a.json", "b.json"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn files_without_questions() {
    assert_error("", "the file is empty");
    assert_error(" \r\n", "the file is empty");
    assert_error(r#"{"data":[]}"#, "no question");
}

#[test]
fn answers_that_the_context_does_not_have() {
    assert_error(
        with_answer("a pie", "9"),
        "question \"q1\": answer \"a pie\" does not match its context, which has \" a pi\" at answer_start 9; the text \
         occurs at character 10, 1 away; on_bad_answer = \"skip\"",
    );
    assert_error(with_answer("tart", "3"), "does not occur");
    assert_error(with_answer("pie. And more", "12"), "which has \"pie.\" at");
    for start in [
        "-1",
        "17",
        "4000000000",
        "-9223372036854775808",
        "9223372036854775807",
    ] {
        assert_error(with_answer("pie", start), "outside its context");
    }
}

#[test]
fn answer_starts_that_are_no_position() {
    let place = "at data[0].paragraphs[0].qas[0].answers[0].answer_start: ";
    for (start, problem) in [
        ("1.5", "invalid value: floating point `1.5`"),
        ("1e30", "invalid value: floating point `1e+30`"),
        ("\"x\"", "invalid value: string \"x\""),
        ("true", "invalid type: boolean"),
        ("18446744073709551616", "invalid value: floating point"),
    ] {
        let expected = format!("{place}{problem}");
        assert_error(with_answer("pie", start), &expected);
    }
    assert_error(with_answer("pie", "1e400"), "number out of range");
}

#[test]
fn contradictions() {
    let question = |fields: &str| document(&format!(r#"{{"id":"q","question":"?"{fields}}}"#));
    assert_error(
        question(r#","is_impossible":true,"answers":[{"text":"pie","answer_start":12}]"#),
        "is_impossible is true",
    );
    let empty = r#"{"id":"q","question":" \t","answers":[]}"#;
    assert_error(document(empty), "question is empty");
    let twice = r#"{"id":"q","question":"?","answers":[]}"#;
    assert_error(document(&format!("{twice},{twice}")), "ids must be unique");
    assert_error(
        document(twice).replace("Zoë 🙂 ate a pie.", " "),
        "data[0].paragraphs[0]: the context is empty",
    );
}

#[test]
fn documents_of_another_shape() {
    assert_error("[1]", "line 1, column 3, at [0]: ");
    assert_error("{}", "f.json: line 1: no question: expected `context`");
    assert_error(
        "{\"data\":[\n{\"paragraphs\":[{\"context\":3}]}]}",
        "line 2, column 28, at data[0].paragraphs[0].context: ",
    );
    // `read_error` checks that the message stays short.
    let long = "long ".repeat(1_000_000);
    assert_error(format!("{{\"data\":[\"{long}\"]}}"), "at data[0]: ");
}

#[test]
fn texts_that_are_not_json() {
    assert_error("{\"data\":[] trailing", "line 1, column 12: not valid JSON");
    assert_error(
        "{\"data\":[]} trailing",
        "line 1, column 13: not valid JSON",
    );
    assert_error("{\"data\":[\n", "not valid JSON: EOF");
    assert_error(b"\0\0\0", "a file that begins with \"\\0\\0\\0\"");
    assert_error("{\"data\":[{\"title\":\"\0\"}]}", "control character");
    assert_error(
        "[{\"context\":\"a\nb\"}]",
        "line end or a tab inside a text is written \\n",
    );
    assert_error("[{\"context\":\"C:\\mill\"}]", "a backslash inside a text");
    let row = row("q0");
    let message = read_error("f.json", format!("{row},\n{row},\n").as_bytes());
    assert!(
        message.ends_with("JSON Lines do not end with one"),
        "{message}"
    );
    assert_error(
        format!("[// mine\n{row}]"),
        "column 2: not valid JSON: a comment",
    );
    assert_error(
        format!("{row}\n/* mine */"),
        "line 2, column 1: not valid JSON: a comment",
    );
}

#[test]
fn bytes_that_are_not_utf8() {
    assert_error(b"{\"data\":\n \"\xc3\x28\"", "line 2, column 3: not UTF-8");
    let mut text = format!("{}\r\n{}", row("q0"), row("q1")).into_bytes();
    let place = text.len() - 20;
    text[place] = 0xc3;
    let line = row("q0").to_string().len() + 2;
    // Two characters of the context take two and four bytes.
    let column = place - line + 1 - 1 - 3;
    assert_error(&text, &format!("line 2, column {column}: not UTF-8"));
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    for (open, close) in [("[", "]"), ("{\"data\":", "}"), ("{\"x\":[", "]}")] {
        for depth in [127, 200, 1_000_000] {
            let nested = open.repeat(depth) + "1" + &close.repeat(depth);
            assert_error(&nested, "f.json: line 1");
            assert_error(format!("{{\"data\": {nested}}}"), "f.json: line 1");
            assert_error(
                format!("{{\"version\": {nested}, \"data\": []}}"),
                "nested too deeply",
            );
            // A field that is not read may have any depth.
            let ignored = GOOD.replacen('{', &format!("{{\"notes\": {nested}, "), 1);
            let dataset = Dataset::from_json("f.json", ignored.as_bytes()).unwrap();
            assert_eq!(dataset.len(), 2);
        }
    }
}

#[test]
fn row_fields_of_another_type() {
    for (field, value, expected) in [
        ("context", json!(true), "at context: invalid type: boolean"),
        ("title", json!(true), "at title: invalid type"),
        (
            "id",
            json!({}),
            "at id: an object instead of a text or a number",
        ),
        ("answers", json!(true), "at answers: invalid type: boolean"),
        (
            "is_impossible",
            json!("maybe"),
            "at is_impossible: invalid value: string \"maybe\", expected true or false",
        ),
        (
            "answers",
            json!({"answer_start": [1]}),
            "at answers: missing field `text`",
        ),
        (
            "answers",
            json!({"text": ["a pie"], "answer_start": [10.5]}),
            "at answers.answer_start[0]: invalid value: floating point `10.5`",
        ),
    ] {
        let text = rows_with(field, value);
        assert_error(&text, expected);
        assert_error(text, "f.json: line 3, column ");
    }
}

#[test]
fn a_question_that_is_no_text() {
    assert_error(
        rows_with("question", json!([])),
        "f.json: line 3: question \"q1\": the question is not a text",
    );
}

#[test]
fn row_fields_that_are_missing() {
    for (field, problem) in [("context", "no `context`"), ("question", "no question: ")] {
        let mut row = row("q1");
        row.as_object_mut().unwrap().remove(field);
        assert_error(
            rows(&row.to_string()),
            &format!("f.json: line 3: {problem}"),
        );
    }
    assert_error(r#"{"id": "q1", "question": "What?"}"#, "no `context`");
    assert_error(r#"{"name": "q1"}"#, "but found \"name\"");
}

#[test]
fn rows_obey_the_rules_of_documents() {
    for (field, value, expected) in [
        (
            "id",
            json!("q0"),
            "question id \"q0\" occurs twice, in f.json: question 1 and in f.json: line 3",
        ),
        (
            "context",
            json!(" \n"),
            "f.json: line 3: the context is empty",
        ),
        (
            "question",
            json!("\t"),
            "f.json: line 3: question \"q1\": the question is empty",
        ),
        (
            "answers",
            json!({"text": ["a pie"], "answer_start": [9]}),
            "f.json: line 3: question \"q1\": answer \"a pie\" does not match its context",
        ),
        (
            "answers",
            json!({"text": ["a pie", "a"], "answer_start": [10]}),
            "f.json: line 3: question \"q1\": answers.text has 2 entries and answers.answer_start 1;",
        ),
        (
            "is_impossible",
            json!(true),
            "is_impossible is true but answers are given",
        ),
    ] {
        let text = rows_with(field, value);
        let message = Dataset::from_bytes("f.json", text.as_bytes(), &strict());
        let message = message.unwrap_err().to_string();
        assert!(message.contains(expected), "{expected} is not in {message}");
    }
}

#[test]
fn columns_count_from_the_start_of_the_line() {
    let wrong = r#"{"id": "q1", "context": true}"#;
    let column = wrong.find("true").unwrap() + "true".len();
    // A second row on a line is as good as one on a line of its own.
    for before in [String::new(), row("q2").to_string()] {
        let column = before.len() + column;
        assert_error(
            format!("{}\n{before}{wrong}", row("q0")),
            &format!("f.json: line 2, column {column}, at context: "),
        );
    }
}

#[test]
fn values_that_are_no_row() {
    for (wrong, expected) in [
        (
            "[]",
            "line 3, column 2, at the top level: invalid type: sequence, expected a row",
        ),
        ("7", "expected a row"),
        (
            "{\"id\": \"q1\"",
            "line 4, column 1: not valid JSON: EOF while parsing",
        ),
        ("x", "line 3, column 1: not valid JSON: expected value"),
        // A document after a row is not a row.
        ("{\"data\": []}", "but found \"data\""),
    ] {
        assert_error(rows(wrong), expected);
    }
    assert_error(
        format!("{{\"data\": []}}\n{}", row("q1")),
        "line 2, column 1: not valid JSON: text behind the end of the document",
    );
}
