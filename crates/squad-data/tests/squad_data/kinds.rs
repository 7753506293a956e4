//! Files of the kinds that people have: each is read, or is an error that names it and says what to do.

use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;

use parquet::basic::Compression;
use serde_json::{Value, json};
use squad_data::{
    Dataset, FeatureOptions, FlawKind, Gold, LabelAnswer, LongQuestions, OnBadAnswer, ReadOptions,
    make_features, reach,
};

use crate::common::{read, read_error, read_with, short, small_tokenizer, strict};
use crate::forms::gzip;
use crate::parquet_writer::{Column, HUB, columns, file};

const CONTEXT: &str = "The ferry to Sandø was built by Ida Krag in 1911. It sank in 1938.";

/// The examples of a file whose bytes are these.
#[track_caller]
fn examples(name: &str, bytes: impl AsRef<[u8]>) -> Vec<squad_data::Example> {
    match read(name, bytes.as_ref()) {
        Ok(dataset) => dataset.examples,
        Err(error) => panic!("{error}"),
    }
}

/// Checks that a file has one question, with this id and the answer "Ida Krag".
#[track_caller]
fn assert_read(name: &str, bytes: impl AsRef<[u8]>, id: &str) {
    let examples = examples(name, bytes);
    let answer = &examples[0].answers()[0];
    assert_eq!((examples.len(), examples[0].id.as_str()), (1, id));
    assert_eq!((answer.text.as_str(), answer.start), ("Ida Krag", Some(32)));
    assert_eq!(&*examples[0].context, CONTEXT);
}

fn answers() -> Value {
    json!([{"text": "Ida Krag", "answer_start": 32}])
}

fn row(answers: &Value) -> Value {
    json!({"id": "q1", "title": "Ferry", "context": CONTEXT, "question": "Who built it?", "answers": answers})
}

fn paragraph(answers: &Value) -> Value {
    json!({"context": CONTEXT, "qas": [{"id": "q1", "question": "Who built it?", "answers": answers}]})
}

/// A document with a question for each of these fields beside `id` and `question`; the first has an answer.
fn document(questions: &[Value]) -> String {
    let mut qas = vec![json!({"id": "first", "question": "Who?", "answers": answers()})];
    for (number, fields) in questions.iter().enumerate() {
        let mut question = json!({"id": format!("q{number}"), "question": "Who painted it?"});
        let fields = fields.as_object().unwrap().clone();
        question.as_object_mut().unwrap().extend(fields);
        qas.push(question);
    }
    json!({"data": [{"title": "Ferry", "paragraphs": [{"context": CONTEXT, "qas": qas}]}]})
        .to_string()
}

#[test]
fn every_container_is_read() {
    let answers = answers();
    let article = json!({"title": "Ferry", "paragraphs": [paragraph(&answers)]});
    let pair = json!({"text": ["Ida Krag"], "answer_start": [32]});
    for value in [
        json!({"version": "v1.1", "data": [article]}),
        json!({"data": [paragraph(&answers)]}),
        json!({"data": [row(&pair)]}),
        json!([article]),
        json!([paragraph(&answers)]),
        json!([row(&pair)]),
        json!([row(&answers)]),
        article.clone(),
        paragraph(&answers),
        row(&pair),
        row(&json!({"text": "Ida Krag", "answer_start": 32})),
        row(&json!(["Ida Krag"])),
        row(&json!("Ida Krag")),
    ] {
        let text = value.to_string();
        assert_read("f.json", &text, "q1");
        assert_read("f.jsonl.gz", gzip(text.as_bytes()), "q1");
        assert_read("f", format!("{value:#}").replace('\n', "\r\n"), "q1");
    }
    // One value a line, whatever it is.
    let other = row(&pair).to_string().replace("q1", "q2");
    let lines = format!("{}\n{other}\n", paragraph(&answers));
    assert_eq!(examples("f.jsonl", lines).len(), 2);
}

#[test]
fn wrappers_are_read() {
    let row = row(&answers());
    let wrapped = json!({"row_idx": 0, "row": row, "truncated_cells": []});
    for value in [
        json!({"train": [row]}),
        json!({"validation": [row], "test": true, "about": [1]}),
        json!({"examples": [row]}),
        json!({"Articles": [{"title": "Ferry", "paragraphs": [paragraph(&answers())]}]}),
        json!({"dataset": [row]}),
        json!({"count": 1, "records": [row]}),
        json!({"samples": [row]}),
        json!({"features": [{"name": "id", "type": {"dtype": "string"}}], "rows": [wrapped], "num_rows_total": 1}),
        json!({"id": 7, "title": "Ferries", "data": [row]}),
        wrapped.clone(),
        // Fields of these names that mean nothing.
        json!({"test": true, "row": 3, "data": {"x": 1}, "id": "q1", "context": CONTEXT, "question": "Who?", "answers": answers()}),
    ] {
        assert_read("f.json", value.to_string(), "q1");
    }
    let mut cut = wrapped;
    cut["truncated_cells"] = json!(["context"]);
    for (value, expected) in [
        (
            json!({"train": [row], "validation": [row]}),
            "the splits train and validation; write each into a file of its own",
        ),
        (
            json!({"train": [row], "val": [row]}),
            "the splits train and val; write each into a file of its own",
        ),
        (
            json!({"training": [row], "testing": [row]}),
            "the splits testing and training; write each into a file of its own",
        ),
        (
            json!({"rows": [cut]}),
            "rows[0]: `truncated_cells`: the server has cut texts of this row",
        ),
        (
            json!({"context": CONTEXT, "questions": [{"question": "Who?"}]}),
            "no question in it, but fields that are not read: \"questions\"",
        ),
        (
            json!([{"title": "F", "paragraphs": [{"context": CONTEXT}, {"context": CONTEXT, "qa": [1], "x": 1}]}]),
            "no question in it, but fields that are not read: \"qa, x\"",
        ),
        (
            json!({"train": {"id": ["q1"], "context": [CONTEXT]}}),
            "but found \"train\"",
        ),
        (
            json!({"data": {"id": ["q1"]}}),
            "data: invalid type: map, expected a list of articles",
        ),
        (
            json!({"rows": [{"row": {"context": CONTEXT, "id": "q1"}}]}),
            "rows[0]: no question",
        ),
    ] {
        let message = read_error("f.json", value.to_string().as_bytes());
        assert!(message.contains(expected), "{expected} is not in {message}");
    }
}

#[test]
fn lists_in_texts_are_read() {
    let paragraph = paragraph(&answers());
    let (qas, paragraphs) = (paragraph["qas"].to_string(), json!([paragraph]).to_string());
    let python =
        "[{'id': 'q1', 'question': 'Who?', 'answers': [{'text': 'Ida Krag', 'answer_start': 32}]}]";
    for value in [
        json!({"context": CONTEXT, "qas": qas}),
        json!({"context": CONTEXT, "qas": python}),
        json!({"title": "Ferry", "paragraphs": paragraphs}),
        json!({"data": [{"title": "Ferry", "paragraphs": paragraphs}]}),
        row(&answers().to_string().into()),
    ] {
        assert_read("f.json", value.to_string(), "q1");
    }
    let quoted = qas.replace('"', "\"\"");
    assert_read(
        "f.csv",
        format!("context,qas\n{CONTEXT},\"{quoted}\"\n{CONTEXT},\n"),
        "q1",
    );
    let message = read_error(
        "f.json",
        json!({"context": CONTEXT, "qas": "[1"})
            .to_string()
            .as_bytes(),
    );
    assert!(
        message.contains("qas: neither JSON nor a Python literal"),
        "{message}"
    );
}

/// As the Hub's library stores lists of objects, and converters of XML a list of one.
#[test]
fn a_list_may_go_by_columns_or_be_a_single_object() {
    let answers = json!([{"text": ["Ida Krag"], "answer_start": [32]}]);
    let qas = json!({"id": ["q1"], "question": ["Who built it?"], "answers": answers});
    let paragraph = json!({"context": CONTEXT, "qas": qas});
    let paragraphs = json!({"context": [CONTEXT], "qas": [qas]});
    let question = self::paragraph(&self::answers())["qas"][0].take();
    let single = json!({"context": CONTEXT, "qas": question});
    for value in [
        paragraph.clone(),
        json!({"data": [paragraph]}),
        json!({"context": CONTEXT, "qas": qas.to_string()}),
        json!({"title": "Ferry", "paragraphs": paragraphs}),
        json!({"data": [{"title": "Ferry", "paragraphs": paragraphs}]}),
        json!({"data": [{"title": "Ferry", "paragraphs": single}]}),
        json!({"title": "Ferry", "paragraphs": single}),
        single,
    ] {
        assert_read("f.json", value.to_string(), "q1");
    }
    let mut long_name = paragraph.clone();
    long_name["qas"]["x".repeat(1000)] = json!([1]);
    assert_read("f.json", long_name.to_string(), "q1");
    let none = json!([{"context": CONTEXT, "qas": {"id": [], "question": []}}, paragraph]);
    assert_read("f.json", none.to_string(), "q1");
    for (qas, expected) in [
        (
            json!({"id": ["q1", "q2"], "question": ["Who?"]}),
            "2 values of one field and 1 of",
        ),
        (
            json!({"id": ["q1", "q2"], "question": "Who?"}),
            "a list instead of a text or a number",
        ),
    ] {
        let text = json!({"context": CONTEXT, "qas": qas}).to_string();
        let message = read_error("f.json", text.as_bytes());
        assert!(message.contains(expected), "{expected} is not in {message}");
    }
}

#[test]
fn nulls_in_lists_are_passed_over() {
    let question = paragraph(&answers())["qas"][0].clone();
    for value in [
        json!([null, row(&answers())]),
        json!({"data": [null, {"title": null, "paragraphs": null}, paragraph(&answers())]}),
        json!({"data": [{"title": "F", "paragraphs": [null, {"context": CONTEXT, "qas": null}, paragraph(&answers())]}]}),
        json!({"context": CONTEXT, "qas": [null, question]}),
        json!({"context": CONTEXT, "document_id": null, "qas": [question], "paragraphs": null}),
    ] {
        assert_read("f.json", value.to_string(), "q1");
    }
    let text = json!([row(&answers()), {"context": CONTEXT, "question": "Who?", "answers": {}}]);
    assert!(examples("f.json", text.to_string())[1].is_impossible());
}

