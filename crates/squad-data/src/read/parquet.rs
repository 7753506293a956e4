//! Parquet files of the Hugging Face Hub's datasets, row by row.
//!
//! The `parquet` crate trusts some numbers of a file: it panics on columns of unusual shapes and reserves as much memory
//! as a damaged page asks for, which can end the process. So this module compares the columns' types with those of a
//! SQuAD dataset, reads only the columns it needs, checks pages before they are decoded ([`CheckedGroup`]), and decodes
//! on a thread of its own, whose stack is as deep as the schema may be.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use parquet::basic::{ConvertedType, Encoding, Repetition, Type as Physical};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use serde_json::Value;

use crate::error::{Error, one_line, quote};
use crate::memory::check_text_size;
use crate::read::builder::{ExampleBuilder, Location};
use crate::read::foreign::Foreign;
use crate::read::parquet_pages::{LargestRow, Pages, longest_entry};
use crate::read::raw::RawItem;

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
            .spawn_scoped(scope, move || decode(file, &sender))
            .map_err(|error| wrong(format!("cannot start a thread to read it: {error}")))?;
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

fn build(rows: Receiver<RawItem>, builder: &mut ExampleBuilder<'_>) -> Result<(), Error> {
    for (row, number) in rows.into_iter().zip(1..) {
        // An error drops the receiver, which stops the decoder.
        builder.item(Location::Row(number), row)?;
    }
    Ok(())
}

fn damaged(problem: &dyn std::fmt::Display) -> String {
    format!(
        "not a Parquet file that can be read: {}; is the download complete?",
        one_line(problem)
    )
}

/// Sends the rows of a file. An error is a message.
fn decode(file: File, rows: &SyncSender<RawItem>) -> Result<u64, String> {
    let file_length = file.metadata().map_or(0, |metadata| metadata.len());
    let pages = Arc::new(file.try_clone().map_err(|error| error.to_string())?);
    let reader = SerializedFileReader::new(file).map_err(|error| damaged(&error))?;
    let metadata = reader.metadata();
    let columns = columns(metadata.file_metadata().schema())?;
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
            text_bytes += fields.map(|(_, field)| text_size(field)).sum::<u64>();
            check_text_size(text_bytes)?;
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

/// The values of a row, as a JSON file would have them.
fn raw_row(row: Row) -> Result<RawItem, String> {
    let row = object(row)?;
    serde_path_to_error::deserialize(row).map_err(|error| {
        let column = one_line(error.path());
        format!("column `{column}`: {}", one_line(error.inner()))
    })
}

fn object(row: Row) -> Result<Value, String> {
    let columns = row.into_columns().into_iter();
    let fields = columns.map(|(name, field)| {
        let field = value(field).map_err(|problem| format!("column `{name}`: {problem}"))?;
        Ok((name, field))
    });
    fields.collect::<Result<_, String>>().map(Value::Object)
}

fn value(field: Field) -> Result<Value, String> {
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(value) => value.into(),
        Field::Byte(number) => number.into(),
        Field::Short(number) => number.into(),
        Field::Int(number) => number.into(),
        Field::Long(number) => number.into(),
        Field::UByte(number) => number.into(),
        Field::UShort(number) => number.into(),
        Field::UInt(number) => number.into(),
        Field::ULong(number) => number.into(),
        // JSON has no NaN: it becomes null.
        Field::Float(number) => f64::from(number).into(),
        Field::Double(number) => number.into(),
        Field::Str(text) => text.into(),
        Field::Bytes(bytes) => String::from_utf8(bytes.data().to_vec())
            .map_err(|_| "bytes that are not UTF-8".to_owned())?
            .into(),
        Field::Group(row) => object(row)?,
        Field::ListInternal(list) => {
            let elements = list.elements().iter().cloned().map(value);
            Value::Array(elements.collect::<Result<_, _>>()?)
        }
        // A date, a decimal: no column of ours has it.
        _ => Value::Null,
    })
}

