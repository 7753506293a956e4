//! Random data sets, written in every form, are read back as equal examples.

use parquet::basic::{BrotliLevel, Compression, GzipLevel};
use proptest::prelude::*;
use serde_json::{Value, json};
use squad_data::{Dataset, Example, FlawKind, Gold, GoldAnswer};

use crate::common::read;
use crate::forms::{gzip, rows};
use crate::parquet_writer::{HUB, columns, file, second_version};

/// Characters that forms quote, escape or take for their own.
fn text(length: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "Ida", "Krag", " ", " ", "\n", "\r\n", "\t", ",", ";", "|", "\"", "\"\"", "'", "\\", "\\n",
        "{", "}", "[", "]", "é", "e\u{301}", "🙂", "語", "\u{a0}", "\u{2028}", "nan", "None",
        "...", "&amp;", "\u{feff}", "\0",
    ]);
    let any =
        prop_oneof![4 => piece.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)];
    prop::collection::vec(any, length).prop_map(|pieces| pieces.concat())
}

/// Examples about a few contexts; the first has an answer, the others may have none.
fn examples() -> impl Strategy<Value = Vec<Example>> {
    let visible = |text: &String| !text.trim().is_empty();
    let context = (text(1..30).prop_filter("blank", visible), text(0..4));
    let span = (any::<prop::sample::Index>(), 1..9usize);
    let question = (
        text(1..8).prop_filter("blank", visible),
        prop::collection::vec(span, 0..3),
    );
    let paragraph = (context, prop::collection::vec(question, 1..4));
    prop::collection::vec(paragraph, 1..4).prop_map(|paragraphs| {
        let mut examples = vec![Example::new("first", "Who?", "Ida Krag").with_answers(vec![
            GoldAnswer {
                text: "Krag".to_owned(),
                start: Some(4),
            },
        ])];
        for ((context, title), questions) in paragraphs {
            let chars: Vec<char> = context.chars().collect();
            for (question, spans) in questions {
                let answer = |(start, length): (prop::sample::Index, usize)| {
                    let start = start.index(chars.len());
                    let text: String = chars[start..chars.len().min(start + length)]
                        .iter()
                        .collect();
                    (!text.trim().is_empty()).then_some(GoldAnswer {
                        text,
                        start: Some(start),
                    })
                };
                let example = Example {
                    title: title.as_str().into(),
                    ..Example::new(format!("q{}", examples.len()), question, context.as_str())
                };
                examples.push(example.with_answers(spans.into_iter().filter_map(answer).collect()));
            }
        }
        examples
    })
}

/// A text as Python's `repr` writes it.
fn repr(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        match c {
            '\'' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if (c as u32) < 0x20 => quoted.push_str(&format!("\\x{:02x}", c as u32)),
            c if !c.is_ascii() && c.is_whitespace() => {
                quoted.push_str(&format!("\\u{:04x}", c as u32))
            }
            c => quoted.push(c),
        }
    }
    quoted + "'"
}

/// A table; `python` says whether answers are Python's `repr` with numpy's arrays, as pandas writes it.
fn table(examples: &[Example], delimiter: u8, python: bool) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .delimiter(delimiter)
        .from_writer(Vec::new());
    writer
        .write_record(["id", "title", "context", "question", "answers"])
        .unwrap();
    for example in examples {
        let texts: Vec<&str> = example.answers().iter().map(|a| a.text.as_str()).collect();
        let starts: Vec<usize> = example.answers().iter().map(|a| a.start.unwrap()).collect();
        let answers = if python {
            let texts: Vec<String> = texts.iter().map(|text| repr(text)).collect();
            format!(
                "{{'text': array([{}], dtype=object), 'answer_start': array({starts:?}, dtype=int32)}}",
                texts.join(", ")
            )
        } else {
            json!({"text": texts, "answer_start": starts}).to_string()
        };
        let cells = [
            &example.id,
            &*example.title,
            &*example.context,
            &example.question,
            &answers,
        ];
        writer.write_record(cells).unwrap();
    }
    writer.into_inner().unwrap()
}