#[test]
fn files_that_were_put_together_are_read() {
    let line = row(&answers()).to_string();
    let other = line.replace("q1", "q2");
    for text in [
        format!("\u{feff}\u{feff}{line}\n\u{feff}{other}\n"),
        format!("\u{1e}{line}\n\u{1e}{other}\n"),
    ] {
        assert_eq!(examples("f.jsonl", &text).len(), 2);
        assert_eq!(examples("f.jsonl.gz", gzip(text.as_bytes())).len(), 2);
    }
    let surrogate = line.replace("Who", "\\ud83d");
    let message = read_error("f.jsonl", surrogate.as_bytes());
    assert!(message.contains("half of a character"), "{message}");
    let pair = line.replace("Who", "\\ud83d\\ude00");
    assert_read("f.jsonl", pair, "q1");
}

/// As R's jsonlite writes them, without and with `auto_unbox`.
#[test]
fn single_values_may_be_lists_of_one_and_lists_of_one_single_values() {
    let question = json!({"id": ["q1"], "question": ["Who built it?"], "is_impossible": [false],
        "answers": [{"text": ["Ida Krag"], "answer_start": [32]}]});
    let article =
        json!({"title": ["Ferry"], "paragraphs": [{"context": [CONTEXT], "qas": [question]}]});
    let row = |answers: Value| json!({"id": ["q1"], "title": [], "context": [CONTEXT], "question": ["Who?"], "answers": answers});
    for value in [
        json!({"id": ["q1"], "context": [CONTEXT], "question": ["Who?"], "is_impossible": [0],
            "answer_text": ["Ida Krag"], "answer_start": [[32]]}),
        json!({"version": ["1.1"], "data": [article]}),
        json!([row(json!({"text": ["Ida Krag"], "answer_start": [32]}))]),
        row(json!([{"text": ["Ida Krag"], "answer_start": [32]}])),
        row(json!([{"text": ["Ida Krag"], "start": [32]}])),
        row(json!({"text": "Ida Krag", "answer_start": 32})),
        row(json!({"text": ["Ida Krag"], "answer_start": 32})),
        row(json!({"text": "Ida Krag", "answer_start": [32]})),
        row(json!("Ida Krag")),
    ] {
        assert_read("f.json", value.to_string(), "q1");
    }
    let document = json!({"version": ["1.1"], "data": [article]}).to_string();
    let document = read("f.json", document.as_bytes()).unwrap();
    assert_eq!(document.version.as_deref(), Some("1.1"));
    assert_eq!(&*document.examples[0].title, "Ferry");
    let spans = [json!([{"start": 32, "end": 39}]), json!([[[32, 39]]])];
    for spans in spans {
        let mut mrqa = row(json!("Ida Krag"));
        mrqa["detected_answers"] = json!({"text": "Ida Krag", "char_spans": spans});
        assert_read("f.jsonl", mrqa.to_string(), "q1");
    }
    // No value, and several.
    let mut impossible = row(json!({"text": [], "answer_start": []}));
    impossible["is_impossible"] = json!([true]);
    assert!(examples("f.json", impossible.to_string())[0].is_impossible());
    let two = json!([1, 0]);
    for (field, expected) in [
        ("id", "a list instead of a text or a number"),
        ("title", "a list instead of a text or a number"),
        (
            "is_impossible",
            "invalid type: sequence, expected true or false",
        ),
        ("context", "context[0]: invalid type: integer"),
    ] {
        let mut row = row(json!([]));
        row[field] = two.clone();
        let message = read_error("f.json", row.to_string().as_bytes());
        assert!(message.contains(expected), "{expected} is not in {message}");
    }
    let mut row = row(json!([]));
    row["context"] = json!([CONTEXT, CONTEXT]);
    let message = read_error("f.json", row.to_string().as_bytes());
    assert!(message.contains("the context is not a text"), "{message}");
}

#[test]
fn padding_behind_json_is_passed_over() {
    let line = row(&answers()).to_string();
    let list = json!([row(&answers())]).to_string();
    for text in [
        &line,
        &list,
        &json!({"data": [row(&answers())]}).to_string(),
    ] {
        for end in [
            "\x1a",
            "\n\x1a",
            "\r\n\x1a\r\n",
            "\0",
            &"\0".repeat(100_000),
            "\0\n\x1a\0",
        ] {
            assert_read("f.json", format!("{text}{end}"), "q1");
        }
    }
    let stream = format!("{line}\n\x1a");
    let mut count = 0;
    let read = Dataset::for_each_from_reader("standard input", stream.as_bytes(), &mut |_| {
        count += 1;
        ControlFlow::Continue(())
    });
    assert_eq!((read.is_ok(), count), (true, 1));
    // Nowhere else.
    let other = line.replace("q1", "q2");
    for (text, place) in [
        (format!("{line}\n\x1a{other}"), "line 2, column 1: "),
        (
            format!("{line}\0\n\n{other}\n\0"),
            &format!("line 1, column {}: ", line.len() + 1),
        ),
        (format!("{list}\n\x1a\n{list}"), "line 2, column 1: "),
    ] {
        let message = read_error("f.json", text.as_bytes());
        let expected = format!(
            "f.json: {place}not valid JSON: zeros or 0x1a, which may stand at the end of a file only; remove them"
        );
        assert_eq!(message, expected);
    }
    for text in [
        format!("\0{line}"),
        line.replacen(',', ",\0", 1),
        "\x1a".to_owned(),
    ] {
        read_error("f.json", text.as_bytes());
    }
}

#[test]
fn mrqa_is_read() {
    let header = json!({"header": {"dataset": "Ferries", "split": "dev"}});
    let question = json!({
        "qid": "m1", "id": "", "question": "Who built it?", "answers": ["ida krag", "Ida Krag"],
        "detected_answers": [{"text": "ida krag", "char_spans": [[32, 39]], "token_spans": [[7, 8]]}],
    });
    let line = json!({"id": "", "context": CONTEXT, "qas": [question], "context_tokens": []});
    let text = format!("{header}\n{line}\n");
    assert_read("f.jsonl.gz", gzip(text.as_bytes()), "m1");
    let examples = examples("f.jsonl", &text);
    // The text that only scores.
    let gold: Vec<_> = examples[0]
        .answers()
        .iter()
        .map(|a| (&*a.text, a.start))
        .collect();
    assert_eq!(gold, [("Ida Krag", Some(32)), ("ida krag", None)]);
    assert!(read("f.jsonl", text.as_bytes()).unwrap().flaws.is_empty());
}

#[test]
fn mrqa_is_read_as_the_rows_of_the_hub() {
    for spans in [
        json!([{"start": [32], "end": [39]}]),
        json!([[{"start": 32, "end": 39}]]),
        json!([[[32, 39]]]),
    ] {
        let row = json!({"subset": "Ferries", "qid": "m1", "context": CONTEXT, "question": "Who built it?",
            "answers": ["Ida Krag"], "detected_answers": {"text": ["Ida Krag"], "char_spans": spans}});
        assert_read("f.jsonl", row.to_string(), "m1");
    }
    let python = "{'text': array(['Ida Krag'], dtype=object), 'char_spans': array([{'start': array([32]), 'end': array([39])}], dtype=object)}";
    let table = format!(
        "qid\tcontext\tquestion\tanswers\tdetected_answers\nm1\t{CONTEXT}\tWho?\t['Ida Krag']\t\"{python}\"\n"
    );
    assert_read("f.tsv", table, "m1");
}

#[test]
fn cmrc_is_read_in_its_own_form() {
    let article = json!([{"context_id": "DEV_0", "context_text": CONTEXT, "title": "Ferry", "qas": [
        {"query_id": "DEV_0_QUERY_0", "query_text": "Who?", "answers": ["Ida Krag", "Ida Krag"]}]}]);
    let examples = examples("cmrc.json", article.to_string());
    assert_eq!((examples.len(), &*examples[0].id), (1, "DEV_0_QUERY_0"));
    assert_eq!(examples[0].answers()[1].start, Some(32));
}

#[test]
fn a_column_of_text_is_the_context_or_the_answer() {
    let row = json!({"id": "q1", "text": CONTEXT, "question": "Who?", "answer": "Ida Krag"});
    assert_read("f.jsonl", row.to_string(), "q1");
    let row = json!({"id": "q1", "context": CONTEXT, "question": "Who?", "text": ["Ida Krag"], "answer_start": [32]});
    assert_read("f.jsonl", row.to_string(), "q1");
    let qas = paragraph(&answers())["qas"].take();
    let paragraph = json!({"text": CONTEXT, "qas": qas});
    let article = json!({"title": "Ferry", "paragraphs": [paragraph]});
    for value in [json!([paragraph]), json!({"data": [article]}), paragraph] {
        assert_read("f.json", value.to_string(), "q1");
    }
    let quoted = qas.to_string().replace('"', "\"\"");
    assert_read("f.csv", format!("text,qas\n{CONTEXT},\"{quoted}\"\n"), "q1");
    // Of no meaning here.
    let row = json!({"id": "q1", "context": CONTEXT, "question": "Who?", "text": {"x": 1}, "answers": answers()});
    assert_read("f.jsonl", row.to_string(), "q1");
    assert_read(
        "f.csv",
        format!("id,text,question,answer\nq1,{CONTEXT},Who?,Ida Krag\n"),
        "q1",
    );
}

