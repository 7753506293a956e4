//! What must hold of a Parquet file before the `parquet` crate decodes it.
//!
//! That crate takes some numbers of a file at their word: it panics on columns of odd shapes, and reserves as much memory
//! as a damaged page asks for, which can end the process. So the columns' types are compared with those that a SQuAD data
//! set has, columns that are not needed are not touched, pages pass through [`CheckedGroup`], and the stack is as deep as
//! the schema may be.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use parquet::basic::{ConvertedType, Encoding, Repetition, Type as Physical};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::RowGroupReader;
use parquet::record::reader::RowIter;
use parquet::schema::types::{Type, TypePtr};

/// The stack in bytes that reading a file takes.
///
/// The `parquet` crate calls itself for each level of the schema, of which a few bytes are enough, and a stack that is full
/// ends the process. So the stack grows with the file's description of itself, its footer.
pub(crate) fn stack_size(mut file: &File) -> std::result::Result<usize, String> {
    /// The shortest level has 7 bytes, and takes less than 2 KiB.
    const PER_BYTE: usize = 512;
    const LONGEST: usize = 4 << 20;
    const LEAST: usize = 2 << 20;
    let mut end = [0; 8];
    let read = (file.seek(SeekFrom::End(-8))).and_then(|_| file.read_exact(&mut end));
    let [length @ .., b'P', b'A', b'R', b'1'] = end else {
        return Ok(LEAST);
    };
    // What cannot be read has no footer either, which is for the `parquet` crate to say.
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

/// The columns of a SQuAD data set out of a file's schema, or what is wrong with them.
pub(crate) fn columns(schema: &Type) -> std::result::Result<Type, String> {
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
        let list = match is_struct {
            true => child(answers, name)?,
            false => None,
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
        crate::error::quote(&names.join(", "))
    )
}

/// The field of a group, unless there are two of this name.
fn child<'a>(group: &'a Type, name: &str) -> std::result::Result<Option<&'a TypePtr>, String> {
    let mut found = group.get_fields().iter().filter(|f| f.name() == name);
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(format!("two columns `{name}`; drop one")),
        (found, None) => Ok(found),
    }
}

/// What a list is made of, in the form with two levels or in that with three.
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

fn leaf(
    column: &Type,
    name: &str,
    expected: &str,
    fits: fn(&Type) -> bool,
) -> std::result::Result<(), String> {
    // A list's elements may be marked as repeated; a column of its own may not.
    let alone = !name.contains('.');
    if column.is_primitive() && fits(column) && !(alone && is_repeated(column)) {
        return Ok(());
    }
    let found = match column.is_primitive() {
        true => format!("{:?}", column.get_physical_type()),
        false => "nested".to_owned(),
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
pub(crate) struct CheckedGroup<'a> {
    pub(crate) group: Box<dyn RowGroupReader + 'a>,
    /// The most values that a page may claim to have.
    pub(crate) most_values: u64,
}

impl RowGroupReader for CheckedGroup<'_> {
    fn metadata(&self) -> &RowGroupMetaData {
        self.group.metadata()
    }

    fn num_columns(&self) -> usize {
        self.group.num_columns()
    }

    fn get_column_page_reader(&self, column: usize) -> Result<Box<dyn PageReader>> {
        Ok(Box::new(CheckedPages {
            pages: self.group.get_column_page_reader(column)?,
            most_values: self.most_values,
        }))
    }

    fn get_column_bloom_filter(&self, column: usize) -> Option<&Sbbf> {
        self.group.get_column_bloom_filter(column)
    }

    fn get_row_iter(&self, projection: Option<Type>) -> Result<RowIter<'_>> {
        RowIter::from_row_group(projection, self)
    }
}

struct CheckedPages {
    pages: Box<dyn PageReader>,
    most_values: u64,
}

impl CheckedPages {
    fn check(&self, page: &Page) -> Result<()> {
        let values = u64::from(page.num_values());
        let fits = match page {
            // Four bytes is the least that a string or an integer takes.
            Page::DictionaryPage { buf, .. } => values <= buf.len() as u64 / 4,
            _ => values <= self.most_values,
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
            // Those for strings reserve memory for as many values as the page's text claims.
            other => Err(ParquetError::General(format!(
                "the encoding {other} is not read; write the file with the plain or the dictionary encoding"
            ))),
        }
    }
}

impl Iterator for CheckedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        page.as_ref().map_or(Ok(()), |page| self.check(page))?;
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.pages.at_record_boundary()
    }
}