fn paragraph(example: &Example) -> Value {
    let answer = |answer: &GoldAnswer| json!({"text": answer.text, "answer_start": answer.start});
    let answers: Vec<Value> = example.answers().iter().map(answer).collect();
    json!({"context": *example.context, "qas": [{"id": example.id, "question": example.question, "answers": answers}]})
}

fn mrqa(examples: &[Example]) -> String {
    let mut lines = vec![json!({"header": {"dataset": "random"}}).to_string()];
    for example in examples {
        let detected = example.answers().iter().map(|answer| {
            let range = answer.char_range().unwrap();
            json!({"text": answer.text, "char_spans": [[range.start, range.end - 1]]})
        });
        let texts: Vec<&str> = example.answers().iter().map(|a| a.text.as_str()).collect();
        let question = json!({"qid": example.id, "question": example.question, "answers": texts,
            "detected_answers": detected.collect::<Vec<_>>()});
        lines.push(json!({"id": "", "context": *example.context, "qas": [question]}).to_string());
    }
    lines.join("\n")
}

/// MRQA as the rows of the Hub.
fn mrqa_rows(examples: &[Example]) -> String {
    let row = |example: &Example| {
        let spans = example.answers().iter().map(|answer| {
            let range = answer.char_range().unwrap();
            json!({"start": [range.start], "end": [range.end - 1]})
        });
        let texts: Vec<&str> = example.answers().iter().map(|a| a.text.as_str()).collect();
        let detected = json!({"text": texts, "char_spans": spans.collect::<Vec<_>>()});
        json!({"subset": "random", "qid": example.id, "context": *example.context, "question": example.question,
            "answers": texts, "detected_answers": detected})
        .to_string()
    };
    examples.iter().map(row).collect::<Vec<_>>().join("\n")
}

/// One answer at most to each question, in the columns `text` and `answer_start`.
fn flat_table(examples: &[Example]) -> (Vec<u8>, Vec<Example>) {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = ["id", "context", "question", "text", "answer_start"];
    writer.write_record(header).unwrap();
    let mut expected = without_titles(examples);
    for example in &mut expected {
        let mut answers = example.answers().to_vec();
        answers.truncate(1);
        // A cell is trimmed of nothing, but one that looks like a list or like no value is not a text.
        answers.retain(|a| {
            !a.text.trim().starts_with(['[', '{']) && a.text.trim().chars().count() > 4
        });
        let text = answers.first().map_or("", |answer| &answer.text);
        let start = answers
            .first()
            .map_or(String::new(), |a| a.start.unwrap().to_string());
        let cells = [
            &example.id,
            &*example.context,
            &example.question,
            text,
            &start,
        ];
        writer.write_record(cells).unwrap();
        *example = Example {
            gold: Gold::Unanswerable,
            ..example.clone()
        };
        if !answers.is_empty() {
            example.gold = Gold::Answers(answers);
        }
    }
    (writer.into_inner().unwrap(), expected)
}

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    format!("\u{feff}{text}")
        .encode_utf16()
        .flat_map(to_bytes)
        .collect()
}