#[test]
fn numbers_are_read_however_they_are_written() {
    for start in [
        json!(32),
        json!(32.0),
        json!("32"),
        json!(" 32 "),
        json!("32.0"),
    ] {
        let answers = json!([{"text": "Ida Krag", "answer_start": start}]);
        assert_read("f.json", paragraph(&answers).to_string(), "q1");
    }
    let numbered = paragraph(&answers()).to_string().replace("\"q1\"", "262");
    assert_read("f.json", &numbered, "262");
    assert_read("f.json", numbered.replace("262", "262.0"), "262");
    // A number as title; ids that are missing are the numbers of the questions.
    let text = json!([row(&answers()), row(&answers())]).to_string();
    let text = text.replace("\"q1\"", "null").replace("\"Ferry\"", "17");
    let dataset = read("f.json", text.as_bytes()).unwrap();
    let ids: Vec<_> = dataset
        .examples
        .iter()
        .map(|e| (&*e.id, &*e.title))
        .collect();
    assert_eq!(ids, [("0", "17"), ("1", "17")]);
    assert_eq!(dataset.flaws.counts[&FlawKind::IdMissing], 2);
    assert_read("f.json", numbered.replace("262", "1.5"), "1.5");
    // An answer's text may be a number.
    for answers in [
        json!([{"text": 1911, "answer_start": 44}]),
        json!([{"text": 1911.0, "answer_start": 44}]),
        json!({"text": [1911], "answer_start": [44]}),
        json!(1911),
    ] {
        let examples = examples("f.json", paragraph(&answers).to_string());
        assert_eq!(examples[0].answers()[0].start, Some(44));
    }
    // CMRC 2018's script scores it as Python writes it.
    let year = paragraph(&json!(["1911", 1911.0, 4.9, 1e16, 1e-5]));
    let texts = self::examples("f.json", year.to_string())[0]
        .answers()
        .to_vec();
    let texts: Vec<_> = texts.iter().map(|a| (&*a.text, a.start)).collect();
    assert_eq!(
        texts,
        [
            ("1911", Some(44)),
            ("1911.0", None),
            ("4.9", None),
            ("1e+16", None),
            ("1e-05", None)
        ]
    );
    let huge = numbered.replace("262", "123456789012345678901234567890");
    let message = read_error("f.json", huge.as_bytes());
    assert!(
        message.contains("write a number of more than 15 digits as a text"),
        "{message}"
    );
    let nan = paragraph(&answers()).to_string().replace("32", "NaN");
    let message = read_error("f.json", nan.as_bytes());
    assert!(
        message.contains("NaN, which Python's json.dumps writes"),
        "{message}"
    );
    assert!(!message.contains("download"), "{message}");
}

#[test]
fn every_way_to_say_no_answer() {
    let empty = json!([{"text": "", "answer_start": -1}]);
    let ways = [
        json!({"answers": []}),
        json!({"answers": null}),
        json!({"answers": [], "is_impossible": true}),
        json!({"is_impossible": true}),
        json!({"is_impossible": "True"}),
        json!({"is_impossible": "true", "answers": null}),
        json!({"is_impossible": 1, "answers": empty}),
        json!({"answers": empty}),
        json!({"answers": [{"text": "", "answer_start": 0}]}),
        json!({"answers": [{"text": null, "answer_start": null}]}),
        json!({"answers": {"text": [], "answer_start": []}}),
        json!({"answers": {"text": [""], "answer_start": [-1]}}),
        json!({"answers": {"text": [null], "answer_start": [null]}}),
        json!({"answers": {"text": null, "answer_start": null}}),
        json!({"answers": "nan"}),
        json!({"answers": "{'text': [], 'answer_start': []}"}),
        json!({"answers": "{'text': array([], dtype=object), 'answer_start': array([], dtype=int32)}"}),
    ];
    let dataset = read_with("f.json", document(&ways).as_bytes(), &strict()).unwrap();
    assert!(dataset.flaws.is_empty());
    for (example, way) in dataset.examples[1..].iter().zip(&ways) {
        assert_eq!(example.gold, Gold::Unanswerable, "{way}");
    }
    // The same as rows.
    let rows: String = dataset
        .examples
        .iter()
        .zip([json!({"answers": answers()})].iter().chain(&ways))
        .map(|(example, way)| {
            let mut row =
                json!({"id": example.id, "context": CONTEXT, "question": example.question});
            row.as_object_mut()
                .unwrap()
                .extend(way.as_object().unwrap().clone());
            format!("{row}\n")
        })
        .collect();
    let read_rows = read("f.jsonl", rows.as_bytes()).unwrap();
    let gold: Vec<_> = dataset.examples.iter().map(|e| &e.gold).collect();
    assert_eq!(
        read_rows
            .examples
            .iter()
            .map(|e| &e.gold)
            .collect::<Vec<_>>(),
        gold
    );
    for flag in [
        json!(false),
        json!("False"),
        json!(0),
        json!("0"),
        json!(null),
        json!(""),
    ] {
        let text = document(&[json!({"is_impossible": flag, "answers": answers()})]);
        assert_eq!(examples("f.json", text)[1].answers().len(), 1);
    }
}

#[test]
fn questions_without_answers_are_to_be_answered() {
    let unlabelled = |answers: Value| json!([row(&answers)]).to_string();
    let mut no_field = row(&Value::Null);
    no_field.as_object_mut().unwrap().remove("answers");
    for text in [
        unlabelled(json!([])),
        unlabelled(Value::Null),
        unlabelled(json!({"text": [], "answer_start": []})),
        unlabelled(json!([{"text": "", "answer_start": -1}])),
        json!([no_field]).to_string(),
        format!("question,context\nWho?,{CONTEXT}\n"),
    ] {
        let dataset = read("f", text.as_bytes()).unwrap();
        assert_eq!(dataset.examples[0].gold, Gold::Unknown, "{text}");
        assert_eq!((dataset.num_unlabelled(), dataset.labelled().len()), (1, 0));
    }
    // One that says it has an answer and gives none, beside one that has one.
    let text = document(&[json!({"is_impossible": false, "answers": []}), json!({})]);
    let dataset = read("f.json", text.as_bytes()).unwrap();
    assert_eq!(dataset.num_unlabelled(), 2);
    assert_eq!(dataset.flaws.counts[&FlawKind::AnswerMissing], 1);
    // Alone it is a file of questions to answer, and nothing is wrong.
    let text = json!([{"id": "a", "context": CONTEXT, "question": "?", "is_impossible": false, "answers": []}]);
    let dataset = read("f.json", text.to_string().as_bytes()).unwrap();
    assert!(dataset.num_unlabelled() == 1 && dataset.flaws.is_empty());
    let text = text.to_string().replace("false", "true");
    assert!(read("f.json", text.as_bytes()).unwrap().has_unanswerable());
}

#[test]
fn tables_are_read() {
    let dict = "\"{'text': ['Ida Krag'], 'answer_start': [32]}\"";
    let numpy = "\"{'text': array(['Ida Krag'], dtype=object),\n 'answer_start': array([32], dtype=int32)}\"";
    let json = "\"{\"\"text\"\": [\"\"Ida Krag\"\"], \"\"answer_start\"\": [32]}\"";
    let structs = "\"[{'text': 'Ida Krag', 'answer_start': 32}]\"";
    let duckdb = "\"{'text': [Ida Krag], 'answer_start': [32]}\"";
    for answers in [dict, numpy, json, structs, duckdb, "Ida Krag"] {
        for delimiter in [",", ";", "\t", "|"] {
            let lines = [
                ["id", "title", "context", "question", "answers"],
                [
                    "q1",
                    "Ferry",
                    CONTEXT,
                    "\"Who \"\"built\"\"\nit?\"",
                    answers,
                ],
            ];
            let text: String = lines.map(|cells| cells.join(delimiter) + "\n").concat();
            assert_read("f.csv", &text, "q1");
            assert_read("f", text.replace('\n', "\r\n"), "q1");
            assert_read("f.tsv.gz", gzip(format!("\u{feff}{text}").as_bytes()), "q1");
        }
    }
    for (header, cells) in [
        (
            "ID,Context,Question,answer_text,answer_start",
            "Ida Krag,32",
        ),
        ("id,context,question,answer,answer_start", "Ida Krag,32.0"),
        (
            "id,context,question,answers.text,answers.answer_start",
            "['Ida Krag'],[32]",
        ),
        ("id,context,question,answer,x", "Ida Krag,"),
        ("id,context,question,text,answer_start", "Ida Krag,32"),
        ("query_id,context_text,query_text,answer,x", "Ida Krag,"),
        ("id,context,question,answerText,answerStart", "Ida Krag,32"),
        (
            "id,context,question,answer-text,answer-start",
            "Ida Krag,\"32,0\"",
        ),
        ("id,context,question,answer,answer_start", "Ida Krag,#N/A"),
        (
            "Id, Context ,Question,Answer Text,Answer Start",
            "Ida Krag,32",
        ),
        // As tables for Excel begin and end.
        (
            "sep=,\r\nid,context,question,answer,x",
            "Ida Krag,\n,,,,\n,,,,",
        ),
    ] {
        assert_read(
            "f.csv",
            format!("{header}\nq1,{CONTEXT},Who?,{cells}\n"),
            "q1",
        );
    }
    // pandas' index before the columns, and its NaN.
    let text = format!(
        "\tid\tcontext\tquestion\tanswer_text\tanswer_start\tis_impossible\n0\tq1\t{CONTEXT}\tWho?\tIda Krag\t32.0\tFalse\n1\tq2\t{CONTEXT}\tWhy?\tnan\tnan\tTrue\n2\tq3\t{CONTEXT}\tWhy?\t\t\t\n"
    );
    let examples = examples("f.tsv", text);
    assert_eq!(examples[0].answers().len(), 1);
    assert!(examples[1].is_impossible() && examples[2].is_impossible());
    // Columns of no meaning, whose names fill more than a kilobyte.
    let names: String = (0..100).map(|number| format!("column_{number},")).collect();
    let cells = "x,".repeat(100);
    assert_read(
        "f.csv",
        format!("{names}id,context,question,answer\n{cells}q1,{CONTEXT},Who?,Ida Krag\n"),
        "q1",
    );
    // An answer with a brace is no object.
    let text = "context,question,answer\nIn {x} is y.,Where?,{x}\n";
    assert_eq!(
        read("f.csv", text.as_bytes()).unwrap().examples[0].answers()[0].text,
        "{x}"
    );
    // Answers without a start that stand in several places are labelled at the first.
    let text = format!("context,question,answer\n{CONTEXT},When?,in\n");
    let dataset = read("f.csv", text.as_bytes()).unwrap();
    assert_eq!(dataset.flaws.counts[&FlawKind::StartMissing], 1);
    assert_eq!(dataset.examples[0].answers()[0].start, Some(41));
}

