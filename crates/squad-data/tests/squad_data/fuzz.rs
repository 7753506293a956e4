//! Reading noise and damaged files gives a one-line error or a consistent dataset, and never panics.
//!
//! Every loader gets pure noise, damaged good files, and good files with other values. Features are made of whatever
//! loads. `SQUAD_BURN_FUZZ_CASES` sets the number of cases of each property; the default takes a few seconds.

use std::sync::{LazyLock, Once};

use parquet::basic::{BrotliLevel, Compression, GzipLevel};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use squad_data::{
    Dataset, Error, FeatureOptions, OnBadAnswer, PARQUET_THREAD, QaTokenizer, ReadOptions, inspect,
    make_features,
};

use crate::common::{fixture, read, short, small_tokenizer};
use crate::forms::{gzip, rows};
use crate::json_errors::GOOD;
use crate::parquet_writer::{Column, HUB, Values, columns, file, second_version};

static TOKENIZER: LazyLock<QaTokenizer> = LazyLock::new(small_tokenizer);
static ROWS: LazyLock<String> = LazyLock::new(|| {
    rows(
        &Dataset::from_json("good.json", GOOD.as_bytes())
            .unwrap()
            .examples,
    )
});

fn config(cases: u32) -> ProptestConfig {
    let asked = std::env::var("SQUAD_BURN_FUZZ_CASES").ok();
    let asked = asked.map(|cases| cases.parse().expect("SQUAD_BURN_FUZZ_CASES is a number"));
    ProptestConfig {
        cases: asked.unwrap_or(cases),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Checks whatever a loader returns.
fn check(read: Result<Dataset, Error>) -> Result<(), TestCaseError> {
    let dataset = match read {
        Ok(dataset) => dataset,
        Err(error) => {
            let message = error.to_string();
            prop_assert!(
                !message.contains('\n') && message.len() < 1000,
                "{}",
                message
            );
            return Ok(());
        }
    };
    prop_assert!(!dataset.is_empty());
    for example in &dataset.examples {
        for answer in example.answers() {
            let Some(range) = answer.char_range() else {
                continue;
            };
            prop_assert_eq!(example.slice(range), Some(answer.text.as_str()));
        }
    }
    let options = FeatureOptions {
        doc_stride: 3,
        ..short()
    };
    let features = match make_features(&dataset.examples, &TOKENIZER, &options) {
        Ok(features) => features,
        Err(error) => {
            let too_long = matches!(error, Error::QuestionTooLong { .. });
            prop_assert!(too_long, "{}", error);
            return Ok(());
        }
    };
    prop_assert!(features.len() >= dataset.len());
    for feature in &features {
        prop_assert!(feature.start_position <= feature.end_position);
        prop_assert!(feature.end_position < feature.len() && feature.len() <= 40);
    }
    let stats = inspect(&dataset.examples, &features);
    prop_assert_eq!(
        stats.answerable + stats.unanswerable + stats.unlabelled,
        dataset.len()
    );
    Ok(())
}

/// A change to a file's bytes.
#[derive(Clone, Debug)]
enum Edit {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, u8),
    Repeat(Index, u8),
    Cut(Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        4 => (at(), 0..8u8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        2 => (at(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        2 => (at(), 1..9u8).prop_map(|(at, count)| Edit::Remove(at, count)),
        1 => (at(), 1..64u8).prop_map(|(at, count)| Edit::Repeat(at, count)),
        1 => at().prop_map(Edit::Cut),
    ]
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    prop::collection::vec(edit(), 1..6)
}

fn damaged(good: &[u8], edits: Vec<Edit>) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for edit in edits {
        if bytes.is_empty() {
            break;
        }
        let length = bytes.len();
        let run = |at: usize, count: u8| at..length.min(at + usize::from(count));
        match edit {
            Edit::Set(at, byte) => bytes[at.index(length)] = byte,
            Edit::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Edit::Insert(at, new) => drop(bytes.splice(at.index(length)..at.index(length), new)),
            Edit::Remove(at, count) => drop(bytes.drain(run(at.index(length), count))),
            Edit::Repeat(at, count) => bytes.extend_from_within(run(at.index(length), count)),
            Edit::Cut(at) => bytes.truncate(at.index(length)),
        }
    }
    bytes
}

/// JSON of any shape.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3..30i64).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec!["", " ", "\0", "a pie", "Zoë", "q1", "🙂"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = prop::sample::select(vec![
            "data",
            "context",
            "answers",
            "text",
            "answer_start",
            "id",
            "x",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4).prop_map(|fields| fields
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

/// Replaces the value with number `wanted`, counting a value and all values inside it in a fixed order.
fn replace_nth(value: &mut Value, number: &mut usize, wanted: usize, new: &Value) {
    *number += 1;
    if *number == wanted + 1 {
        *value = new.clone();
        return;
    }
    match value {
        Value::Array(list) => list
            .iter_mut()
            .for_each(|v| replace_nth(v, number, wanted, new)),
        Value::Object(map) => map
            .values_mut()
            .for_each(|v| replace_nth(v, number, wanted, new)),
        _ => {}
    }
}

fn replaced(json: &str, changes: Vec<(Index, Value)>) -> String {
    let mut document: Value = serde_json::from_str(json).unwrap();
    for (at, new) in changes {
        let mut count = 0;
        replace_nth(&mut document, &mut count, usize::MAX - 1, &Value::Null);
        replace_nth(&mut document, &mut 0, at.index(count), &new);
    }
    document.to_string()
}

fn changes() -> impl Strategy<Value = Vec<(Index, Value)>> {
    prop::collection::vec((any::<Index>(), value()), 1..4)
}

/// Pieces of Python's and numpy's notation in any order.
fn literal() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "'",
        "\\",
        "\\x",
        "\\u00",
        ":",
        ",",
        " ",
        "array(",
        "dtype=object",
        "None",
        "nan",
        "...",
        "'text'",
        "'answer_start'",
        "'a pie'",
        "8",
        "-1.5e3",
        "é",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

const TABLES: [&str; 3] = [
    "id,title,context,question,answers\r\nq1,T,\"Zoë ate\r\na pie.\",What?,\"{'text': array(['a pie'], dtype=object), 'answer_start': array([9])}\"\r\nq2,T,a pie,Who?,\r\n",
    "\tcontext\tquestion\tanswer_text\tanswer_start\tis_impossible\n0\tZoë ate a pie.\tWhat?\ta pie\t8.0\tFalse\n1\ta pie\tWho?\tnan\tnan\tTrue\n",
    "context;question;answers\n\"Zoë \"\"ate\"\" a pie.\";What?;\"{\"\"text\"\": [\"\"a pie\"\"], \"\"answer_start\"\": [10]}\"\n",
];

const MRQA: &str = "{\"header\": {\"dataset\": \"x\"}}\n{\"id\": \"\", \"context\": \"Zoë ate a pie.\", \"qas\": [{\"qid\": \"m\", \
    \"question\": \"What?\", \"answers\": [\"A pie\"], \"detected_answers\": [{\"text\": \"a pie\", \"char_spans\": [[8, 12]], \
    \"token_spans\": [[2, 3]]}]}]}\n";

#[test]
fn the_undamaged_files_are_good() {
    for (name, text) in ["f.csv", "f.tsv", "f"]
        .into_iter()
        .zip(TABLES)
        .chain([("f.jsonl", MRQA)])
    {
        let dataset = read(name, text.as_bytes()).unwrap();
        assert!(dataset.examples[0].first_located().is_some(), "{name}");
        assert_eq!(dataset.flaws.unlocated_answers, 0);
    }
    let json = read("f.json", GOOD.as_bytes()).unwrap();
    assert_eq!(
        json.examples,
        read("f.jsonl", ROWS.as_bytes()).unwrap().examples
    );
    check(Ok(json)).unwrap();
}

/// Keeps the panics of the Parquet decoder off standard error, as programs that read Parquet do.
fn silence_decoder() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() != Some(PARQUET_THREAD) {
                previous(info);
            }
        }));
    });
}

