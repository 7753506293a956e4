//! Makes Parquet files with the `parquet` crate's writer.

use std::sync::Arc;

use parquet::basic::{Compression, Encoding};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use squad_data::Example;

/// The columns of the Hub's datasets. Every level may be null, as pyarrow writes it.
pub(crate) const HUB: &str = "message schema {
    optional binary id (UTF8);
    optional binary title (UTF8);
    optional binary context (UTF8);
    optional binary question (UTF8);
    optional group answers {
        optional group text (LIST) { repeated group list { optional binary element (UTF8); } }
        optional group answer_start (LIST) { repeated group list { optional int32 element; } }
    }
}";

pub(crate) enum Values {
    Texts(Vec<String>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
}

/// A leaf column with Parquet's definition and repetition levels.
pub(crate) struct Column {
    pub(crate) values: Values,
    pub(crate) definitions: Vec<i16>,
    pub(crate) repetitions: Vec<i16>,
}

impl Column {
    /// A top-level column without nulls.
    pub(crate) fn flat(values: Values) -> Self {
        let length = match &values {
            Values::Texts(v) => v.len(),
            Values::Int32(v) => v.len(),
            Values::Int64(v) => v.len(),
            Values::Float(v) => v.len(),
            Values::Bool(v) => v.len(),
        };
        Self {
            values,
            definitions: vec![1; length],
            repetitions: vec![0; length],
        }
    }

    pub(crate) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::flat(Values::Texts(
            texts.into_iter().map(str::to_owned).collect(),
        ))
    }

    /// A list for each row, inside `answers` of [`HUB`].
    fn lists(lengths: impl Iterator<Item = usize>, values: Values) -> Self {
        let (mut definitions, mut repetitions) = (Vec::new(), Vec::new());
        for length in lengths {
            // 0 answers null, 1 list null, 2 list empty, 3 element null, 4 an element.
            definitions.extend(vec![if length == 0 { 2 } else { 4 }; length.max(1)]);
            repetitions.push(0);
            repetitions.extend(vec![1; length.saturating_sub(1)]);
        }
        Self {
            values,
            definitions,
            repetitions,
        }
    }
}

/// The columns of [`HUB`] for these questions.
pub(crate) fn columns(examples: &[Example]) -> Vec<Column> {
    let answers = || examples.iter().flat_map(|example| example.answers());
    let lengths = || examples.iter().map(|example| example.answers().len());
    let starts = answers().map(|answer| i32::try_from(answer.start.unwrap()).unwrap());
    let texts = answers().map(|answer| answer.text.clone());
    vec![
        Column::texts(examples.iter().map(|e| e.id.as_str())),
        Column::texts(examples.iter().map(|e| &*e.title)),
        Column::texts(examples.iter().map(|e| &*e.context)),
        Column::texts(examples.iter().map(|e| e.question.as_str())),
        Column::lists(lengths(), Values::Texts(texts.collect())),
        Column::lists(lengths(), Values::Int32(starts.collect())),
    ]
}

/// A file with one row group for each of `groups`.
pub(crate) fn file(schema: &str, groups: &[Vec<Column>], compression: Compression) -> Vec<u8> {
    let properties = WriterProperties::builder().set_compression(compression);
    file_with(schema, groups, properties)
}

/// A file with the encodings and the pages of Parquet's second version.
pub(crate) fn second_version(
    schema: &str,
    groups: &[Vec<Column>],
    compression: Compression,
) -> Vec<u8> {
    let column = |path: &[&str]| ColumnPath::new(path.iter().map(|&part| part.into()).collect());
    let lengths = Encoding::DELTA_LENGTH_BYTE_ARRAY;
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_dictionary_enabled(false)
        .set_column_encoding(column(&["title"]), lengths)
        .set_column_encoding(column(&["answers", "text", "list", "element"]), lengths);
    file_with(schema, groups, properties)
}

fn file_with(schema: &str, groups: &[Vec<Column>], properties: WriterPropertiesBuilder) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = properties.build();
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
    for columns in groups {
        let mut group = writer.next_row_group().unwrap();
        let mut columns = columns.iter();
        while let Some(mut column) = group.next_column().unwrap() {
            write(column.untyped(), columns.next().unwrap());
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
    bytes
}

fn write(writer: &mut ColumnWriter<'_>, column: &Column) {
    let (definitions, repetitions) = (Some(&*column.definitions), Some(&*column.repetitions));
    let written = match (writer, &column.values) {
        (ColumnWriter::ByteArrayColumnWriter(writer), Values::Texts(values)) => {
            let values: Vec<ByteArray> = values.iter().map(|text| text.as_str().into()).collect();
            writer.write_batch(&values, definitions, repetitions)
        }
        (ColumnWriter::Int32ColumnWriter(writer), Values::Int32(values)) => {
            writer.write_batch(values, definitions, repetitions)
        }
        (ColumnWriter::Int64ColumnWriter(writer), Values::Int64(values)) => {
            writer.write_batch(values, definitions, repetitions)
        }
        (ColumnWriter::DoubleColumnWriter(writer), Values::Float(values)) => {
            writer.write_batch(values, definitions, repetitions)
        }
        (ColumnWriter::BoolColumnWriter(writer), Values::Bool(values)) => {
            writer.write_batch(values, definitions, repetitions)
        }
        _ => panic!("the schema has another type"),
    };
    written.unwrap();
}