/// As spreadsheets and databases write them.
#[test]
fn names_of_fields_may_have_capitals_in_every_form() {
    const NAMES: [&str; 10] = [
        "data",
        "title",
        "paragraphs",
        "context",
        "qas",
        "id",
        "question",
        "answers",
        "text",
        "answer_start",
    ];
    let capital = |name: &str| {
        let words = name.split('_');
        let words = words.map(|word| word[..1].to_uppercase() + &word[1..]);
        words.collect::<Vec<_>>().join(" ")
    };
    let upper = |name: &str| name.to_uppercase();
    let camel = |name: &str| {
        let mut words = capital(name);
        words.retain(|c| c != ' ');
        words[..1].to_lowercase() + &words[1..]
    };
    let hyphens = |name: &str| name.replace('_', "-");
    let spelled = |text: &str, [before, after]: [&str; 2], spell: &dyn Fn(&str) -> String| {
        NAMES.into_iter().fold(text.to_owned(), |text, name| {
            let new = format!("{before}{}{after}", spell(name));
            text.replace(&format!("{before}{name}{after}"), &new)
        })
    };
    let row = row(&answers()).to_string();
    let flat = json!({"id": "q1", "context": CONTEXT, "question": "Who?", "answer": "Ida Krag", "answer_start": 32});
    let document = json!({"data": [{"title": "Ferry", "paragraphs": [paragraph(&answers())]}]});
    for text in [&row, &flat.to_string(), &document.to_string()] {
        for spell in [
            &capital as &dyn Fn(&str) -> String,
            &upper,
            &camel,
            &hyphens,
        ] {
            let text = spelled(text, ["\"", "\":"], spell);
            assert!(!text.contains("\"answer_start\""), "{text}");
            assert_read("f.json", &text, "q1");
            assert_read("f.jsonl", text + "\n", "q1");
        }
    }
    let columns = columns(&examples("f.json", &row));
    let schema = spelled(HUB, [" ", " "], &upper);
    assert_read(
        "f.parquet",
        file(&schema, &[columns], Compression::UNCOMPRESSED),
        "q1",
    );
    let texts = || Column::texts([CONTEXT]);
    let twice = file(
        "message schema { optional binary context (UTF8); optional binary Context (UTF8); optional binary question (UTF8); }",
        &[vec![texts(), texts(), texts()]],
        Compression::UNCOMPRESSED,
    );
    assert!(read_error("f.parquet", &twice).contains("two columns `context`; drop one"));
}

/// R's `write.table` writes no name for the column of its rows' names.
#[test]
fn names_of_rows_may_have_no_header() {
    for delimiter in ["\t", ",", ";"] {
        let line = |cells: &[&str]| {
            let cells: Vec<String> = cells.iter().map(|cell| format!("\"{cell}\"")).collect();
            cells.join(delimiter) + "\n"
        };
        let header = line(&["id", "context", "question", "answer_text", "answer_start"]);
        let rows = ["q1", "q2"].map(|id| line(&["1", id, CONTEXT, "Who?", "Ida Krag", "32"]));
        let table = header.clone() + &rows.concat();
        let read = examples("f.csv", &table);
        let ids: Vec<&str> = read.iter().map(|example| &*example.id).collect();
        assert_eq!(ids, ["q1", "q2"]);
        assert_eq!(read[1].answers()[0].start, Some(32));
        // The controls: a name that is no number, a header without quotes, and a further row of another length.
        for (wrong, row) in [
            (table.replacen("\"1\"", "\"a\"", 1), 1),
            (header.replace('"', "") + &rows[0], 1),
            (
                table.clone() + &line(&["q3", CONTEXT, "Who?", "Ida Krag", "32"]),
                3,
            ),
        ] {
            let message = read_error("f.csv", wrong.as_bytes());
            assert!(message.contains(&format!("row {row}: ")), "{message}");
            assert!(message.contains("cells, but the header has"), "{message}");
        }
    }
}

/// As MySQL's batch mode and PostgreSQL's COPY write them, and pandas without quoting.
#[test]
fn backslashes_that_may_be_escapes_are_told() {
    let flaws = |text: &str| read("f.csv", text.as_bytes()).unwrap().flaws;
    for cell in [
        r"a mill.\nb",
        r"a\tb",
        r#"\"a\" b"#,
        "\"a\\\nb\"",
        r"\\ and \n",
    ] {
        for delimiter in [",", "\t"] {
            let text = format!("id,context,question\nq1,{cell},Who?\n").replace(',', delimiter);
            let flaws = flaws(&text);
            let summary = flaws.summary().unwrap_or_default();
            assert_eq!(summary, "backslashes in cells left as they are", "{text}");
            let line = flaws.first[0].to_string();
            assert!(line.contains(r"cells have \n, \t, \r or"), "{line}");
        }
    }
    // Somewhere a backslash is one; line ends in lists.
    for text in [
        "context,question\n\\nu and \\alpha,Who?\n",
        "context,question\nC:\\new,Who?\nC:\\dir,Who?\n",
        "context,question\nC:\\\\x,Who?\n",
        "context,question,answers\na b,Who?,\"[\"\"a\\nb\"\"]\"\n",
    ] {
        assert_eq!(flaws(text).count(FlawKind::BackslashesUnclear), 0, "{text}");
    }
    for (row, found) in [
        ("Ida\\, the mason", "4 cells"),
        ("Ida\\\nthe mason", "2 cells"),
    ] {
        let message = read_error(
            "f.csv",
            format!("id,context,question\nq1,{row},Who?\n").as_bytes(),
        );
        let expected = format!(
            "f.csv: row 1: {found}, but the header has 3; a backslash escapes no delimiter and no line end: write the table \
             with quotes around cells"
        );
        assert_eq!(message, expected);
    }
    // MySQL's, with quotes.
    let mysql = "id,context,question\nq1,\"Ida \\\"the mason\\\"\\\nKrag\",Who?\n";
    let dataset = read("f.csv", mysql.as_bytes()).unwrap();
    assert_eq!(&*dataset.examples[0].context, "Ida \"the mason\"\nKrag");
}

/// As people write tables.
#[test]
fn blanks_behind_delimiters_are_no_part_of_cells() {
    for delimiter in [",", ";", "|"] {
        let rows = format!(
            "id, context, question, answer_text, answer_start\nq1, \"{CONTEXT}\", \"Who, then?\" , Ida Krag, 32\n"
        );
        let text = rows.replace(", ", &format!("{delimiter} "));
        assert_read("f.csv", &text, "q1");
        let question = &examples("f.csv", &text)[0].question;
        assert_eq!(*question, format!("Who{delimiter} then?"));
    }
    // Not behind each delimiter of the header: they belong to the cells.
    let text = "id,context, question\nq1, Ida,Who?\n";
    assert_eq!(&*examples("f.csv", text)[0].context, " Ida");
}

/// As `cat a.csv b.csv` makes them.
#[test]
fn a_header_that_occurs_again_is_passed_over() {
    let table = format!(
        ",ID,context,question\n0,q1,{CONTEXT},id\n,id,context,question\r\n0,q2,{CONTEXT},Who?\n\u{feff},Id,Context,Question\n"
    );
    let read = examples("f.csv", table);
    let ids: Vec<&str> = read.iter().map(|example| &*example.id).collect();
    assert_eq!(ids, ["q1", "q2"]);
}

/// As MySQL's SELECT INTO OUTFILE and Spark write tables.
#[test]
fn backslashes_may_escape_quotes_in_tables() {
    let table = "id,context,question,answers\n\
        \"q1\",\"Ida \\\"the mason\\\" Krag, C:\\\\x, \\alpha\",\"Who is \\\"the mason\\\"?\",\"\\\"the mason\\\"\"\n\
        \"q2\",\"Ida\",\"Who?\",\\N\n";
    let check = |examples: &[squad_data::Example]| {
        assert_eq!(
            &*examples[0].context,
            "Ida \"the mason\" Krag, C:\\x, \\alpha"
        );
        assert_eq!(examples[0].question, "Who is \"the mason\"?");
        let answer = &examples[0].answers()[0];
        assert_eq!((&*answer.text, answer.start), ("\"the mason\"", Some(4)));
        assert!(examples[1].answers().is_empty() && examples.len() == 2);
    };
    check(&examples("f.csv", table));
    check(&examples(
        "f.tsv",
        table
            .replace("\",\"", "\"\t\"")
            .replace("\",\\N", "\"\t\\N")
            .replace(
                "id,context,question,answers",
                "id\tcontext\tquestion\tanswers",
            ),
    ));
    // Negative control: doubled quotes leave backslashes alone.
    let doubled = table.replace("\\\"", "\"\"");
    let context = &examples("f.csv", doubled)[0].context;
    assert_eq!(&**context, "Ida \"the mason\" Krag, C:\\\\x, \\alpha");
    let both = table.to_owned() + "\"q3\",\"Ida \"\"the mason\"\"\",\"Who?\",\"Ida\"\n";
    assert_eq!(
        read_error("f.csv", both.as_bytes()),
        "f.csv: row 3: quotes inside cells are escaped by a backslash in one place and not in another; write them doubled, as \
         RFC 4180 has them"
    );
}

/// Rows of cells between tabs, which are id, question and answer, behind a header.
fn tabbed(rows: &[&str]) -> String {
    let row = |row: &&str| format!("{row}\t\"Yes\" he said, \"no\" she said\n");
    let rows: String = rows.iter().map(row).collect();
    format!("id\tquestion\tanswer\tcontext\n{rows}")
}

