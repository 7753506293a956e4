//! CSV and TSV to examples: a header with the Hub's column names, and a row for each question.

use csv::{Position as CsvPosition, ReaderBuilder, StringRecord, Trim};
use serde_json::{Map, Value};

use crate::error::{Error, one_line, quote};
use crate::read::builder::{ExampleBuilder, Location};
use crate::read::foreign::Foreign;
use crate::read::raw::{Field, RawItem};
use crate::read::text::TextReader;

/// What may stand between cells.
const DELIMITERS: [u8; 4] = *b",\t;|";

/// The delimiter of a text that begins like this, if its first line is the header of a table of questions.
pub(super) fn delimiter(head: &str) -> Option<u8> {
    DELIMITERS.into_iter().find(|&delimiter| {
        let fields: Vec<_> = first_row(head, delimiter)
            .iter()
            .filter_map(|name| Field::of_column(name))
            .collect();
        Field::make_questions(&fields)
    })
}

/// The form that alone has one of the columns of a text that begins like this.
pub(super) fn foreign(head: &str) -> Option<Foreign> {
    let rows = DELIMITERS.map(|delimiter| first_row(head, delimiter));
    rows.iter()
        .flatten()
        .find_map(|name| Foreign::of_field(name))
}

/// The columns' names, if this is between them.
fn first_row(head: &str, delimiter: u8) -> Vec<String> {
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
    let columns: Vec<Option<(String, Field)>> = header
        .iter()
        .map(|name| {
            let name = column(name);
            let field = Field::of_column(&name)?;
            Some((name, field))
        })
        .collect();
    for (number, known) in columns.iter().enumerate() {
        if let Some((name, _)) = known
            && columns[..number].contains(known)
        {
            return Err(wrong(file, 0, format!("two columns `{name}`; drop one")));
        }
    }
    let mut record = StringRecord::new();
    while reader
        .read_record(&mut record)
        .map_err(|error| csv_error(file, &error))?
    {
        let row_number = record.position().map_or(0, CsvPosition::record) as usize;
        let mut row = Map::new();
        for (column, text) in columns.iter().zip(&record) {
            if let Some((name, _)) = column {
                row.insert(name.clone(), Value::from(text));
            }
        }
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

/// Gives each row of a table, with its number from 1, to `each`, if the first line has columns that `is_header` takes.
pub(super) fn records(
    text: &mut TextReader<'_>,
    is_header: fn(&[String]) -> bool,
    each: &mut dyn FnMut(usize, Map<String, Value>) -> Result<(), Error>,
) -> Result<bool, Error> {
    let head = text.peek()?;
    let found = DELIMITERS
        .into_iter()
        .find(|&delimiter| is_header(&first_row(head, delimiter)));
    let Some(delimiter) = found else {
        return Ok(false);
    };
    let file = text.name().to_owned();
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .trim(Trim::None)
        .from_reader(&mut *text);
    let mut read = || -> Result<(), Error> {
        let header = reader.headers().map_err(|error| csv_error(&file, &error))?;
        let columns: Vec<String> = header.iter().map(column).collect();
        let mut record = StringRecord::new();
        while reader
            .read_record(&mut record)
            .map_err(|error| csv_error(&file, &error))?
        {
            let number = record.position().map_or(0, CsvPosition::record) as usize;
            let cells = columns.iter().zip(&record);
            let cells = cells.map(|(name, cell)| (name.clone(), Value::from(cell)));
            each(number, cells.collect())?;
        }
        Ok(())
    };
    let read = read();
    drop(reader);
    read.map_err(|error| text.take_fault().unwrap_or(error))?;
    Ok(true)
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
