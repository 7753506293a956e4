//! All forms of a file, JSON, JSON Lines, gzip and Parquet, give equal examples.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use flate2::write::GzEncoder;
use parquet::basic::Compression;
use serde_json::json;
use squad_data::{Dataset, Example, ReadOptions};

use crate::common::{fixture, read, read_error};
use crate::parquet_writer::{HUB, columns, file, second_version};

/// The sample's dev set: 120 questions, 30 of them without an answer.
fn sample() -> (PathBuf, Dataset) {
    let path = test_support::workspace_path("datasets/sample/dev.json");
    let dataset = Dataset::read(&path).unwrap();
    (path, dataset)
}

/// The examples as JSON Lines.
pub(crate) fn rows(examples: &[Example]) -> String {
    let row = |example: &Example| {
        let texts: Vec<&str> = example.answers().iter().map(|a| a.text.as_str()).collect();
        let starts: Vec<usize> = example.answers().iter().map(|a| a.start.unwrap()).collect();
        json!({
            "id": example.id, "title": *example.title, "context": *example.context,
            "question": example.question, "answers": {"text": texts, "answer_start": starts},
        })
        .to_string()
    };
    let lines: Vec<String> = examples.iter().map(row).collect();
    lines.join("\n") + "\n"
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Checks that equal texts are one text in memory.
fn assert_shared(examples: &[Example]) {
    for (number, one) in examples.iter().enumerate() {
        for other in &examples[number..] {
            assert_eq!(
                one.context == other.context,
                Arc::ptr_eq(&one.context, &other.context)
            );
            assert_eq!(
                one.title == other.title,
                Arc::ptr_eq(&one.title, &other.title)
            );
        }
    }
}

#[test]
fn all_text_forms_give_equal_examples() {
    let (path, sample) = sample();
    let json = std::fs::read(path).unwrap();
    let rows = rows(&sample.examples);
    // With blank lines, Windows line ends and a byte order mark.
    let odd = format!("\u{feff}\r\n{}\r\n  \r\n", rows.replace('\n', "\r\n\n"));
    for (name, bytes) in [
        ("sample.json.gz", gzip(&json)),
        ("sample.jsonl", rows.clone().into_bytes()),
        ("rows.json", rows.clone().into_bytes()),
        ("odd.jsonl", odd.into_bytes()),
        ("sample.jsonl.gz", gzip(rows.as_bytes())),
        // The content decides.
        ("sample", gzip(&json)),
        // As made by `cat a.gz b.gz`.
        (
            "two.gz",
            [gzip(&rows.as_bytes()[..500]), gzip(&rows.as_bytes()[500..])].concat(),
        ),
        // As tapes and some disks pad it.
        (
            "padded.gz",
            [gzip(rows.as_bytes()), vec![0; 100_000]].concat(),
        ),
        (
            "padded between.gz",
            [
                gzip(&rows.as_bytes()[..500]),
                vec![0; 7],
                gzip(&rows.as_bytes()[500..]),
                vec![0],
            ]
            .concat(),
        ),
    ] {
        let read = read(name, &bytes).unwrap();
        assert!(read.examples == sample.examples, "{name}");
        let nested = ["sample.json.gz", "sample"].contains(&name);
        assert_eq!(read.version.is_some(), nested, "{name}");
        assert_shared(&read.examples);
    }
    assert_shared(&sample.examples);
}

#[test]
fn contexts_are_shared_between_distant_rows() {
    let (_, sample) = sample();
    let mut examples = sample.examples;
    // Every second question moves to the end, so that rows of one context are apart.
    let (odd, even): (Vec<_>, Vec<_>) = examples
        .drain(..)
        .enumerate()
        .partition(|(n, _)| n % 2 == 1);
    examples = even.into_iter().chain(odd).map(|(_, e)| e).collect();
    let read = read("shuffled.jsonl", rows(&examples).as_bytes()).unwrap();
    assert!(read.examples == examples);
    assert_shared(&read.examples);
}

#[test]
fn read_with_size_measures_the_decompressed_text() {
    let folder = test_support::temp_dir();
    let (path, _) = sample();
    let json = std::fs::read(&path).unwrap();
    let packed = folder.path().join("sample.json.gz");
    std::fs::write(&packed, gzip(&json)).unwrap();
    for path in [path, packed] {
        let (_, length) = Dataset::read_with_size(&[path], &ReadOptions::default()).unwrap();
        assert_eq!(length, json.len() as u64);
    }
}

#[test]
fn the_order_of_fields_does_not_matter() {
    let json = r#"{"data": [{"paragraphs": [{"qas": [{"answers": [{"answer_start": 0, "text": "Bo"}],
        "question": "Who?", "id": "q"}], "context": "Bo ran."}], "title": "Running"}], "version": 1.1}"#;
    let dataset = Dataset::from_json("f.json", json.as_bytes()).unwrap();
    assert_eq!(dataset.version.as_deref(), Some("1.1"));
    assert_eq!(&*dataset.examples[0].title, "Running");
    let rows = rows(&dataset.examples);
    assert!(rows.starts_with(r#"{"answers":"#), "{rows}");
    assert!(read("f.jsonl", rows.as_bytes()).unwrap().examples == dataset.examples);
}

#[test]
fn damaged_gzip_is_reported_as_damage() {
    let (path, _) = sample();
    let whole = gzip(&std::fs::read(path).unwrap());
    for length in [
        3,
        10,
        18,
        200,
        whole.len() / 2,
        whole.len() - 9,
        whole.len() - 1,
    ] {
        let message = read_error("cut.json.gz", &whole[..length]);
        assert!(
            message.starts_with("cut.json.gz: the gzip data is damaged: it stops in the middle"),
            "{length}: {message}"
        );
    }
    for at in [2, whole.len() / 2, whole.len() - 6, whole.len() - 2] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        let message = read_error("bad.json.gz", &bytes);
        let expected = "bad.json.gz: the gzip data is damaged: ";
        assert!(message.starts_with(expected), "{at}: {message}");
    }
    // Zeros are padding, other bytes are none.
    let message = read_error("rest.json.gz", &[&whole[..], b"\0\0rest"].concat());
    assert!(message.contains("the gzip data is damaged"), "{message}");
    // The name says gzip, the content does not.
    let message = read_error("text.json.gz", b" {\"data\": []}");
    assert!(
        message.contains("it is not compressed; take .gz from its name"),
        "{message}"
    );
    let message = read_error("twice.json.gz", &gzip(&gzip(b"{}")));
    assert!(message.contains("it is compressed twice"), "{message}");
    assert!(read_error("cut.json.gz", b"\0{}").contains("the gzip data is damaged"));
    assert!(read_error("empty.gz", b"").contains("it stops in the middle"));
    assert!(read_error("nothing.gz", &gzip(b"")).contains("the file is empty"));
}

