//! Parquet files of the Hub's data sets, row by row.

use std::fs::File;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};

use crate::error::{Error, one_line};
use crate::read::builder::Builder;
use crate::read::parquet_checks::{CheckedGroup, columns, stack_size};
use crate::read::raw::{FlatAnswers, Place, RawRow};

/// Name of the thread that decodes a Parquet file.
///
/// The `parquet` crate panics on some damaged files. The panic ends that thread alone and comes back as
/// [`Error::Parquet`], but before that the process's panic hook hears of it, and the default one prints. A library
/// leaves the hook to the program; a program that wants nothing printed stays silent in its hook where the thread has
/// this name. (With `panic = "abort"` such a file ends the process.)
pub const PARQUET_THREAD: &str = "squad-data-parquet";

/// Rows that wait for the builder.
const AHEAD: usize = 64;

/// Gives a file's questions to the builder; `name` is what messages call it. Returns the uncompressed size in bytes of
/// the columns that were read, as the file states it.
pub(crate) fn read(file: File, name: &str, builder: &mut Builder<'_>) -> Result<u64, Error> {
    let wrong = |problem: String| Error::Parquet {
        file: name.to_owned(),
        problem,
    };
    let stack_size = stack_size(&file).map_err(wrong)?;
    thread::scope(|scope| {
        let (sender, rows) = sync_channel(AHEAD);
        let decoder = thread::Builder::new()
            .name(PARQUET_THREAD.to_owned())
            .stack_size(stack_size)
            .spawn_scoped(scope, move || decode(file, &sender))
            .map_err(|error| wrong(format!("no thread to read it with: {error}")))?;
        let built = build(rows, builder);
        let decoded = decoder.join();
        built?;
        match decoded {
            Ok(decoded) => decoded.map_err(wrong),
            Err(_) => Err(wrong(damaged(
                &"its pages contradict each other or its schema",
            ))),
        }
    })
}

fn build(rows: Receiver<RawRow>, builder: &mut Builder<'_>) -> Result<(), Error> {
    for (row, number) in rows.into_iter().zip(1..) {
        // With an error the receiver goes, which is how the decoder learns that it is done.
        builder.row(Place::Row(number), row)?;
    }
    Ok(())
}

fn damaged(problem: &dyn std::fmt::Display) -> String {
    format!(
        "not a Parquet file that can be read: {}; is the download complete?",
        one_line(problem)
    )
}

/// Sends the rows of a file; a problem is told in words.
fn decode(file: File, rows: &SyncSender<RawRow>) -> Result<u64, String> {
    let file_length = file.metadata().map_or(0, |metadata| metadata.len());
    let reader = SerializedFileReader::new(file).map_err(|error| damaged(&error))?;
    let metadata = reader.metadata();
    let columns = columns(metadata.file_metadata().schema())?;
    let stated: i128 = (0..reader.num_row_groups())
        .map(|group| i128::from(metadata.row_group(group).num_rows()))
        .sum();
    if stated != i128::from(metadata.file_metadata().num_rows()) {
        return Err(damaged(&"it states two different numbers of rows"));
    }
    let (mut number, mut bytes) = (0, 0);
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(|e| damaged(&e))?;
        bytes += (group.metadata().columns().iter())
            .filter(|column| wanted(&columns, column.column_path().parts()))
            .map(|column| u64::try_from(column.uncompressed_size()).unwrap_or(0))
            .sum::<u64>();
        let group = CheckedGroup {
            group,
            // More than any file has: a row takes a byte at the very least, an answer an eighth of one.
            most_values: file_length.saturating_mul(64),
        };
        let iterator = RowIter::from_row_group(Some(columns.clone()), &group);
        for row in iterator.map_err(|error| damaged(&error))? {
            number += 1;
            let row = row.map_err(|error| in_row(number, &error))?;
            let row = raw_row(row).map_err(|problem| format!("row {number}: {problem}"))?;
            if rows.send(row).is_err() {
                return Ok(bytes);
            }
        }
    }
    Ok(bytes)
}

fn wanted(columns: &parquet::schema::types::Type, path: &[String]) -> bool {
    let root = path.first();
    root.is_some_and(|root| columns.get_fields().iter().any(|c| c.name() == root))
}

fn in_row(number: usize, error: &ParquetError) -> String {
    damaged(&format!("row {number}: {error}"))
}

fn raw_row(row: Row) -> Result<RawRow, String> {
    let (mut id, mut title, mut context, mut question) = (None, None, None, None);
    let (mut answers, mut is_impossible) = (None, None);
    for (name, field) in row.into_columns() {
        match (name.as_str(), field) {
            ("id", field) => id = Some(string(field, &name)?),
            ("context", field) => context = Some(string(field, &name)?),
            ("question", field) => question = Some(string(field, &name)?),
            ("answers", field) => answers = Some(flat_answers(field)?),
            ("title" | "is_impossible", Field::Null) => {}
            ("title", field) => title = Some(string(field, &name)?),
            ("is_impossible", Field::Bool(value)) => is_impossible = Some(value),
            (_, field) => return Err(unexpected(&name, &field)),
        }
    }
    let missing = |name: &str| format!("column `{name}` is missing");
    Ok(RawRow {
        id: id.ok_or_else(|| missing("id"))?,
        title,
        context: context.ok_or_else(|| missing("context"))?,
        question: question.ok_or_else(|| missing("question"))?,
        answers: answers.ok_or_else(|| missing("answers"))?,
        is_impossible,
    })
}

fn flat_answers(field: Field) -> Result<FlatAnswers, String> {
    let Field::Group(group) = field else {
        return Err(unexpected("answers", &field));
    };
    let (mut texts, mut starts) = (Vec::new(), Vec::new());
    for (name, field) in group.into_columns() {
        let path = format!("answers.{name}");
        let Field::ListInternal(list) = &field else {
            return Err(unexpected(&path, &field));
        };
        for element in list.elements() {
            match (name.as_str(), element) {
                ("text", Field::Str(text)) => texts.push(text.clone()),
                ("answer_start", Field::Int(start)) => starts.push(i64::from(*start)),
                ("answer_start", Field::Long(start)) => starts.push(*start),
                ("text" | "answer_start", other) => return Err(unexpected(&path, other)),
                _ => {}
            }
        }
    }
    Ok(FlatAnswers { texts, starts })
}

fn string(field: Field, column: &str) -> Result<String, String> {
    match field {
        Field::Str(text) => Ok(text),
        other => Err(unexpected(column, &other)),
    }
}

fn unexpected(column: &str, field: &Field) -> String {
    match field {
        Field::Null => format!("column `{column}` is null; give it a value or drop the row"),
        _ => format!("column `{column}` has a value of another type than its own"),
    }
}
