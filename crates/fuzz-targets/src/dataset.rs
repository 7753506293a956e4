use std::ops::ControlFlow;

use qa_metrics::{Metric, NaProbs};
use squad_data::{Dataset, NoAnswerProbabilities, OnBadAnswer, PredictedAnswers, ReadOptions};

use crate::sandbox;

fn read(name: &str, bytes: &[u8]) {
    let path = sandbox::write(name, bytes);
    let Ok(dataset) = Dataset::read(&path) else {
        return;
    };
    // What everything later relies on.
    for example in &dataset.examples {
        for answer in example.answers() {
            let found = answer.char_range().map(|range| example.slice(range));
            assert!(found.is_none_or(|found| found == Some(&*answer.text)));
        }
    }
    // A file of any size is read question by question.
    let mut ids = Vec::new();
    let each = Dataset::for_each(&path, &mut |example| {
        ids.push(example.id);
        ControlFlow::Continue(())
    });
    each.expect("what is read whole is read in parts");
    let whole = dataset.examples.iter().map(|example| &example.id);
    assert!(ids.iter().eq(whole), "in parts it has other questions");
}

pub(crate) fn json(bytes: &[u8]) {
    read("data.json", bytes);
}

pub(crate) fn json_lines(bytes: &[u8]) {
    read("data.jsonl", bytes);
}

pub(crate) fn gzip(bytes: &[u8]) {
    read("data.json.gz", bytes);
}

pub(crate) fn csv(bytes: &[u8]) {
    read("data.csv", bytes);
}

pub(crate) fn parquet(bytes: &[u8]) {
    read("data.parquet", bytes);
}

/// Reads the bytes as they are and, if they are a text without zeros, as its UTF-16, which must give the same.
pub(crate) fn utf16(bytes: &[u8]) {
    read("data.json", bytes);
    // With zeros it may be taken for UTF-16 without a byte order mark.
    let Some(text) = str::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
    else {
        return;
    };
    let little: Vec<u8> = units(text).flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = units(text).flat_map(u16::to_be_bytes).collect();
    let read = |bytes: &[u8]| {
        let read = Dataset::from_bytes("data.json", bytes, &ReadOptions::default());
        read.ok().map(|dataset| dataset.examples)
    };
    let expected = read(bytes);
    assert_eq!(read(&little), expected);
    assert_eq!(read(&big), expected);
}

/// UTF-16 with a byte order mark.
fn units(text: &str) -> impl Iterator<Item = u16> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    std::iter::once(0xfeff).chain(text.encode_utf16())
}

/// Repairs a data set, as `inspect --fix` does. What it writes must be free of flaws and the same when it is read.
pub(crate) fn repair(bytes: &[u8]) {
    let options = ReadOptions {
        on_bad_answer: OnBadAnswer::Repair,
        keep_going: true,
        ..ReadOptions::default()
    };
    let path = sandbox::write("flawed.json", bytes);
    let Ok(dataset) = Dataset::read_with(&[path], &options) else {
        return;
    };
    for name in ["repaired.json", "repaired.jsonl"] {
        let path = sandbox::path(name);
        dataset
            .write(&path)
            .expect("a temporary file can be written");
        let again = match Dataset::read(&path) {
            Ok(again) => again,
            // Nothing was left.
            Err(_) if dataset.examples.is_empty() => continue,
            Err(error) => panic!("what is written can be read: {error}"),
        };
        assert_eq!(again.examples.len(), dataset.examples.len());
        let all_unknown = dataset.examples.iter().all(|e| e.answers().is_empty());
        for (again, repaired) in again.examples.iter().zip(&dataset.examples) {
            let located = repaired
                .answers()
                .iter()
                .all(|answer| answer.start.is_some());
            if located && !all_unknown {
                assert_eq!(again, repaired);
            }
        }
    }
}

pub(crate) fn predictions(bytes: &[u8]) {
    let path = sandbox::write("predictions.json", bytes);
    if let Ok(read) = PredictedAnswers::read(&path) {
        // An id that is the name of a field can make an object one of a single question. Such names have no digits.
        let has_digit = |id: &String| id.contains(|letter: char| letter.is_ascii_digit());
        if !read.texts.keys().all(has_digit) {
            return;
        }
        let text = serde_json::to_string(&read.texts).expect("texts are plain JSON");
        let again = PredictedAnswers::read(&sandbox::write("again.json", text.as_bytes()));
        assert_eq!(
            again.expect("what is written can be read").texts,
            read.texts
        );
    }
}

pub(crate) fn na_probs(bytes: &[u8]) {
    let path = sandbox::write("na_probs.json", bytes);
    if let Ok(read) = NoAnswerProbabilities::read(&path) {
        drop(read.values.into_iter().collect::<NaProbs>());
    }
}

/// Scores each line as a prediction of the line after it, by every metric.
pub(crate) fn metrics(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().take(8).collect();
    for metric in Metric::all() {
        for pair in lines.windows(2) {
            let f1 = metric.f1(pair[0], pair[1]);
            assert!((0.0..=1.0).contains(&f1), "{metric}: {f1}");
            assert!(metric.exact_match(pair[0], pair[0]));
        }
    }
    drop(Metric::for_unspaced(lines));
}