#[test]
fn cells_between_tabs_may_have_no_quoting() {
    let rows = [
        "q1\t\"Yes\" who said?\tYes",
        "q2\t\"No\"\t\"no\"",
        "q3\tWho said \"no\"?\t\"no",
    ];
    for text in [
        tabbed(&rows),
        tabbed(&rows).replace('\n', "\r\n"),
        tabbed(&[rows[1], rows[2]]),
    ] {
        let dataset = read("f.tsv", text.as_bytes()).unwrap();
        assert!(dataset.flaws.is_empty(), "{:?}", dataset.flaws);
        for example in &dataset.examples {
            assert_eq!(&*example.context, "\"Yes\" he said, \"no\" she said");
            let (question, answer, start) = match &*example.id {
                "q1" => ("\"Yes\" who said?", "Yes", 1),
                "q2" => ("\"No\"", "\"no\"", 15),
                _ => ("Who said \"no\"?", "\"no", 15),
            };
            let gold = &example.answers()[0];
            assert_eq!((&*example.question, &*gold.text), (question, answer));
            assert_eq!(gold.start, Some(start));
        }
    }
    // A quotation mark opens a cell that another line closes.
    let open = "question\tcontext\n\"Where\tthe mill\nWhat\tthe 5\"\n";
    let read_open = examples("f.tsv", open);
    assert_eq!(
        (&*read_open[0].question, &*read_open[1].context),
        ("\"Where", "the 5\"")
    );
    let lone = examples("f.tsv", "question\tcontext\n\"Where\tthe mill\n");
    assert_eq!(lone[0].question, "\"Where");
}

#[test]
fn cells_between_tabs_that_are_quoted_stay_so() {
    let question = |text: &str| {
        let dataset = read("f.tsv", text.as_bytes()).unwrap();
        (
            dataset.examples[0].question.clone(),
            dataset.flaws.summary(),
        )
    };
    let unclear = "quotation marks around cells left out as quoting".to_owned();
    for (row, expected, summary) in [
        // A tab, a line end and a quote inside the cell; the header is quoted; nothing says.
        ("id\tquestion\tcontext\nq1\t\"a\tb\"\tmill\n", "a\tb", None),
        ("id\tquestion\tcontext\nq1\t\"a\nb\"\tmill\n", "a\nb", None),
        (
            "id\tquestion\tcontext\nq1\t\"a \"\"b\"\"\"\tmill\n",
            "a \"b\"",
            None,
        ),
        (
            "\"id\"\t\"question\"\t\"context\"\n\"q1\"\t\"a\"\t\"mill\"\n",
            "a",
            None,
        ),
        (
            "id\tquestion\tcontext\nq1\t\"a\"\tmill\n",
            "a",
            Some(unclear),
        ),
        (
            "id\tquestion\tcontext\nq1\ta \"b\"\tmill\n",
            "a \"b\"",
            None,
        ),
    ] {
        assert_eq!(question(row), (expected.to_owned(), summary), "{row}");
    }
    // Both: what is known to be quoting does not become text.
    for (text, expected) in [
        (
            "id\tquestion\tcontext\nq1\t\"a\tb\"\tmill\nq2\t\"a\" b\tmill\n",
            "row 2: text behind a closing quote",
        ),
        (
            "\"id\"\t\"question\"\tcontext\nq2\t\"a\" b\tmill\n",
            "row 1: text behind a closing quote",
        ),
        (
            "id\tquestion\tcontext\nq1\tmill\t\"Who bu",
            "row 1: the file ends inside a quoted cell",
        ),
        (
            "id\tquestion\tcontext\nq1\t\"a\" b\tmill\nq2\tmill\n",
            "row 2: 2 cells, but the header has 3",
        ),
    ] {
        let message = read_error("f.tsv", text.as_bytes());
        assert!(message.contains(expected), "{expected} is not in {message}");
    }
}

#[test]
fn tables_that_are_wrong() {
    for (name, text, expected) in [
        (
            "f.csv",
            "id,text\n1,x\n".to_owned(),
            "its first line is \"id,text\"",
        ),
        (
            "f.csv",
            format!("context,question\n{CONTEXT}\n"),
            "row 1: 1 cell, but the header has 2",
        ),
        (
            "f.csv",
            format!("context,question,id\n{CONTEXT},a,0\nid,context,question\n1,{CONTEXT},b\n"),
            "row 2: another header, with other columns; give each table as a file of its own",
        ),
        (
            "f.csv",
            format!(
                "question,context,id\na,{CONTEXT},0\n\"Where,{CONTEXT},1\nWho said \"stop\",{CONTEXT},2\n"
            ),
            "row 2: text behind a closing quote",
        ),
        (
            "f.csv",
            format!("context,question\n{CONTEXT},\"Who\" built it?\n"),
            "row 1: text behind a closing quote",
        ),
        (
            "f.csv",
            format!("context,question,question\n{CONTEXT},a,b\n"),
            "two columns `question`",
        ),
        (
            "f.csv",
            format!("context,question,answers\n{CONTEXT},a,\"{{'text': ['a'\"\n"),
            "row 1: column `answers`: neither JSON nor a Python literal",
        ),
        (
            "f.csv",
            format!("context,question,answer,answer_start\n{CONTEXT},a,b,c\n"),
            "column `answer_start`: invalid value: string \"c\"",
        ),
        (
            "f.csv",
            format!("context;question;answer;answer_start\n{CONTEXT};a;b;3,5\n"),
            "column `answer_start`: invalid value: string \"3,5\"",
        ),
        (
            "f.csv",
            "sep=;\ncontext;text\n".to_owned(),
            "its first line is \"context;text\"",
        ),
        (
            "f.csv",
            "context,question\n".to_owned(),
            "no question in it",
        ),
        (
            "f.csv",
            "context,question\n,a\n".to_owned(),
            "row 1: the context is empty",
        ),
    ] {
        let message = read_error(name, text.as_bytes());
        assert!(message.contains(expected), "{expected} is not in {message}");
        assert!(!message.contains("download"), "{message}");
    }
    let cut = format!("context,question\n{CONTEXT},a\n{CONTEXT},\"Who bu");
    assert_eq!(
        read_error("f.csv", cut.as_bytes()),
        "f.csv: row 2: the file ends inside a quoted cell; is the download complete?"
    );
}

#[test]
fn tables_that_are_drawn_are_named() {
    let markdown =
        format!("| id | context | question |\n|---|:---:|---:|\n| q1 | {CONTEXT} | Who? |\n");
    let without_bars = format!("id | context | question\n--|--|--\nq1 | {CONTEXT} | Who?\n");
    // As psql, org mode and sqlcmd draw the line.
    let joined =
        format!(" id | context | question \n----+---------+----------\n q1 | {CONTEXT} | Who? \n");
    let org = markdown.replace("|---|:---:|---:|", "|---+-----+----|");
    let commas = format!("id,context,question\n--,-------,--------\nq1,{CONTEXT},Who?\n");
    // With bars alone, and as wikis have it.
    let bars = format!("| context | question |\n| {CONTEXT} | Who? |\n");
    let wiki = format!("||context||question||\n|{CONTEXT}|Who?|\n");
    for text in [
        &markdown,
        &without_bars,
        &joined,
        &org,
        &commas,
        &bars,
        &wiki,
    ] {
        for name in ["f.csv", "f.md", "f.txt"] {
            for text in [text.clone(), text.replace('\n', "\r\n")] {
                let message = read_error(name, text.as_bytes());
                assert!(
                    message.contains("this is a Markdown table")
                        && message.contains("save it as CSV"),
                    "{message}"
                );
            }
        }
    }
    // Columns without a name on one side: pandas' index.
    let text = format!("|context|question|answer\n0|{CONTEXT}|Who?|Ida Krag\n");
    assert_read("f.csv", &text, "0");
    // Cells of dashes beside others, or in a later row.
    for rows in [
        format!("{CONTEXT}|-|-"),
        format!("{CONTEXT}|Who?|Ida Krag\n--|--|--"),
    ] {
        let text = format!("context|question|answer\n{rows}\n");
        assert!(!examples("f.csv", &text).is_empty(), "{text}");
    }
}

#[test]
fn every_encoding_is_read() {
    let text = format!("{:#}", json!({"data": [row(&answers())]})).replace('\n', "\r\n");
    assert_read("f.json", format!("\u{feff}{text}"), "q1");
    for (mark, name) in [("\u{feff}", "f.json"), ("", "f.txt")] {
        let units: Vec<u16> = format!("{mark}{text}").encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        assert_read(name, &little, "q1");
        assert_read(name, &big, "q1");
        assert_read("f.json.gz", gzip(&little), "q1");
        let message = read_error("f.json", &little[..little.len() - 1]);
        assert!(
            message.contains("ends in the middle of a character"),
            "{message}"
        );
    }
    let table: Vec<u8> = format!("\u{feff}context,question,answer\n{CONTEXT},Who?,Ida Krag\n")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_read("f.csv", table, "0");
    let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
    let message = read_error("f.json", &latin);
    assert!(
        message.contains("0xf8 is 'ø' in Latin-1 and Windows-1252"),
        "{message}"
    );
    // Windows' quotes and dashes; a text in Shift_JIS, of which the second byte is ASCII.
    for (bytes, expected) in [
        (
            &b"It\x92s the mill, of 1871."[..],
            "0x92 is '’' in Windows-1252",
        ),
        (b"1871\x961902", "0x96 is '–' in Windows-1252"),
        (
            b"\x8365e\x83X\x83g\x82\xcc",
            "is it Windows-1252, GB18030, Shift_JIS",
        ),
        (b"It\x81s", "is it Windows-1252, GB18030, Shift_JIS"),
    ] {
        let text = [b"id,context,question\nq1,", bytes, b",Who?\n"].concat();
        let message = read_error("f.csv", &text);
        assert!(message.contains(expected), "{expected} is not in {message}");
        let is_western = expected.starts_with("0x");
        assert_eq!(
            message.contains("iconv -f WINDOWS-1252"),
            is_western,
            "{message}"
        );
    }
    // A file that is cut within a character.
    let cut = &text.as_bytes()[..text.find('ø').unwrap() + 1];
    assert!(read_error("f.json", cut).contains("is the download complete?"));
}