/// The bytes of all texts in a field: a dictionary may give one long text to many rows.
fn text_size(field: &Field) -> u64 {
    match field {
        Field::Str(text) => text.len() as u64,
        Field::Bytes(bytes) => bytes.len() as u64,
        Field::ListInternal(list) => list.elements().iter().map(text_size).sum(),
        Field::Group(row) => row
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

/// Columns that are read.
const COLUMNS: [&str; 13] = [
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
    "detected_answers",
    "qas",
    "paragraphs",
];

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
    let has = |name: &str| fields.iter().any(|field| field.name() == name);
    if !(has("paragraphs") || has("context") && (has("question") || has("qas"))) {
        if let Some(foreign) = foreign {
            return Err(foreign.problem());
        }
        let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
        let missing = if has("context") {
            "question"
        } else {
            "context"
        };
        return Err(format!(
            "no column `{missing}`, only {}; expected the columns id, context, question and answers",
            quote(&names.join(", "))
        ));
    }
    let mut columns = Vec::new();
    for name in COLUMNS {
        let mut found = fields.iter().filter(|field| field.name() == name);
        if let Some(column) = found.next() {
            if found.next().is_some() {
                return Err(format!("two columns `{name}`; drop one"));
            }
            check_shape(column, name, 0)?;
            let is_text = ["title", "context", "question"].contains(&name);
            if is_text && !column.is_primitive() {
                return Err(foreign.map_or_else(
                    || format!("column `{name}` is nested, expected a string"),
                    |foreign| foreign.problem(),
                ));
            }
            columns.push(column.clone());
        }
    }
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

/// A row group whose pages are checked before they are decoded.
struct CheckedGroup<'a> {
    group: Box<dyn RowGroupReader + 'a>,
    /// The maximum number of values that a page may claim to have.
    max_values: u64,
    file: Arc<File>,
    /// What the largest pages and rows of all columns may take together.
    bytes: Arc<AtomicU64>,
}

impl CheckedGroup<'_> {
    fn pages(&self, column: usize) -> parquet::errors::Result<Box<dyn PageReader>> {
        let chunk = self.group.metadata().column(column);
        let pages = Pages::new(Arc::clone(&self.file), chunk)?;
        if pages.decompresses() {
            return Ok(Box::new(pages));
        }
        pages.check()?;
        self.group.get_column_page_reader(column)
    }
}

impl RowGroupReader for CheckedGroup<'_> {
    fn metadata(&self) -> &RowGroupMetaData {
        self.group.metadata()
    }

    fn num_columns(&self) -> usize {
        self.group.num_columns()
    }

    fn get_column_page_reader(
        &self,
        column: usize,
    ) -> parquet::errors::Result<Box<dyn PageReader>> {
        let descriptor = self.group.metadata().column(column).column_descr();
        Ok(Box::new(CheckedPages {
            pages: self.pages(column)?,
            max_values: self.max_values,
            max_level: descriptor.max_rep_level(),
            row: LargestRow::default(),
            dictionary: [0, 0],
            largest: 0,
            bytes: Arc::clone(&self.bytes),
        }))
    }

    fn get_column_bloom_filter(&self, column: usize) -> Option<&Sbbf> {
        self.group.get_column_bloom_filter(column)
    }

    fn get_row_iter(&self, projection: Option<Type>) -> parquet::errors::Result<RowIter<'_>> {
        RowIter::from_row_group(projection, self)
    }
}

struct CheckedPages {
    pages: Box<dyn PageReader>,
    max_values: u64,
    /// The column's maximum repetition level.
    max_level: i16,
    row: LargestRow,
    /// Bytes of the dictionary and of its longest entry.
    dictionary: [u64; 2],
    /// What this column adds to `bytes`.
    largest: u64,
    bytes: Arc<AtomicU64>,
}

impl CheckedPages {
    /// Checks that the columns' pages and a row made of them fit into memory. A few bytes of a page may stand for many values
    /// of a row, each of them a long text of the dictionary.
    fn check_memory(&mut self, page: &Page) -> Result<(), String> {
        /// A decoded value without its text.
        const VALUE: u64 = 64;
        let bytes = page.buffer().len() as u64;
        if let Page::DictionaryPage { buf, .. } = page {
            self.dictionary = [bytes, longest_entry(buf)];
        }
        let [dictionary, longest] = self.dictionary;
        let row = self.row.add(page, self.max_level);
        let needed = (dictionary + bytes).saturating_add(row.saturating_mul(longest + VALUE));
        if needed <= self.largest {
            return Ok(());
        }
        let more = needed - self.largest;
        self.largest = needed;
        let others = self.bytes.fetch_add(more, Ordering::Relaxed);
        check_text_size(others.saturating_add(more))
    }

    fn check(&self, page: &Page) -> parquet::errors::Result<()> {
        let values = u64::from(page.num_values());
        let fits = match page {
            // A string or an integer takes at least four bytes.
            Page::DictionaryPage { buf, .. } => values <= buf.len() as u64 / 4,
            _ => values <= self.max_values,
        };
        if !fits {
            return Err(ParquetError::General(format!(
                "a page claims to have {values} values, more than it can hold"
            )));
        }
        match page.encoding() {
            Encoding::PLAIN
            | Encoding::PLAIN_DICTIONARY
            | Encoding::RLE_DICTIONARY
            | Encoding::RLE
            | Encoding::DELTA_BINARY_PACKED => Ok(()),
            // The encodings for strings reserve memory for as many values as the page claims to have.
            other => Err(ParquetError::General(format!(
                "the encoding {other} is not read; write the file with the plain or the dictionary encoding"
            ))),
        }
    }
}

impl Iterator for CheckedPages {
    type Item = parquet::errors::Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> parquet::errors::Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        if let Some(page) = &page {
            self.check(page)?;
            self.check_memory(page).map_err(ParquetError::General)?;
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> parquet::errors::Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> parquet::errors::Result<()> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> parquet::errors::Result<bool> {
        self.pages.at_record_boundary()
    }
}