fn good_parquet(compression: Compression) -> Vec<u8> {
    let examples = Dataset::from_json("good.json", GOOD.as_bytes())
        .unwrap()
        .examples;
    let (first, second) = examples.split_at(1);
    file(HUB, &[columns(first), columns(second)], compression)
}

fn good_second_version(compression: Compression) -> Vec<u8> {
    let examples = Dataset::from_json("good.json", GOOD.as_bytes())
        .unwrap()
        .examples;
    let (first, second) = examples.split_at(1);
    second_version(HUB, &[columns(first), columns(second)], compression)
}

static FILES: LazyLock<[Vec<u8>; 12]> = LazyLock::new(|| {
    silence_decoder();
    let pyarrow = |name| std::fs::read(fixture(name)).unwrap();
    [
        good_parquet(Compression::SNAPPY),
        good_parquet(Compression::UNCOMPRESSED),
        pyarrow("hub.parquet"),
        pyarrow("plain.parquet"),
        pyarrow("polars.parquet"),
        pyarrow("pages2.parquet"),
        pyarrow("nested.parquet"),
        good_parquet(Compression::GZIP(GzipLevel::default())),
        good_parquet(Compression::BROTLI(BrotliLevel::default())),
        good_parquet(Compression::LZ4_RAW),
        good_second_version(Compression::UNCOMPRESSED),
        good_second_version(Compression::SNAPPY),
    ]
});

#[test]
fn damaged_parquet() {
    let mut runner = TestRunner::new(config(1000));
    let run = runner.run(&(0..12usize, edits()), |(which, edits)| {
        check(read("f.parquet", &damaged(&FILES[which], edits)))
    });
    run.unwrap();
}

