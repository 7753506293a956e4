//! What reading a file takes: at most twice its text, in every form.

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};
use test_support::Random;

use crate::support::Sandbox;

/// Questions with about 800 bytes of text each.
const QUESTIONS: usize = 24_000;

/// The pages of six columns, as they are and decompressed, and the decoder's batches of rows. They do not grow with the file.
const PAGES: u64 = 16 << 20;

fn words(random: &mut Random, count: usize) -> String {
    let word = |random: &mut Random| {
        let letters = (0..2 + random.below(7)).map(|_| char::from(b'a' + random.below(16) as u8));
        letters.collect::<String>()
    };
    let words: Vec<String> = (0..count).map(|_| word(random)).collect();
    words.join(" ")
}

/// Rows about different contexts.
fn rows() -> Vec<Value> {
    let mut random = Random::new(1);
    let row = |number: usize| {
        let context = words(&mut random, 120);
        let answer: String = context.chars().take_while(|c| *c != ' ').collect();
        json!({"id": format!("q{number:06}"), "context": context, "question": words(&mut random, 10),
            "answers": {"text": [answer], "answer_start": [0]}})
    };
    (0..QUESTIONS).map(row).collect()
}

/// A paragraph with the question of a row.
fn paragraph(row: &Value) -> Value {
    let answer = json!({"text": row["answers"]["text"][0], "answer_start": 0});
    json!({"context": row["context"],
        "qas": [{"id": row["id"], "question": row["question"], "answers": [answer]}]})
}

fn mrqa(row: &Value) -> Value {
    let text = row["answers"]["text"][0].as_str().unwrap();
    let detected = json!([{"text": text, "char_spans": [[0, text.len() - 1]]}]);
    json!({"context": row["context"], "qas": [{"qid": row["id"], "question": row["question"],
        "answers": [text], "detected_answers": detected}]})
}

fn table(rows: &[Value]) -> String {
    let mut table = "id\tcontext\tquestion\tanswers\n".to_owned();
    for row in rows {
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        let answer = row["answers"]["text"][0].as_str().unwrap();
        let answers =
            format!("{{'text': array(['{answer}'], dtype=object), 'answer_start': array([0])}}");
        table += &[text("id"), text("context"), text("question"), answers].join("\t");
        table.push('\n');
    }
    table
}

/// Columns of texts; `answer` has no place of its own.
fn parquet_file(rows: &[Value]) -> Vec<u8> {
    let schema = "message rows { required binary id (UTF8); required binary context (UTF8);
        required binary question (UTF8); required binary answer (UTF8); }";
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(
        &mut bytes,
        Arc::new(parse_message_type(schema).unwrap()),
        Arc::new(properties.build()),
    )
    .unwrap();
    let mut group = writer.next_row_group().unwrap();
    let texts = |of: &dyn Fn(&Value) -> &Value| -> Vec<ByteArray> {
        rows.iter()
            .map(|row| of(row).as_str().unwrap().into())
            .collect()
    };
    for column in [
        texts(&|row| &row["id"]),
        texts(&|row| &row["context"]),
        texts(&|row| &row["question"]),
        texts(&|row| &row["answers"]["text"][0]),
    ] {
        let mut writer = group.next_column().unwrap().unwrap();
        let ColumnWriter::ByteArrayColumnWriter(values) = writer.untyped() else {
            unreachable!("a column of texts");
        };
        values.write_batch(&column, None, None).unwrap();
        writer.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn no_form_needs_more_than_twice_its_text() {
    let sandbox = Sandbox::new();
    let inspected = |name: &str| {
        let dataset = format!("--dataset={name}");
        let report = sandbox.command(&["inspect", &dataset, "--json"]).json();
        let number = |key: &str| report[key].as_u64().unwrap();
        (
            number("questions"),
            number("text_bytes"),
            number("peak_memory_bytes"),
        )
    };
    let (_, _, program) = inspected("eight.json");
    let rows = rows();
    let paragraphs: Vec<Value> = rows.iter().map(paragraph).collect();
    let articles = paragraphs
        .chunks(20)
        .map(|part| json!({"title": "T", "paragraphs": part}));
    let lines = |values: &mut dyn Iterator<Item = Value>| {
        values.map(|value| format!("{value}\n")).collect::<String>()
    };
    let row_lines = lines(&mut rows.iter().cloned());
    let utf16: Vec<u8> = ("\u{feff}".to_owned() + &row_lines)
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (name, bytes, more) in [
        (
            "articles.json",
            json!({"data": articles.collect::<Vec<_>>()})
                .to_string()
                .into(),
            0,
        ),
        (
            "article.json",
            json!({"data": [{"title": "T", "paragraphs": paragraphs}]})
                .to_string()
                .into(),
            0,
        ),
        ("paragraphs.json", json!(paragraphs).to_string().into(), 0),
        ("data.json", json!({"data": rows}).to_string().into(), 0),
        ("list.json", json!(rows).to_string().into(), 0),
        ("rows.jsonl", row_lines.into(), 0),
        ("mrqa.jsonl", lines(&mut rows.iter().map(mrqa)).into(), 0),
        ("table.tsv", table(&rows).into(), 0),
        ("utf16.jsonl", utf16, 0),
        ("rows.parquet", parquet_file(&rows), PAGES),
    ] {
        let bytes: Vec<u8> = bytes;
        std::fs::write(sandbox.path(name), bytes).unwrap();
        let (questions, text, peak) = inspected(name);
        assert_eq!(questions, QUESTIONS as u64, "{name}");
        assert!(text > 18 << 20, "{name}: {text}");
        let needed = peak.saturating_sub(program);
        assert!(
            needed <= 2 * text + more,
            "{name}: {needed} bytes for {text} of text"
        );
        // The control: the examples themselves are most of the text.
        assert!(
            2 * needed > text,
            "{name}: {needed} bytes for {text} of text"
        );
    }
}
