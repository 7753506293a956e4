//! Parquet files of the Hugging Face Hub's datasets, row by row.
//!
//! The `parquet` crate trusts some numbers of a file: it panics on columns of unusual shapes and reserves as much memory
//! as a damaged page asks for, which can end the process. So this module compares the columns' types with those of a
//! SQuAD dataset, reads only the columns it needs, checks pages before they are decoded ([`CheckedGroup`]), and decodes
//! on a thread of its own, whose stack is as deep as the schema may be.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::data_type::Decimal;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field as Cell, Row};
use parquet::schema::types::Type;
use serde_json::{Map, Value};

use crate::error::{Error, one_line, quote};
use crate::memory::check_text_size;
use crate::read::builder::{ExampleBuilder, Location};
use crate::read::checked_pages::CheckedGroup;
use crate::read::foreign::Foreign;
use crate::read::raw::{Field, RawItem, may_have_answers, plain};

/// Name of the thread that decodes a Parquet file.
///
/// The `parquet` crate panics on some damaged files. The panic ends that thread alone and is returned as
/// [`Error::Parquet`], but the process's panic hook runs first, and the default hook prints. A program that wants no
/// such output installs a hook that ignores the thread of this name. (With `panic = "abort"` such a file ends the
/// process.)
pub const PARQUET_THREAD: &str = "squad-data-parquet";

/// Maximum number of decoded rows that wait for the builder.
const MAX_QUEUED_ROWS: usize = 64;

/// Gives the questions of a file to the builder. Messages call the file `name`.
///
/// Returns the uncompressed size in bytes of the columns that were read, as the file states it.
pub(super) fn read(file: File, name: &str, builder: &mut ExampleBuilder<'_>) -> Result<u64, Error> {
    let unread = OnceLock::new();
    let columns = |schema: &Type| {
        let read = columns(schema)?;
        unread.get_or_init(|| unread_columns(schema, &read));
        Ok(read)
    };
    let shape = Shape {
        columns: &columns,
        row: raw_row,
        keeps_rows: !builder.has_sink(),
    };
    let bytes = rows(file, name, &shape, &mut |number, row| {
        builder.item(Location::Row(number), row)
    })?;
    builder.note_unread(unread.into_inner().unwrap_or_default());
    Ok(bytes)
}

/// The columns of a schema that are not read and may have answers.
fn unread_columns(schema: &Type, read: &Type) -> Vec<String> {
    let is_read = |name: &str| read.get_fields().iter().any(|field| field.name() == name);
    let names = schema.get_fields().iter().map(|field| field.name());
    names
        .filter(|name| !is_read(name) && may_have_answers(name))
        .map(str::to_owned)
        .collect()
}

/// Gives each row of a file, with its number from 1, to `each`: the columns that `is_wanted`.
pub(super) fn records(
    file: File,
    name: &str,
    is_wanted: fn(&str) -> bool,
    each: &mut dyn FnMut(usize, Map<String, Value>) -> Result<(), Error>,
) -> Result<(), Error> {
    let columns = |schema: &Type| {
        let wanted = schema.get_fields().iter();
        let wanted: Vec<_> = wanted
            .filter(|column| is_wanted(column.name()))
            .cloned()
            .collect();
        if wanted.is_empty() {
            let names = schema.get_fields().iter().map(|column| column.name());
            let names: Vec<&str> = names.collect();
            return Err(format!(
                "no column of predictions, only {}",
                quote(&names.join(", "))
            ));
        }
        let mut wanted_columns = wanted.iter();
        wanted_columns.try_for_each(|column| check_shape(column, column.name(), 0))?;
        projection(schema, wanted)
    };
    let shape = Shape {
        columns: &columns,
        row: fields,
        keeps_rows: true,
    };
    rows(file, name, &shape, each).map(drop)
}

/// What is read of a file.
struct Shape<'a, T> {
    /// The columns, of those of the file. An error says what is wrong with them.
    columns: &'a (dyn Fn(&Type) -> Result<Type, String> + Sync),
    /// What a row becomes.
    row: fn(Row) -> Result<T, String>,
    /// Whether memory holds the texts of all rows in the end.
    keeps_rows: bool,
}