fn without_titles(examples: &[Example]) -> Vec<Example> {
    let examples = examples.iter().cloned();
    examples
        .map(|example| Example {
            title: "".into(),
            ..example
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_form_gives_equal_examples(examples in examples()) {
        let lines = rows(&examples);
        let values: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let list = Value::from(values.clone()).to_string();
        let data = json!({"version": "x", "data": values}).to_string();
        let folder = test_support::temp_dir();
        let dataset = Dataset { examples: examples.clone(), ..Dataset::default() };
        let written = |name: &str| {
            let path = folder.path().join(name);
            dataset.write(&path).unwrap();
            std::fs::read(path).unwrap()
        };
        let mut files = vec![
            ("document.json", written("document.json")),
            ("lines.jsonl", written("lines.jsonl")),
            ("rows.jsonl.gz", gzip(lines.as_bytes())),
            ("data.json", data.clone().into_bytes()),
            ("list.json.gz", gzip(list.as_bytes())),
            ("little.json", utf16(&data, u16::to_le_bytes)),
            ("big.jsonl", utf16(&lines, u16::to_be_bytes)),
        ];
        for delimiter in [b',', b';', b'\t', b'|'] {
            files.push(("table.csv", table(&examples, delimiter, false)));
            files.push(("pandas", table(&examples, delimiter, true)));
        }
        for compression in [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(GzipLevel::default()),
            Compression::BROTLI(BrotliLevel::default()),
            Compression::LZ4_RAW,
            Compression::LZ4,
        ] {
            let bytes = file(HUB, &[columns(&examples)], compression);
            files.push(("packed.parquet.gz", gzip(&bytes)));
            files.push(("second.parquet", second_version(HUB, &[columns(&examples)], compression)));
            files.push(("columns.parquet", bytes));
        }
        for (name, bytes) in files {
            let read = read(name, &bytes).map_err(|error| TestCaseError::fail(format!("{name}: {error}")))?;
            prop_assert!(read.examples == examples, "{}: {:?}", name, read.examples);
            // `\n` in a text of a table.
            let num_unclear = read.flaws.count(FlawKind::BackslashesUnclear);
            prop_assert!(read.flaws.total() == num_unclear, "{}: {:?}", name, read.flaws);
        }
        let paragraphs: Vec<Value> = examples.iter().map(paragraph).collect();
        let expected = without_titles(&examples);
        for (name, text) in [("paragraphs.json", Value::from(paragraphs).to_string()), ("mrqa.jsonl", mrqa(&examples)), ("hub.jsonl", mrqa_rows(&examples))] {
            let read = read(name, text.as_bytes()).map_err(|error| TestCaseError::fail(format!("{name}: {error}")))?;
            prop_assert!(read.examples == expected, "{}: {:?}", name, read.examples);
        }
    }

    #[test]
    fn tables_of_single_answers_and_shards_are_read_back(examples in examples()) {
        let (table, expected) = flat_table(&examples);
        if expected.iter().any(|example| !example.answers().is_empty()) {
            prop_assert_eq!(&read("flat.csv", &table).unwrap().examples, &expected);
        }
        let folder = test_support::temp_dir();
        let (first, second) = examples.split_at(examples.len() / 2 + 1);
        for (number, part) in [first, second].into_iter().enumerate() {
            let path = folder.path().join(format!("train-0000{number}-of-00002.parquet"));
            let groups: Vec<_> = part.chunks(2).map(columns).collect();
            std::fs::write(path, file(HUB, &groups, Compression::SNAPPY)).unwrap();
        }
        let shards = Dataset::read(&folder.path().join("train")).unwrap();
        prop_assert_eq!(&shards.examples, &examples);
        let mut streamed = Vec::new();
        Dataset::for_each(&folder.path().join("train"), &mut |example| {
            streamed.push(example);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        prop_assert_eq!(&streamed, &examples);
    }

    #[test]
    fn questions_to_be_answered_are_read_back(examples in examples(), known in any::<[bool; 16]>()) {
        let mut examples = examples;
        for (example, known) in examples[1..].iter_mut().zip(known) {
            if !known {
                example.gold = Gold::Unknown;
            }
        }
        let dataset = Dataset { examples, ..Dataset::default() };
        let folder = test_support::temp_dir();
        for name in ["f.json", "f.jsonl"] {
            let path = folder.path().join(name);
            dataset.write(&path).unwrap();
            prop_assert_eq!(&Dataset::read(&path).unwrap().examples, &dataset.examples);
        }
    }
}

#[test]
fn questions_without_an_answer_are_read_back_alone() {
    let examples = vec![
        Example::new("a", "Who?", "Ida Krag").with_answers(Vec::new()),
        Example::new("b", "Why?", "Ida Krag"),
    ];
    let dataset = Dataset {
        examples,
        ..Dataset::default()
    };
    let folder = test_support::temp_dir();
    for name in ["f.json", "f.jsonl"] {
        let path = folder.path().join(name);
        dataset.write(&path).unwrap();
        assert_eq!(Dataset::read(&path).unwrap().examples, dataset.examples);
    }
}