#[test]
fn forms_that_are_not_read_are_named() {
    let zip = b"PK\x03\x04\x14\0\0\0\0\0train.json{}";
    let office = b"PK\x03\x04\x14\0\0\0\0\0[Content_Types].xml";
    let mut tar = vec![0; 512];
    tar[..6].copy_from_slice(b"a.json");
    tar[257..262].copy_from_slice(b"ustar");
    let html = "<p>".to_owned() + CONTEXT;
    let korquad = json!({"data": [{"title": "F", "context": html, "raw_html": html, "qas": [
        {"id": "1", "question": "Who?", "answer": {"text": "Ida Krag", "answer_start": 3, "html_answer_text": "Ida Krag"}}]}]});
    let natural = json!({"example_id": 1, "document_text": CONTEXT, "question_text": "Who?", "annotations": [], "long_answer_candidates": []});
    let hotpot = json!([{"_id": "1", "question": "Who?", "answer": "Ida Krag", "supporting_facts": [["F", 0]], "context": [["F", [CONTEXT]]]}]);
    let natural_hub = json!({"id": "1", "document": {"title": "F", "html": html}, "question": {"text": "who", "tokens": []}});
    let coqa = json!({"version": "1.0", "data": [{"source": "x", "id": "1", "story": CONTEXT, "questions": [{"input_text": "Who?"}],
        "answers": [{"span_start": 0, "input_text": "Ida Krag"}]}]});
    let tokenizer = r#"{"version": "1.0", "added_tokens": [], "model": {"vocab": {"[PAD]": 0, "story": 1, "plot": 2}}}"#;
    let drop =
        json!({"nfl_1": {"passage": CONTEXT, "qa_pairs": [{"question": "Who?", "answer": {}}]}});
    let trivia = json!({"Data": [{"Answer": {"Aliases": ["Ida Krag"], "NormalizedAliases": ["ida krag"], "Value": "Ida Krag"},
        "Question": "Who?", "QuestionId": "1", "EntityPages": []}], "Domain": "Web"});
    let tydi = json!({"annotations": [{}], "document_html": html, "document_plaintext": CONTEXT, "question_text": "Who?", "example_id": 1});
    let news = json!({"data": [{"storyId": "x", "text": CONTEXT, "questions": [{"q": "Who?"}]}], "version": "1"});
    let dureader = json!({"documents": [{"paragraphs": [CONTEXT]}], "answers": ["Ida Krag"], "question": "Who?", "fact_or_opinion": "FACT"});
    let span = json!({"start": 32, "end": 40, "text": "Ida Krag", "labels": ["Answer"]});
    let label_studio = json!([{"id": 1, "data": {"text": CONTEXT, "question": "Who?"},
        "annotations": [{"completed_by": 1, "result": [{"value": span}], "was_cancelled": false}]}]);
    let prodigy = json!({"text": CONTEXT, "question": "Who?", "spans": [{"start": 32, "end": 40}], "answer": "accept", "_task_hash": 1});
    let haystack = json!([{"query": "Who?", "document": {"content": CONTEXT},
        "answer": {"answer": "Ida Krag", "offsets_in_document": [{"start": 32, "end": 40}]}}]);
    let duo = json!([{"id": "1", "plot": CONTEXT, "title": "F", "qa": [{"id": "1", "question": "Who?", "answers": ["Ida Krag"]}]}]);
    let duo_rows = json!({"plot_id": "1", "plot": CONTEXT, "question_id": "1", "question": "Who?", "answers": ["Ida Krag"], "no_answer": false});
    let tweet = json!([{"Question": "Who?", "Answer": ["Ida Krag"], "Tweet": CONTEXT, "qid": "1"}]);
    let ropes = json!({"id": "1", "background": CONTEXT, "situation": CONTEXT, "question": "Who?", "answers": {"text": ["Ida Krag"]}});
    let emr = r#"{"data": [{"paragraphs": [{"context": ["a", "b"], "qas": [{"question": ["Who?"], "answers": [
        {"text": "a", "evidence_start": 1, "answer_entity_type": "single", "answer_start": [1, 3]}]}]}], "title": "x"}]}"#;
    let tech = json!([{"QUESTION_ID": "1", "QUESTION_TEXT": "Who?", "DOCUMENT": "1", "ANSWER": "-", "START_OFFSET": "0"}]);
    let qasper = json!({"1901.1": {"title": "F", "full_text": [{"section_name": "F", "paragraphs": [CONTEXT]}], "qas": []}});
    let multi_span = json!({"data": [{"id": "1", "question": ["Who", "?"], "context": ["Ida", "Krag"], "label": ["B", "I"], "num_span": 1}]});
    let quac = r#"{"context": "a", "turn_ids": ["a"], "questions": ["Who?"], "answers": {"texts": [["a"]], "answer_starts": [[0]]}}"#;
    let race = json!({"example_id": "1", "article": CONTEXT, "answer": "A", "question": "Who?", "options": ["a", "b"]});
    let multi_rc =
        json!({"paragraph": CONTEXT, "question": "Who?", "answer": "Ida Krag", "label": 0});
    let musique = json!({"id": "1", "paragraphs": [{"idx": 0, "paragraph_text": CONTEXT, "is_supporting": true}], "question": "Who?"});
    let drop_rows = json!({"passage": CONTEXT, "question": "Who?", "answers_spans": {"spans": ["Ida Krag"], "types": ["span"]}});
    let qasper_rows = json!({"id": "1", "full_text": {"section_name": ["F"]}, "qas": {"question": ["Who?"], "nlp_background": [""]}});
    let argilla =
        json!({"fields": {"context": CONTEXT, "question": "Who?"}, "responses": {"answer": []}});
    let light_tag = json!({"annotations_and_examples": [{"content": CONTEXT, "annotations": []}]});
    let fquad = json!({"context": CONTEXT, "questions": ["Who?"], "answers": {"texts": ["Ida Krag"], "answers_starts": [32]}});
    let lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n";
    for (bytes, name) in [
        (&zip[..], "a zip archive"),
        (office, "a spreadsheet or another office document"),
        (&tar, "a tar archive"),
        (b"7z\xbc\xaf\x27\x1c\0\0", "a 7z archive"),
        (b"BZh91AY", "compressed with bzip2"),
        (b"\xfd7zXZ\0\0\0", "compressed with xz"),
        (b"\x28\xb5\x2f\xfd\0\0", "compressed with zstd"),
        (b"ARROW1\0\0", "an Arrow file (Feather)"),
        (b"\xff\xff\xff\xff\x10\0\0\0", "an Arrow stream"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an old Excel or Word file"),
        (b"\x80\x04\x95\0", "a Python pickle"),
        (b"%PDF-1.7", "a PDF document"),
        (lfs.as_bytes(), "a Git LFS pointer"),
        (b"\n<!DOCTYPE html><html></html>", "an HTML page"),
        (b"<?xml version=\"1.0\"?><data/>", "XML"),
        (korquad.to_string().as_bytes(), "KorQuAD 2.0"),
        (natural.to_string().as_bytes(), "Natural Questions"),
        (hotpot.to_string().as_bytes(), "HotpotQA"),
        (natural_hub.to_string().as_bytes(), "Natural Questions"),
        (coqa.to_string().as_bytes(), "CoQA"),
        (tokenizer.as_bytes(), "a model's tokenizer"),
        (drop.to_string().as_bytes(), "DROP"),
        (trivia.to_string().as_bytes(), "TriviaQA"),
        (tydi.to_string().as_bytes(), "TyDi QA's primary tasks"),
        (news.to_string().as_bytes(), "NewsQA"),
        (dureader.to_string().as_bytes(), "DuReader's own form"),
        (duo.to_string().as_bytes(), "DuoRC"),
        (duo_rows.to_string().as_bytes(), "DuoRC"),
        (tweet.to_string().as_bytes(), "TweetQA"),
        (ropes.to_string().as_bytes(), "ROPES"),
        (emr.as_bytes(), "emrQA's own form"),
        (tech.to_string().as_bytes(), "TechQA"),
        (qasper.to_string().as_bytes(), "Qasper"),
        (multi_span.to_string().as_bytes(), "MultiSpanQA"),
        (quac.as_bytes(), "rows of QuAC"),
        (fquad.to_string().as_bytes(), "rows of FQuAD"),
        (race.to_string().as_bytes(), "a multiple-choice data set"),
        (
            multi_rc.to_string().as_bytes(),
            "a table of candidate answers",
        ),
        (musique.to_string().as_bytes(), "MuSiQue"),
        (drop_rows.to_string().as_bytes(), "DROP"),
        (qasper_rows.to_string().as_bytes(), "Qasper"),
        (argilla.to_string().as_bytes(), "Argilla's records"),
        (light_tag.to_string().as_bytes(), "LightTag's export"),
        (
            label_studio.to_string().as_bytes(),
            "Label Studio's full export",
        ),
        (prodigy.to_string().as_bytes(), "Prodigy's export"),
        (
            haystack.to_string().as_bytes(),
            "a list of Haystack's labels",
        ),
        (
            b"story_id,question,answer_char_ranges\nx,Who?,0:3\n",
            "NewsQA",
        ),
        (
            b"q_review_id,question,review,human_ans_spans\nx,Who?,r,a\n",
            "SubjQA's own table",
        ),
        (
            b"{\"error\": \"not found\"}",
            "an error message of a server",
        ),
    ] {
        for (file, bytes) in [("f.json", bytes.to_vec()), ("f.json.gz", gzip(bytes))] {
            let message = read_error(file, &bytes);
            assert!(message.contains(&format!("this is {name}")), "{message}");
            assert!(!message.contains("complete?"), "{message}");
        }
    }
    for by_column in [
        json!({"id": {"0": "q1"}, "context": {"0": CONTEXT}, "question": {"0": "Who?"}}),
        json!({"id": ["q1", "q2"], "context": [CONTEXT, CONTEXT], "question": ["Who?", "?"]}),
        json!({"context": [CONTEXT, CONTEXT], "question": ["Who?", "?"]}),
        json!({"columns": ["id", "context"], "index": [0], "data": [["q1", CONTEXT]]}),
        json!([["q1", CONTEXT, "Who?"]]),
        json!({"0": row(&answers()), "1": row(&answers())}),
    ] {
        let message = read_error("f.json", by_column.to_string().as_bytes());
        assert!(message.contains("orient=\"records\""), "{message}");
    }
    let by_id = json!({"q1": row(&answers()), "q2": row(&answers())}).to_string();
    let message = read_error("f.json", by_id.as_bytes());
    assert!(
        message.contains("found \"q1, q2\"; if these are rows by their ids, write them as a list"),
        "{message}"
    );
    for (text, line) in [
        ("version: v2.0\ndata:\n", "\"version: v2.0\""),
        ("---\nversion: v2.0\n", "\"---\""),
        ("// comment\n{\"data\": []}", "\"// comment\""),
        ("callback({\"data\": []})", "\"callback({"),
        ("Entry not found", "\"Entry not found\""),
        ("/annex/objects/SHA256E-s3--0.json", "\"/annex/objects/"),
        ("]\0\0\u{1}\0", "\"]\\0\\0\\u{1}\\0\""),
    ] {
        let message = read_error("f.json", text.as_bytes());
        let expected =
            format!("f.json: neither JSON, CSV nor Parquet, but a file that begins with {line}");
        assert!(message.starts_with(&expected), "{message}");
    }
    for text in [json!([row(&answers())]), row(&answers())] {
        let twice = Value::from(text.to_string()).to_string();
        let message = read_error("f.json", twice.as_bytes());
        assert!(
            message.contains("at the top level: JSON inside a text"),
            "{message}"
        );
    }
    let message = read_error("f.json", b"{'data': []}");
    assert!(
        message.contains("a Python literal; write the file with json.dumps"),
        "{message}"
    );
}