/// Damages the pages of uncompressed files, which only the decoder checks.
#[test]
fn damaged_pages() {
    let mut runner = TestRunner::new(config(1000));
    let bytes = prop::collection::vec((any::<Index>(), any::<u8>()), 1..4);
    let files = prop::sample::select(vec![1, 3]);
    let run = runner.run(&(files, bytes), |(which, changes)| {
        let mut bytes = FILES[which].clone();
        let pages = bytes.len() * 3 / 4;
        for (at, byte) in changes {
            bytes[at.index(pages)] = byte;
        }
        check(read("f.parquet", &bytes))
    });
    run.unwrap();
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn other_values_in_parquet(texts in prop::collection::vec(any::<String>(), 5), start in any::<i32>(), empty in any::<bool>()) {
        let mut columns = columns(&Dataset::from_json("good.json", GOOD.as_bytes()).unwrap().examples[..1]);
        for (column, text) in columns.iter_mut().zip(&texts) {
            column.values = Values::Texts(vec![text.clone()]);
        }
        columns[5].values = Values::Int32(vec![start]);
        if empty {
            for column in &mut columns[4..] {
                *column = Column { values: Values::Texts(vec![]), definitions: vec![2], repetitions: vec![0] };
            }
            columns[5].values = Values::Int32(vec![]);
        }
        check(read("f.parquet", &file(HUB, &[columns], Compression::SNAPPY)))?;
    }
}

proptest! {
    #![proptest_config(config(600))]

    #[test]
    fn noise(bytes in prop::collection::vec(any::<u8>(), 0..300), name in prop::sample::select(vec!["f.json", "f.gz", "f.parquet"])) {
        check(read(name, &bytes))?;
        check(read(name, &gzip(&bytes)))?;
        check(read(name, &[&b"PAR1"[..], &bytes, b"PAR1"].concat()))?;
    }

    #[test]
    fn damaged_json(edits in edits()) {
        check(read("f.json", &damaged(GOOD.as_bytes(), edits)))?;
    }

    #[test]
    fn damaged_tables(edits in edits(), which in 0..3usize) {
        check(read(["f.csv", "f.tsv", "f"][which], &damaged(TABLES[which].as_bytes(), edits)))?;
    }

    #[test]
    fn damaged_mrqa(edits in edits()) {
        check(read("f.jsonl", &damaged(MRQA.as_bytes(), edits)))?;
    }

    #[test]
    fn damaged_utf16(edits in edits(), big in any::<bool>(), marked in any::<bool>()) {
        let mark = if marked { "\u{feff}" } else { "" };
        let units = format!("{mark}{GOOD}");
        let bytes: Vec<u8> = units.encode_utf16().flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect();
        check(read("f.json", &damaged(&bytes, edits)))?;
    }

    /// Cells are JSON, Python's literals, or neither.
    #[test]
    fn other_values_in_tables(cells in prop::collection::vec(literal(), 4), value in value()) {
        let json = value.to_string().replace('"', "\"\"");
        let text = format!("context,question,answers,answer_start\nZoë ate a pie.,What?,\"{}\",\"{}\"\na pie,Who?,\"{json}\",\"{}\"\n{},?,,\n", cells[0], cells[1], cells[2], cells[3]);
        check(read("f.csv", text.as_bytes()))?;
    }

    #[test]
    fn every_policy_reads_what_can_be_read(changes in changes(), edits in edits(), policy in 0..4usize) {
        let on_bad_answer = [OnBadAnswer::Keep, OnBadAnswer::Error, OnBadAnswer::Skip, OnBadAnswer::Repair][policy];
        let options = ReadOptions { on_bad_answer, unique_ids: true, keep_going: true, keep_empty: false };
        for bytes in [replaced(GOOD, changes).into_bytes(), damaged(GOOD.as_bytes(), edits)] {
            if let Ok(dataset) = Dataset::from_bytes("f.json", &bytes, &options) && !dataset.is_empty() {
                check(Ok(dataset))?;
            }
        }
    }

    #[test]
    fn damaged_rows(edits in edits()) {
        check(read("f.jsonl", &damaged(ROWS.as_bytes(), edits)))?;
    }

    #[test]
    fn damaged_gzip(edits in edits(), inside in edits()) {
        check(read("f.json.gz", &damaged(&gzip(GOOD.as_bytes()), edits)))?;
        check(read("f.jsonl.gz", &gzip(&damaged(ROWS.as_bytes(), inside))))?;
    }

    #[test]
    fn other_values_in_json(changes in changes()) {
        check(Dataset::from_json("f.json", replaced(GOOD, changes).as_bytes()))?;
    }

    #[test]
    fn other_values_in_rows(first in changes(), second in changes()) {
        let lines: Vec<&str> = ROWS.lines().collect();
        let rows = format!("{}\n{}", replaced(lines[0], first), replaced(lines[1], second));
        check(Dataset::from_json("f.jsonl", rows.as_bytes()))?;
    }
}
