//! CSV and TSV to examples: a header with the Hub's column names, and a row for each question.

use csv::{Position as CsvPosition, ReaderBuilder, StringRecord, Trim};
use serde_json::{Map, Value};

use crate::error::{Error, one_line, quote};
use crate::read::builder::{ExampleBuilder, Location};
use crate::read::raw::RawItem;
use crate::read::text::TextReader;

/// What may stand between cells.
const DELIMITERS: [u8; 4] = *b",\t;|";

/// Columns that are read; the others are passed over.
const COLUMNS: [&str; 12] = [
    "id",
    "qid",
    "title",
    "context",
    "question",
    "answers",
    "answer",
    "answer_text",
    "answer_start",
    "is_impossible",
    "answers.text",
    "answers.answer_start",
];

/// The delimiter of a text that begins like this, if its first line is the header of a table of questions.
pub(super) fn delimiter(head: &str) -> Option<u8> {
    let columns = |delimiter: u8| -> Vec<String> {
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(head.as_bytes());
        let mut first = StringRecord::new();
        match reader.read_record(&mut first) {
            Ok(true) => first.iter().map(column).collect(),
            _ => Vec::new(),
        }
    };
    DELIMITERS.into_iter().find(|&delimiter| {
        let columns = columns(delimiter);
        ["question", "context"]
            .iter()
            .all(|name| columns.iter().any(|column| column == name))
    })
}

/// A column's name: in any case, with white space around it.
fn column(name: &str) -> String {
    name.trim().trim_start_matches('\u{feff}').to_lowercase()
}

/// Reads a table and gives the questions to the builder.
pub(super) fn parse(
    text: &mut TextReader<'_>,
    delimiter: u8,
    builder: &mut ExampleBuilder<'_>,
) -> Result<(), Error> {
    let file = text.name().to_owned();
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .trim(Trim::None)
        .from_reader(&mut *text);
    let read = rows(&file, &mut reader, builder);
    drop(reader);
    read.map_err(|error| text.take_fault().unwrap_or(error))
}

fn rows(
    file: &str,
    reader: &mut csv::Reader<&mut TextReader<'_>>,
    builder: &mut ExampleBuilder<'_>,
) -> Result<(), Error> {
    let header = reader.headers().map_err(|error| csv_error(file, &error))?;
    let columns: Vec<Option<String>> = header
        .iter()
        .map(|name| Some(column(name)).filter(|name| COLUMNS.contains(&name.as_str())))
        .collect();
    for name in COLUMNS {
        if columns
            .iter()
            .flatten()
            .filter(|column| *column == name)
            .count()
            > 1
        {
            let problem = format!("two columns `{name}`; drop one");
            return Err(wrong(file, 0, problem));
        }
    }
    let mut record = StringRecord::new();
    while reader
        .read_record(&mut record)
        .map_err(|error| csv_error(file, &error))?
    {
        let row_number = record.position().map_or(0, CsvPosition::record) as usize;
        let cells = columns.iter().zip(&record);
        let row: Map<String, Value> = cells
            .filter_map(|(name, cell)| Some((name.clone()?, Value::String(cell.to_owned()))))
            .collect();
        let item = serde_path_to_error::deserialize(Value::Object(row)).map_err(|error| {
            let column = one_line(error.path());
            wrong(
                file,
                row_number,
                format!("column `{column}`: {}", one_line(error.inner())),
            )
        })?;
        let item: RawItem = item;
        builder.item(Location::Row(row_number), item)?;
    }
    Ok(())
}

fn wrong(file: &str, row: usize, problem: String) -> Error {
    Error::Paragraph {
        file: file.to_owned(),
        path: if row == 0 {
            "the header".to_owned()
        } else {
            format!("row {row}")
        },
        problem,
    }
}

fn csv_error(file: &str, error: &csv::Error) -> Error {
    let row = error.position().map_or(0, CsvPosition::record) as usize;
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => wrong(
            file,
            row,
            format!(
                "{len} cells, but the header has {expected_len}; is a quote or a delimiter missing?"
            ),
        ),
        _ => wrong(file, row, quote(&one_line(error))),
    }
}