#[test]
fn the_start_of_a_span_says_where_its_text_stands() {
    let start_of = |answers: Value, field: &str| {
        let mut row = row(&answers);
        let answers = row["answers"].take();
        row.as_object_mut().unwrap().remove("answers");
        row[field] = answers;
        examples("f.json", row.to_string())[0].answers()[0].start
    };
    // "in" stands at 41 and 58. JSON-MIN of Label Studio, a pipeline's answer, lists.
    let span = |start: i64| json!({"start": start, "end": start + 2, "text": "in"});
    assert_eq!(start_of(json!([span(58)]), "answers"), Some(58));
    assert_eq!(start_of(span(58), "answer"), Some(58));
    assert_eq!(
        start_of(json!({"text": ["in"], "start": [58]}), "answers"),
        Some(58)
    );
    // It counts something else, or is something else, or `answer_start` is there.
    assert_eq!(start_of(json!([span(9)]), "answers"), Some(41));
    assert_eq!(
        start_of(json!([{"text": "in", "start": "1911"}]), "answers"),
        Some(41)
    );
    assert_eq!(
        start_of(json!([{"text": "in", "start": {"x": 1}}]), "answers"),
        Some(41)
    );
    assert_eq!(
        start_of(
            json!([{"text": "in", "start": 58, "answer_start": 41}]),
            "answers"
        ),
        Some(41)
    );
}

#[test]
fn paragraphs_without_questions_are_passed_over() {
    let text = json!({"data": [
        {"title": "a", "paragraphs": [{"context": CONTEXT}]},
        {"title": "b", "paragraphs": [paragraph(&answers()), {"context": CONTEXT, "qas": []}]},
        {"context": CONTEXT},
    ]});
    assert_read("f.json", text.to_string(), "q1");
}

fn bad_answers() -> String {
    let one = |text: &str, start: i64| json!({"answers": [{"text": text, "answer_start": start}]});
    document(&[
        one("Ida Krag", 30),
        one("ida krag", 32),
        one("Ida\u{a0}Krag", 32),
        one("Sando\u{338}", 13),
        one("Ida &#75;rag", 32),
        one("Ole Bull", 32),
        one("Ole Bull", 500),
        json!({"answers": [{"text": "1911", "answer_start": 44}, {"text": "in the year", "answer_start": -1}]}),
    ])
}

#[test]
fn bad_answers_are_kept_left_out_or_repaired() {
    let text = bad_answers();
    let read = |on_bad_answer| {
        let options = ReadOptions {
            on_bad_answer,
            ..ReadOptions::default()
        };
        read_with("f.json", text.as_bytes(), &options)
    };
    let kept = read(OnBadAnswer::Keep).unwrap();
    assert_eq!(kept.len(), 9);
    let flaws = &kept.flaws;
    assert_eq!((flaws.unlocated_answers, flaws.unlocated_questions), (8, 7));
    let kinds: Vec<_> = flaws
        .counts
        .iter()
        .map(|(kind, count)| (*kind, *count))
        .collect();
    use FlawKind::*;
    assert_eq!(
        kinds,
        [
            (StartWrong, 1),
            (OtherCase, 1),
            (OtherSpace, 1),
            (HtmlEntities, 1),
            (Absent, 2),
            (OutsideContext, 2),
        ]
    );
    let first = flaws.of(StartWrong).next().unwrap();
    assert_eq!(
        (&*first.id, first.nearest_start, first.distance),
        ("q0", Some(32), Some(2))
    );
    assert_eq!(first.found.as_deref(), Some("y Ida Kr"));
    assert!(
        flaws
            .first
            .iter()
            .all(|flaw| flaw.place.contains("data[0].paragraphs[0]"))
    );

    let error = read(OnBadAnswer::Error).unwrap_err().to_string();
    assert!(
        error.contains("question \"q0\"") && error.contains("6 more questions"),
        "{error}"
    );

    let skipped = read(OnBadAnswer::Skip).unwrap();
    assert_eq!((skipped.len(), skipped.flaws.skipped_questions), (2, 7));
    assert_eq!(skipped.examples[1].answers().len(), 2);
    assert_eq!(skipped.examples[1].first_located().unwrap().text, "1911");

    let repaired = read(OnBadAnswer::Repair).unwrap();
    let flaws = &repaired.flaws;
    assert_eq!(
        (
            repaired.len(),
            flaws.repaired_answers,
            flaws.skipped_questions
        ),
        (6, 4, 3)
    );
    for example in &repaired.examples {
        let answer = example.first_located().unwrap();
        assert_eq!(
            example.slice(answer.char_range().unwrap()),
            Some(&*answer.text)
        );
    }
    // A repaired file has no flaw.
    let folder = test_support::temp_dir();
    for name in ["fixed.json", "fixed.jsonl"] {
        let path = folder.path().join(name);
        repaired.write(&path).unwrap();
        let again = Dataset::read_with(&[path], &strict()).unwrap();
        assert!(
            again.flaws.is_empty() && again.len() == 6,
            "{:?}",
            again.flaws
        );
        assert_eq!(again.examples[..5], repaired.examples[..5]);
    }
}

#[test]
fn a_whole_file_is_looked_through() {
    let mut rows: Vec<Value> = (0..30)
        .map(|_| row(&json!([{"text": "x", "answer_start": 1}])))
        .collect();
    for (number, row) in rows.iter_mut().enumerate() {
        row["id"] = json!(format!("q{}", number % 25));
    }
    rows.push(json!({"id": "blank", "context": " ", "question": "Who?"}));
    rows.push(json!({"id": "mute", "context": CONTEXT, "question": ""}));
    rows.push(json!({"id": "both", "context": CONTEXT, "question": "?", "is_impossible": true, "answers": answers()}));
    let text = Value::from(rows).to_string();
    let options = ReadOptions {
        keep_going: true,
        ..ReadOptions::default()
    };
    let dataset = read_with("f.json", text.as_bytes(), &options).unwrap();
    use FlawKind::*;
    let count = |kind| dataset.flaws.counts[&kind];
    assert_eq!(
        (count(Absent), count(DuplicateId), count(Contradiction)),
        (25, 5, 1)
    );
    assert_eq!((count(EmptyContext), count(EmptyQuestion)), (1, 1));
    assert_eq!(dataset.flaws.of(Absent).count(), 10);
    assert_eq!((dataset.len(), dataset.flaws.skipped_questions), (26, 7));
}

#[test]
fn empty_questions_and_contexts_are_kept_or_left_out() {
    let rows = json!([
        {"id": "blank", "context": " ", "question": "Who?"},
        {"id": "mute", "context": CONTEXT, "question": "", "answers": answers()},
        row(&answers()),
    ]);
    let text = rows.to_string();
    let read = |options: &ReadOptions| read_with("f.json", text.as_bytes(), options);
    let kept = ReadOptions {
        keep_empty: true,
        ..ReadOptions::default()
    };
    let kept = read(&kept).unwrap();
    assert_eq!((kept.len(), kept.flaws.skipped_questions), (3, 0));
    assert_eq!(
        kept.examples[1].answers().len(),
        kept.examples[2].answers().len()
    );
    for on_bad_answer in [OnBadAnswer::Skip, OnBadAnswer::Repair] {
        let options = ReadOptions {
            on_bad_answer,
            ..ReadOptions::default()
        };
        let left = read(&options).unwrap();
        assert_eq!((left.len(), left.flaws.skipped_questions), (1, 2));
    }
    let error = read(&ReadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("the context is empty"), "{error}");
}