/// Gives each row with its number, from 1, to `each`. Returns the uncompressed size in bytes of the columns.
fn rows<T: Send>(
    file: File,
    name: &str,
    shape: &Shape<'_, T>,
    each: &mut dyn FnMut(usize, T) -> Result<(), Error>,
) -> Result<u64, Error> {
    let wrong = |problem: String| Error::Parquet {
        file: name.to_owned(),
        problem,
    };
    let stack_size = stack_size(&file).map_err(wrong)?;
    thread::scope(|scope| {
        let (sender, rows) = sync_channel(MAX_QUEUED_ROWS);
        let decoder = thread::Builder::new()
            .name(PARQUET_THREAD.to_owned())
            .stack_size(stack_size)
            .spawn_scoped(scope, move || decode(file, shape, &sender))
            .map_err(|error| wrong(format!("cannot start a thread to read it: {error}")))?;
        // An error drops the receiver, which stops the decoder.
        let mut numbered = (1..).zip(rows);
        let given = numbered.try_for_each(|(number, row)| each(number, row));
        drop(numbered);
        let decoded = decoder.join();
        given?;
        match decoded {
            Ok(decoded) => decoded.map_err(wrong),
            Err(_) => Err(wrong(damaged(
                &"its pages contradict each other or its schema",
            ))),
        }
    })
}

fn damaged(problem: &dyn std::fmt::Display) -> String {
    format!(
        "not a Parquet file that can be read: {}; is the download complete?",
        one_line(problem)
    )
}

