//! Parquet files of the Hugging Face Hub's datasets, row by row.
//!
//! The `parquet` crate trusts some numbers of a file: it panics on columns of unusual shapes and reserves as much memory
//! as a damaged page asks for, which can end the process. So this module compares the columns' types with those of a
//! SQuAD dataset, reads only the columns it needs, checks pages before they are decoded ([`CheckedGroup`]), and decodes
//! on a thread of its own, whose stack is as deep as the schema may be.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
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
use parquet::schema::types::{Type, TypePtr};

use crate::error::{Error, one_line, quote};
use crate::memory::check_text_size;
use crate::read::builder::{ExampleBuilder, FlatAnswers, Location, RawRow};

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

fn build(rows: Receiver<RawRow>, builder: &mut ExampleBuilder<'_>) -> Result<(), Error> {
    for (row, number) in rows.into_iter().zip(1..) {
        // An error drops the receiver, which stops the decoder.
        builder.row(Location::Row(number), row)?;
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

/// The columns of a SQuAD dataset in a file's schema. An error says what is wrong with them.
fn columns(schema: &Type) -> Result<Type, String> {
    let mut columns = Vec::new();
    for name in ["id", "title", "context", "question", "is_impossible"] {
        let required = !matches!(name, "title" | "is_impossible");
        let Some(column) = child(schema, name)? else {
            if required {
                return Err(missing(schema, name));
            }
            continue;
        };
        match name {
            "is_impossible" => leaf(column, name, "a boolean", is_boolean)?,
            _ => leaf(column, name, "a string", is_string)?,
        }
        columns.push(column.clone());
    }
    let answers = child(schema, "answers")?.ok_or_else(|| missing(schema, "answers"))?;
    let is_struct = answers.is_group() && !is_list(answers) && !is_repeated(answers);
    let lists = [
        ("text", "a list of strings", is_string as fn(&Type) -> bool),
        ("answer_start", "a list of int32 or int64", is_integer),
    ];
    for (name, expected, is_element) in lists {
        let list = if is_struct {
            child(answers, name)?
        } else {
            None
        };
        let list = list.ok_or_else(|| {
            format!("column `answers` has no field `{name}`; expected a struct of two lists, `text` and `answer_start`")
        })?;
        let path = format!("answers.{name}");
        match element(list) {
            Some(element) => leaf(element, &path, expected, is_element)?,
            None => return Err(format!("column `{path}` is not {expected}")),
        }
    }
    columns.push(answers.clone());
    Type::group_type_builder(schema.name())
        .with_fields(columns)
        .build()
        .map_err(|error| error.to_string())
}

fn missing(schema: &Type, name: &str) -> String {
    let names: Vec<&str> = schema.get_fields().iter().map(|f| f.name()).collect();
    format!(
        "no column `{name}`, only {}; expected the columns id, context, question and answers",
        quote(&names.join(", "))
    )
}

/// The field of a group, if there is one. Two of one name are an error.
fn child<'a>(group: &'a Type, name: &str) -> Result<Option<&'a TypePtr>, String> {
    let mut found = group.get_fields().iter().filter(|f| f.name() == name);
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(format!("two columns `{name}`; drop one")),
        (found, None) => Ok(found),
    }
}

/// The element type of a list, in the form with two levels or in the one with three.
fn element(list: &Type) -> Option<&Type> {
    let [repeated] = list.is_group().then(|| list.get_fields())? else {
        return None;
    };
    if !is_list(list) || is_repeated(list) || !is_repeated(repeated) {
        return None;
    }
    if repeated.is_primitive() {
        return Some(repeated);
    }
    match repeated.get_fields() {
        [element] if !is_list(repeated) && !is_repeated(element) => Some(element),
        _ => None,
    }
}

fn leaf(column: &Type, name: &str, expected: &str, fits: fn(&Type) -> bool) -> Result<(), String> {
    // The elements of a list may be marked as repeated; a column that is no list may not.
    let alone = !name.contains('.');
    if column.is_primitive() && fits(column) && !(alone && is_repeated(column)) {
        return Ok(());
    }
    let found = if column.is_primitive() {
        format!("{:?}", column.get_physical_type())
    } else {
        "nested".to_owned()
    };
    Err(format!("column `{name}` is {found}, expected {expected}"))
}

fn is_list(column: &Type) -> bool {
    column.get_basic_info().converted_type() == ConvertedType::LIST
}

fn is_repeated(column: &Type) -> bool {
    let info = column.get_basic_info();
    info.has_repetition() && info.repetition() == Repetition::REPEATED
}

fn is_boolean(column: &Type) -> bool {
    column.get_physical_type() == Physical::BOOLEAN
}

fn is_string(column: &Type) -> bool {
    column.get_physical_type() == Physical::BYTE_ARRAY
        && column.get_basic_info().converted_type() == ConvertedType::UTF8
}

fn is_integer(column: &Type) -> bool {
    let plain = [
        ConvertedType::NONE,
        ConvertedType::INT_32,
        ConvertedType::INT_64,
    ];
    matches!(
        column.get_physical_type(),
        Physical::INT32 | Physical::INT64
    ) && plain.contains(&column.get_basic_info().converted_type())
}

/// A row group whose pages are checked before they are decoded.
struct CheckedGroup<'a> {
    group: Box<dyn RowGroupReader + 'a>,
    /// The maximum number of values that a page may claim to have.
    max_values: u64,
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
        Ok(Box::new(CheckedPages {
            pages: self.group.get_column_page_reader(column)?,
            max_values: self.max_values,
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
}

impl CheckedPages {
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
        page.as_ref().map_or(Ok(()), |page| self.check(page))?;
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