#[test]
fn files_of_pyarrow_are_read() {
    let (_, sample) = sample();
    for name in [
        "hub.parquet",
        "plain.parquet",
        "polars.parquet",
        "pages2.parquet",
        "delta.parquet",
        "nested.parquet",
    ] {
        let read = Dataset::read(&fixture(name)).unwrap();
        assert!(read.examples == sample.examples[..12], "{name}");
        assert!(read.has_unanswerable() && !read.answerable().is_empty());
    }
}

#[test]
fn parquet_gives_equal_examples() {
    let (_, sample) = sample();
    let (first, second) = sample.examples.split_at(77);
    for compression in [Compression::SNAPPY, Compression::UNCOMPRESSED] {
        let whole = file(HUB, &[columns(&sample.examples)], compression);
        let groups = file(HUB, &[columns(first), columns(second)], compression);
        for (name, bytes) in [
            ("a.parquet", &whole),
            ("b.parquet", &groups),
            ("c", &groups),
        ] {
            let read = read(name, bytes).unwrap();
            assert!(read.examples == sample.examples, "{name}");
            assert_shared(&read.examples);
        }
        let second = second_version(HUB, &[columns(first), columns(second)], compression);
        let read = read("second.parquet", &second).unwrap();
        assert!(read.examples == sample.examples);
    }
}