/// Sends the rows of a file. An error is a message.
fn decode<T>(file: File, shape: &Shape<'_, T>, rows: &SyncSender<T>) -> Result<u64, String> {
    let file_length = file.metadata().map_or(0, |metadata| metadata.len());
    let pages = Arc::new(file.try_clone().map_err(|error| error.to_string())?);
    let reader = SerializedFileReader::new(file).map_err(|error| damaged(&error))?;
    let metadata = reader.metadata();
    let columns = (shape.columns)(metadata.file_metadata().schema())?;
    let stated: i128 = (0..reader.num_row_groups())
        .map(|group| i128::from(metadata.row_group(group).num_rows()))
        .sum();
    if stated != i128::from(metadata.file_metadata().num_rows()) {
        return Err(damaged(&"it states two different numbers of rows"));
    }
    let (mut number, mut bytes, mut text_bytes) = (0, 0, 0);
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(|e| damaged(&e))?;
        bytes += (group.metadata().columns().iter())
            .filter(|column| wanted(&columns, column.column_path().parts()))
            .map(|column| u64::try_from(column.uncompressed_size()).unwrap_or(0))
            .sum::<u64>();
        let group = CheckedGroup {
            group,
            // More than any file has: a row takes at least a byte, an answer at least an eighth of one.
            max_values: file_length.saturating_mul(64),
            file: Arc::clone(&pages),
            bytes: Arc::default(),
        };
        let iterator = RowIter::from_row_group(Some(columns.clone()), &group);
        for row in iterator.map_err(|error| damaged(&error))? {
            number += 1;
            let row = row.map_err(|error| in_row(number, &error))?;
            let fields = row.get_column_iter();
            let row_bytes: u64 = fields.map(|(_, field)| text_size(field)).sum();
            text_bytes = row_bytes + if shape.keeps_rows { text_bytes } else { 0 };
            check_text_size(text_bytes)?;
            let row = (shape.row)(row).map_err(|problem| format!("row {number}: {problem}"))?;
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

/// The values of a row, as a JSON file would have them.
fn raw_row(row: Row) -> Result<RawItem, String> {
    let row = fields(row).map(Value::Object)?;
    serde_path_to_error::deserialize(row).map_err(|error| {
        let column = one_line(error.path());
        format!("column `{column}`: {}", one_line(error.inner()))
    })
}

fn fields(row: Row) -> Result<Map<String, Value>, String> {
    let columns = row.into_columns().into_iter();
    let fields = columns.map(|(name, field)| {
        let field = value(field).map_err(|problem| format!("column `{name}`: {problem}"))?;
        Ok((name, field))
    });
    fields.collect()
}

fn value(field: Cell) -> Result<Value, String> {
    Ok(match field {
        Cell::Null => Value::Null,
        Cell::Bool(value) => value.into(),
        Cell::Byte(number) => number.into(),
        Cell::Short(number) => number.into(),
        Cell::Int(number) => number.into(),
        Cell::Long(number) => number.into(),
        Cell::UByte(number) => number.into(),
        Cell::UShort(number) => number.into(),
        Cell::UInt(number) => number.into(),
        Cell::ULong(number) => number.into(),
        // JSON has no NaN: it becomes null.
        Cell::Float(number) => f64::from(number).into(),
        Cell::Double(number) => number.into(),
        Cell::Str(text) => text.into(),
        Cell::Bytes(bytes) => String::from_utf8(bytes.data().to_vec())
            .map_err(|_| "bytes that are not UTF-8; write the column as text".to_owned())?
            .into(),
        Cell::Group(row) => Value::Object(fields(row)?),
        Cell::ListInternal(list) => {
            let elements = list.elements().iter().cloned().map(value);
            Value::Array(elements.collect::<Result<_, _>>()?)
        }
        Cell::Decimal(number) => match whole_decimal(&number) {
            Some(number) => number.into(),
            None => Cell::Decimal(number).to_string().into(),
        },
        // Half-precision numbers, dates and times.
        other => other.to_string().into(),
    })
}

/// A decimal number as a whole one, if it is one.
fn whole_decimal(number: &Decimal) -> Option<i64> {
    if number.data().len() > size_of::<i128>() {
        return None;
    }
    // From the highest byte, in two's complement.
    let mut value = 0i128;
    for (at, &byte) in number.data().iter().enumerate() {
        let byte = if at == 0 {
            i128::from(byte.cast_signed())
        } else {
            i128::from(byte)
        };
        value = value << 8 | byte;
    }
    let unit = 10i128.checked_pow(u32::try_from(number.scale()).ok()?)?;
    (value % unit == 0).then(|| i64::try_from(value / unit).ok())?
}

/// The bytes of all texts in a field: a dictionary may give one long text to many rows.
fn text_size(field: &Cell) -> u64 {
    match field {
        Cell::Str(text) => text.len() as u64,
        Cell::Bytes(bytes) => bytes.len() as u64,
        Cell::ListInternal(list) => list.elements().iter().map(text_size).sum(),
        Cell::Group(row) => row
            .get_column_iter()
            .map(|(_, field)| text_size(field))
            .sum(),
        _ => 0,
    }
}

/// The size in bytes of the stack that decoding a file needs.
///
/// The `parquet` crate recurses for each level of the schema, a level takes only a few bytes in the file's footer, and a
/// stack overflow ends the process. So the stack grows with the length of the footer.
fn stack_size(mut file: &File) -> Result<usize, String> {
    /// The shortest level takes 7 bytes of the footer and less than 2 KiB of stack.
    const PER_BYTE: usize = 512;
    const LONGEST: usize = 4 << 20;
    const LEAST: usize = 2 << 20;
    let mut end = [0; 8];
    let read = (file.seek(SeekFrom::End(-8))).and_then(|_| file.read_exact(&mut end));
    let [length @ .., b'P', b'A', b'R', b'1'] = end else {
        return Ok(LEAST);
    };
    // The `parquet` crate reports a file that cannot be read or has no footer.
    let length = read.map_or(0, |()| u32::from_le_bytes(length) as usize);
    let file_length = file.metadata().map_or(0, |metadata| metadata.len());
    match length {
        length if length as u64 > file_length => Ok(LEAST),
        length if length > LONGEST => Err(format!(
            "its footer has {length} bytes, more than {LONGEST}; write it with fewer columns or larger row groups"
        )),
        length => Ok(LEAST + length * PER_BYTE),
    }
}

/// Levels of structs and lists in a column: articles with paragraphs with questions with answers have 8.
const MAX_DEPTH: usize = 12;

/// The columns of a dataset of questions in a file's schema. An error says what is wrong with them.
fn columns(schema: &Type) -> Result<Type, String> {
    let fields = schema.get_fields();
    let foreign = fields
        .iter()
        .find_map(|field| Foreign::of_field(field.name()));
    if let Some(foreign) = foreign.filter(Foreign::is_decisive) {
        return Err(foreign.problem());
    }
    let known = |column: &Type| Field::of_column(column.name());
    let all: Vec<Field> = fields.iter().filter_map(|column| known(column)).collect();
    let has = |field: Field| all.contains(&field);
    if !Field::make_questions(&all) {
        if let Some(foreign) = foreign {
            return Err(foreign.problem());
        }
        let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
        let missing = if has(Field::Context) {
            "question"
        } else {
            "context"
        };
        return Err(format!(
            "no column `{missing}`, only {}; expected the columns id, context, question and answers",
            quote(&names.join(", "))
        ));
    }
    let mut columns: Vec<Arc<Type>> = Vec::new();
    for column in fields {
        let (name, Some(field)) = (column.name(), known(column)) else {
            continue;
        };
        let is_same = |other: &Arc<Type>| plain(other.name()) == plain(name);
        if columns.iter().any(is_same) {
            return Err(format!("two columns `{}`; drop one", plain(name)));
        }
        // Of no meaning, so it may have any type.
        let is_other_text = match field {
            Field::Text => !has(Field::AnswerStart),
            Field::OtherContext(_) => true,
            _ => false,
        };
        if is_other_text && has(Field::Context) {
            continue;
        }
        let is_labels = matches!(field, Field::Labels(_)) && check_shape(column, name, 0).is_ok();
        if field.may_be_another() && !is_plain(column) && !is_labels {
            continue;
        }
        check_shape(column, name, 0)?;
        let is_text = matches!(field, Field::Title | Field::Context | Field::Question);
        if is_text && !column.is_primitive() {
            return Err(foreign.map_or_else(
                || format!("column `{name}` is nested, expected a string"),
                |foreign| foreign.problem(),
            ));
        }
        columns.push(column.clone());
    }
    projection(schema, columns)
}

/// Whether a column holds numbers or texts, or lists of them.
fn is_plain(column: &Type) -> bool {
    if !column.is_primitive() {
        return is_list(column)
            && check_shape(column, "", 0).is_ok()
            && element(column).is_some_and(|element| element.is_primitive() && is_plain(element));
    }
    match column.get_physical_type() {
        Physical::INT32 | Physical::INT64 | Physical::FLOAT | Physical::DOUBLE => true,
        Physical::BYTE_ARRAY => column.get_basic_info().converted_type() == ConvertedType::UTF8,
        _ => false,
    }
}

/// A schema of some columns of another.
fn projection(schema: &Type, columns: Vec<Arc<Type>>) -> Result<Type, String> {
    Type::group_type_builder(schema.name())
        .with_fields(columns)
        .build()
        .map_err(|error| error.to_string())
}

/// Checks that a column is made of values, structs and lists: the `parquet` crate panics on other shapes.
fn check_shape(column: &Type, name: &str, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("column `{name}` is nested too deeply"));
    }
    let shape = |problem| Err(format!("column `{name}` {problem}"));
    if is_repeated(column) {
        return shape("is repeated without being a list; write it as a list");
    }
    if column.is_primitive() {
        return if column.get_physical_type() == Physical::INT96 {
            shape("is a timestamp; drop it")
        } else if column.get_basic_info().logical_type_ref() == Some(&LogicalType::Uuid) {
            shape("holds UUIDs as bytes; write them as text, in SQL with cast(… as varchar)")
        } else {
            Ok(())
        };
    }
    if is_list(column) {
        return match element(column) {
            Some(element) => check_element(element, name, depth + 1),
            None => shape("is not a list that can be read"),
        };
    }
    match column.get_basic_info().converted_type() {
        ConvertedType::NONE => {}
        other => return shape(&format!("is a {other}; expected a struct or a list")),
    }
    let fields = column.get_fields();
    fields
        .iter()
        .try_for_each(|field| check_shape(field, &format!("{name}.{}", field.name()), depth + 1))
}

