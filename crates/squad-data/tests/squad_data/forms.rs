//! The forms of a data set's file: JSON, JSON Lines, gzip and Parquet give equal examples.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use squad_data::{Dataset, Example};
use tempfile::TempDir;

use crate::common::fixture;

/// The sample's dev set: 120 questions, 30 of them without an answer.
fn sample() -> (PathBuf, Dataset) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/sample/dev.json");
    let dataset = Dataset::read(&path).unwrap();
    (path, dataset)
}

/// The flat form, a row to a line.
pub(crate) fn rows(examples: &[Example]) -> String {
    let row = |example: &Example| {
        let texts: Vec<&str> = example.answers.iter().map(|a| a.text.as_str()).collect();
        let starts: Vec<usize> = example.answers.iter().map(|a| a.start).collect();
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
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Reads bytes as a file of this name.
pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<Dataset, squad_data::Error> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    Dataset::read(&path)
}

/// The message, without the temporary folder's name, and checked to be one line that begins with the file's.
pub(crate) fn message(name: &str, bytes: &[u8]) -> String {
    let message = read(name, bytes).unwrap_err().to_string();
    assert!(!message.contains('\n'), "{message}");
    let folder = message.find(name).expect("the file is named");
    message[folder..].to_owned()
}

/// Texts of equal content are one text in memory.
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
    // Lines that are blank, end as Windows ends them, and a byte order mark.
    let odd = format!("\u{feff}\r\n{}\r\n  \r\n", rows.replace('\n', "\r\n\n"));
    for (name, bytes) in [
        ("sample.json.gz", gzip(&json)),
        ("sample.jsonl", rows.clone().into_bytes()),
        ("rows.json", rows.clone().into_bytes()),
        ("odd.jsonl", odd.into_bytes()),
        ("sample.jsonl.gz", gzip(rows.as_bytes())),
        // Content decides where the name does not.
        ("sample", gzip(&json)),
        // As `cat a.gz b.gz` leaves it.
        (
            "two.gz",
            [gzip(&rows.as_bytes()[..500]), gzip(&rows.as_bytes()[500..])].concat(),
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
fn contexts_are_shared_wherever_their_rows_stand() {
    let (_, sample) = sample();
    let mut examples = sample.examples;
    // Every second question behind all others: no two rows of a context follow each other.
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
fn the_texts_length_is_measured_after_decompression() {
    let folder = TempDir::new().unwrap();
    let (path, _) = sample();
    let json = std::fs::read(&path).unwrap();
    let packed = folder.path().join("sample.json.gz");
    std::fs::write(&packed, gzip(&json)).unwrap();
    for path in [path, packed] {
        let (_, length) = Dataset::read_with_size(&path).unwrap();
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
fn damaged_gzip_is_named() {
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
        let message = message("cut.json.gz", &whole[..length]);
        assert!(
            message.starts_with("cut.json.gz: the gzip data is damaged: it stops in the middle"),
            "{length}: {message}"
        );
    }
    for at in [2, whole.len() / 2, whole.len() - 6, whole.len() - 2] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        let message = message("bad.json.gz", &bytes);
        // Whatever the damage does to the text, it is the damage that is told.
        let expected = "bad.json.gz: the gzip data is damaged: ";
        assert!(message.starts_with(expected), "{at}: {message}");
    }
    // The name promises gzip.
    assert!(message("text.json.gz", b"{\"data\": []}").contains("the gzip data is damaged"));
    assert!(message("empty.gz", b"").contains("it stops in the middle"));
    assert!(message("nothing.gz", &gzip(b"")).contains("the file is empty"));
}

#[test]
fn pyarrows_files_are_read_or_the_feature_is_named() {
    let (_, sample) = sample();
    for name in ["hub.parquet", "plain.parquet"] {
        let read = Dataset::read(&fixture(name));
        if cfg!(feature = "parquet") {
            let read = read.unwrap();
            assert!(read.examples == sample.examples[..12], "{name}");
            assert!(read.has_unanswerable() && !read.answerable().is_empty());
        } else {
            let message = read.unwrap_err().to_string();
            assert!(
                message.contains("turn on the feature `parquet`"),
                "{message}"
            );
        }
    }
}

#[cfg(feature = "parquet")]
mod parquet {
    use ::parquet::basic::Compression;

    use super::*;
    use crate::tables::{HUB, columns, file};

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
        }
    }
}