#[test]
fn what_is_left_out_has_a_number_and_is_one_files() {
    let options = ReadOptions {
        on_bad_answer: OnBadAnswer::Skip,
        ..ReadOptions::default()
    };
    let rows = json!([{"context": " ", "question": "Who?"}, row(&answers())]);
    let text = rows.to_string().replace("\"q1\"", "null");
    let dataset = read_with("f.json", text.as_bytes(), &options).unwrap();
    assert_eq!(dataset.examples[0].id, "1");
    // The second file has no question, whatever was left out of the first.
    let folder = test_support::temp_dir();
    let paths = ["a.json", "b.json"].map(|name| folder.path().join(name));
    std::fs::write(&paths[0], text).unwrap();
    std::fs::write(&paths[1], r#"{"data": []}"#).unwrap();
    let message = Dataset::read_with(&paths, &options)
        .unwrap_err()
        .to_string();
    assert!(message.contains("b.json: no question"), "{message}");
}

#[test]
fn a_stream_is_read_whatever_its_parts_are() {
    let table = format!("id,context,question,answers\nq1,{CONTEXT},Who?,Ida Krag\n");
    let lines = row(&answers()).to_string();
    for text in [&table, &lines] {
        for at in 0..40 {
            let (first, second) = text.as_bytes().split_at(at);
            let mut ids = Vec::new();
            Dataset::for_each_from_reader("standard input", first.chain(second), &mut |example| {
                ids.push(example.id);
                ControlFlow::Continue(())
            })
            .unwrap_or_else(|error| panic!("{at}: {error}"));
            assert_eq!(ids, ["q1"], "{at}");
        }
    }
}

#[test]
fn a_split_without_rows_is_none() {
    let row = row(&answers());
    for text in [
        json!({"train": [row], "validation": []}),
        json!({"train": [], "test": [row]}),
        json!({"train": [row], "test": null}),
        json!({"train": [row], "validation": true}),
    ] {
        let text = text.to_string();
        let dataset = read_with("f.json", text.as_bytes(), &ReadOptions::default());
        assert_eq!(dataset.unwrap().len(), 1, "{text}");
    }
}

#[test]
fn folders_and_shards_are_read_in_order() {
    let folder = test_support::temp_dir();
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, id: &str| {
        let text = row(&answers()).to_string().replace("q1", id);
        std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
        std::fs::write(path(name), text).unwrap();
    };
    let ids = |path: &Path| {
        Dataset::read(path).map(|d| d.examples.iter().map(|e| e.id.clone()).collect::<Vec<_>>())
    };
    for number in [9, 10, 0] {
        write(&format!("parts/part-{number}.jsonl"), &format!("p{number}"));
    }
    write("parts/dataset_info.json", "info");
    std::fs::write(path("parts/README.md"), "# Ferries").unwrap();
    assert_eq!(ids(&path("parts")).unwrap(), ["p0", "p9", "p10"]);
    for (split, number) in [("train", 0), ("train", 1), ("validation", 0)] {
        let count = if split == "train" { 2 } else { 1 };
        write(
            &format!("hub/data/{split}-0000{number}-of-0000{count}.jsonl"),
            &format!("{split}{number}"),
        );
    }
    let message = ids(&path("hub")).unwrap_err().to_string();
    assert!(
        message.contains("the splits train, validation; name one"),
        "{message}"
    );
    assert_eq!(ids(&path("hub/train")).unwrap(), ["train0", "train1"]);
    assert_eq!(ids(&path("hub/data/validation")).unwrap(), ["validation0"]);
    // A folder for each configuration, as the Hub's data sets have them.
    write("configs/plain_text/train-00000-of-00001.jsonl", "c0");
    write("configs/.cache/train.jsonl", "hidden");
    assert_eq!(ids(&path("configs/train")).unwrap(), ["c0"]);
    let message = ids(&path("configs/plain_text/dev"))
        .unwrap_err()
        .to_string();
    let expected = "plain_text: a folder without a split dev, but with train";
    assert!(message.ends_with(expected), "{message}");
    write("configs/other/train.jsonl", "c1");
    let message = ids(&path("configs/train")).unwrap_err().to_string();
    assert!(
        message.contains("configs: the folders other, plain_text have a split train; name one"),
        "{message}"
    );
    let message = ids(&path("configs/other/*.jsonl")).unwrap_err().to_string();
    assert!(message.contains("patterns are not expanded"), "{message}");
    let message = ids(&path("configs/other/dev.jsonl"))
        .unwrap_err()
        .to_string();
    assert!(message.contains("No such file"), "{message}");
    std::fs::remove_file(path("hub/data/train-00000-of-00002.jsonl")).unwrap();
    let message = ids(&path("hub/train")).unwrap_err().to_string();
    assert!(
        message.contains("shard 0 of the 2 of train is missing"),
        "{message}"
    );
    // Files that say their split in another way.
    for name in [
        "own/train.json",
        "own/own-dev.jsonl",
        "own/extra_train.ndjson",
    ] {
        write(name, name);
    }
    let message = ids(&path("own")).unwrap_err().to_string();
    assert!(
        message.contains("the splits dev, train; name one"),
        "{message}"
    );
    assert_eq!(
        ids(&path("own/train")).unwrap(),
        ["own/extra_train.ndjson", "own/train.json"]
    );
    assert_eq!(ids(&path("own/dev")).unwrap(), ["own/own-dev.jsonl"]);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere", path("parts/part-11.jsonl")).unwrap();
        let message = ids(&path("parts")).unwrap_err().to_string();
        assert!(
            message.contains("part-11.jsonl") && message.contains("No such file"),
            "{message}"
        );
    }
    std::fs::create_dir(path("empty")).unwrap();
    assert!(
        ids(&path("empty"))
            .unwrap_err()
            .to_string()
            .contains("without data files")
    );
    std::fs::write(path("empty/data-00000-of-00001.arrow"), "x").unwrap();
    let message = ids(&path("empty")).unwrap_err().to_string();
    assert!(message.contains("a folder of Arrow files"), "{message}");
}

#[test]
fn ids_can_be_made_unique_by_file() {
    let folder = test_support::temp_dir();
    let paths = ["ferry.de.json", "ferry.en.json.gz"].map(|name| folder.path().join(name));
    let text = row(&answers()).to_string();
    std::fs::write(&paths[0], &text).unwrap();
    std::fs::write(&paths[1], gzip(text.as_bytes())).unwrap();
    let message = Dataset::read_all(&paths).unwrap_err().to_string();
    assert!(
        message.contains("ferry.de.json: question 1") && message.contains("unique_ids"),
        "{message}"
    );
    let options = ReadOptions {
        unique_ids: true,
        ..ReadOptions::default()
    };
    let dataset = Dataset::read_with(&paths, &options).unwrap();
    let ids: Vec<_> = dataset.examples.iter().map(|e| e.id.as_str()).collect();
    assert_eq!(ids, ["ferry.de:q1", "ferry.en:q1"]);
    // One file keeps its ids.
    assert_eq!(
        Dataset::read_with(&paths[..1], &options).unwrap().examples[0].id,
        "q1"
    );
}

#[test]
fn windows_may_be_labelled_with_any_answer() {
    let context = format!("the cat ate {}the baker ate", "bread ".repeat(40));
    let start = context.len() - "the baker ate".len();
    let answers =
        [("the cat", 0), ("the baker", start)].map(|(text, start)| squad_data::GoldAnswer {
            text: text.to_owned(),
            start: Some(start),
        });
    let example =
        squad_data::Example::new("q", "who ate?", context.as_str()).with_answers(answers.to_vec());
    let examples = [example];
    let labels = |label_answer| {
        let options = FeatureOptions {
            label_answer,
            ..short()
        };
        let features = make_features(&examples, &small_tokenizer(), &options).unwrap();
        let texts: Vec<Option<String>> = features
            .iter()
            .map(|f| {
                f.has_answer().then(|| {
                    examples[0]
                        .slice(f.char_span(f.start_position, f.end_position).unwrap())
                        .unwrap()
                        .to_owned()
                })
            })
            .collect();
        (texts, reach(&examples, &features, 1))
    };
    let (first, reached) = labels(LabelAnswer::First);
    assert_eq!(first[0].as_deref(), Some("the cat"));
    assert!(first[1..].iter().all(Option::is_none));
    assert_eq!(
        (reached.unlabelled_answers, reached.too_long_answers),
        (1, 1)
    );
    assert_eq!(reached.first_unlabelled[0].text, "the baker");
    let (any, reached) = labels(LabelAnswer::Any);
    assert_eq!(any[0].as_deref(), Some("the cat"));
    assert_eq!(any.last().unwrap().as_deref(), Some("the baker"));
    assert_eq!(reached.unlabelled_answers, 0);
}

#[test]
fn long_questions_are_an_error_cut_or_left_out() {
    let example = |id: &str, question: &str| {
        squad_data::Example::new(id, question, "the cat ate the bread ".repeat(10))
    };
    let examples = [
        example("short", "who ate?"),
        example("long", &"who ate ".repeat(40)),
    ];
    let features = |long_questions, max_query_length| {
        let options = FeatureOptions {
            long_questions,
            max_query_length,
            ..short()
        };
        make_features(&examples, &small_tokenizer(), &options)
    };
    let message = features(LongQuestions::Error, None)
        .unwrap_err()
        .to_string();
    assert!(message.contains("\"long\": 80 tokens"), "{message}");
    let cut = features(LongQuestions::Truncate, None).unwrap();
    let of_long: Vec<_> = cut.iter().filter(|f| f.example_index == 1).collect();
    assert!(
        of_long
            .iter()
            .all(|f| f.len() <= 40 && f.context.len() <= 11)
    );
    let tokens: usize = of_long.last().unwrap().offsets.last().unwrap().1 as usize;
    assert_eq!(tokens, examples[1].context.trim_end().len());
    let cut = features(LongQuestions::Truncate, Some(8)).unwrap();
    assert!(
        cut.iter()
            .filter(|f| f.example_index == 1)
            .all(|f| f.context.start == 10)
    );
    let skipped = features(LongQuestions::Skip, None).unwrap();
    assert!(!skipped.is_empty() && skipped.iter().all(|f| f.example_index == 0));
}