/// The element of a list; in the form with two levels it is marked as repeated.
fn check_element(element: &Type, name: &str, depth: usize) -> Result<(), String> {
    if element.is_primitive() {
        return Ok(());
    }
    if is_list(element) && is_repeated(element) {
        return Err(format!("column `{name}` is not a list that can be read"));
    }
    if is_repeated(element) {
        let mut fields = element.get_fields().iter();
        return fields.try_for_each(|field| {
            check_shape(field, &format!("{name}.{}", field.name()), depth + 1)
        });
    }
    check_shape(element, name, depth)
}

/// The element type of a list, in the form with two levels or in the one with three.
fn element(list: &Type) -> Option<&Type> {
    let [repeated] = list.get_fields() else {
        return None;
    };
    if !is_repeated(repeated) {
        return None;
    }
    if repeated.is_primitive() {
        return Some(repeated);
    }
    match repeated.get_fields() {
        [element] if !is_list(repeated) && !is_repeated(element) => Some(element),
        // The struct itself is the element.
        [_, _, ..] if !is_list(repeated) => Some(repeated),
        _ => None,
    }
}

fn is_list(column: &Type) -> bool {
    column.is_group() && column.get_basic_info().converted_type() == ConvertedType::LIST
}

fn is_repeated(column: &Type) -> bool {
    let info = column.get_basic_info();
    info.has_repetition() && info.repetition() == Repetition::REPEATED
}
