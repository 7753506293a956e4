//! CSV and TSV to examples: a header with the Hub's column names, and a row for each question.

use csv::{Reader, ReaderBuilder, StringRecord};
use serde_json::{Map, Value};

use crate::error::{Error, counted, one_line, quote};
use crate::read::RecordColumns;
use crate::read::builder::{ExampleBuilder, Location};
use crate::read::flaw::FlawKind;
use crate::read::foreign::{DRAWN_TABLE, Foreign};
use crate::read::quotes::DoubledQuotes;
use crate::read::raw::{Field, RawItem, may_have_answers, plain};
use crate::read::text::TextReader;

/// What may stand between cells.
const DELIMITERS: [u8; 4] = *b",\t;|";
/// In bytes, of a column that is looked for in rows.
const LONGEST_NAME: usize = 64;

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

/// Whether a header has a blank behind each delimiter, as people write it. What they write below it has, too.
fn has_blanks(header: &str, delimiter: u8) -> bool {
    let delimiter = char::from(delimiter);
    let count = header.matches(delimiter).count();
    count > 0 && header.matches(&format!("{delimiter} ")).count() == count
}

/// A column's name in its plain spelling.
fn column(name: &str) -> String {
    plain(name.trim_start_matches('\u{feff}'))
}

/// Reads a table and gives the questions to the builder.
pub(super) fn parse(
    text: &mut TextReader<'_>,
    delimiter: u8,
    builder: &mut ExampleBuilder<'_>,
) -> Result<(), Error> {
    let file = text.name().to_owned();
    let read = Table::open(text, delimiter).and_then(|mut table| {
        table.check_columns()?;
        let is_read = |name: &str| Field::of_column(name).is_some();
        let mut backslashes = Backslashes::default();
        let columns = table.columns.iter();
        let unread = columns.filter(|name| !is_read(name) && may_have_answers(name));
        builder.note_unread(unread.cloned());
        table.each_row(is_read, &mut |number, row| {
            backslashes.look_at(&row);
            let item: RawItem =
                serde_path_to_error::deserialize(Value::Object(row)).map_err(|error| {
                    let (column, problem) = (one_line(error.path()), one_line(error.inner()));
                    wrong(&file, number, format!("column `{column}`: {problem}"))
                })?;
            builder.item(Location::Row(number), item)
        })?;
        if table.reader.get_ref().is_unclear() {
            builder.note_table(FlawKind::QuotesUnclear);
        }
        if backslashes.may_escape && !backslashes.are_text {
            builder.note_table(FlawKind::BackslashesUnclear);
        }
        Ok(())
    });
    read.map_err(|error| text.take_fault().unwrap_or(error))
}

/// What the backslashes in the texts of a table may be. MySQL, PostgreSQL's `COPY` and Python's `QUOTE_NONE` escape line ends,
/// tabs, quotes and backslashes by them.
#[derive(Default)]
struct Backslashes {
    /// One stands where an escape has it.
    may_escape: bool,
    /// One stands where no escape has it: they are part of the texts.
    are_text: bool,
}

impl Backslashes {
    fn look_at(&mut self, row: &Map<String, Value>) {
        use Field::{Context, OtherContext, OtherQuestion, Question, Text};
        // Other cells may hold JSON and Python literals.
        let is_text = |name: &str| match Field::of_column(name) {
            Some(Context | OtherContext(_) | Question | OtherQuestion) => true,
            Some(Text) => !row.contains_key("context"),
            _ => false,
        };
        let cells = row
            .iter()
            .filter_map(|(name, cell)| Some((name, cell.as_str()?)));
        for (_, text) in cells.filter(|(name, cell)| cell.contains('\\') && is_text(name)) {
            let mut rest = text;
            while let Some((_, behind)) = rest.split_once('\\') {
                let mut behind = behind.chars();
                match behind.next() {
                    Some('n' | 't' | 'r' | '"' | '\n' | '\r') => self.may_escape = true,
                    Some('\\' | ',' | ';' | '|' | '\t') => {}
                    _ => self.are_text = true,
                }
                rest = behind.as_str();
            }
        }
    }
}

/// Gives each row of a table, with its number from 1, to `each`, if the first line is the header of such a table.
pub(super) fn records(
    text: &mut TextReader<'_>,
    columns: &RecordColumns,
    each: &mut dyn FnMut(usize, Map<String, Value>) -> Result<(), Error>,
) -> Result<bool, Error> {
    let head = text.peek()?;
    let found = DELIMITERS
        .into_iter()
        .find(|&delimiter| (columns.is_header)(&first_row(head, delimiter)));
    let Some(delimiter) = found else {
        return Ok(false);
    };
    let read =
        Table::open(text, delimiter).and_then(|mut table| table.each_row(columns.is_wanted, each));
    read.map_err(|error| text.take_fault().unwrap_or(error))?;
    Ok(true)
}

/// A table of which the header is read.
struct Table<'t, 'a> {
    file: String,
    reader: Reader<DoubledQuotes<&'t mut TextReader<'a>>>,
    columns: Vec<String>,
    /// Whether the first column's name stands in quotes.
    is_quoted: bool,
}

impl<'t, 'a> Table<'t, 'a> {
    fn open(text: &'t mut TextReader<'a>, delimiter: u8) -> Result<Self, Error> {
        let file = text.name().to_owned();
        let head = text.peek()?;
        let is_quoted = head.starts_with('"');
        let skips_blanks = has_blanks(head.lines().next().unwrap_or_default(), delimiter);
        let text = DoubledQuotes::new(text, delimiter, skips_blanks);
        let mut reader = ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .from_reader(text);
        let header = reader.headers();
        let header = header.map_err(|error| csv_error(&file, 0, &error))?;
        let columns: Vec<String> = header.iter().map(column).collect();
        // Bars on both sides, and no line of dashes in the first row.
        let is_blank = |name: Option<&String>| name.is_some_and(String::is_empty);
        if delimiter == b'|' && is_blank(columns.first()) && is_blank(columns.last()) {
            return Err(Error::foreign(&file, &DRAWN_TABLE));
        }
        Ok(Self {
            file,
            reader,
            columns,
            is_quoted,
        })
    }

    /// Checks that no column of questions occurs twice.
    fn check_columns(&self) -> Result<(), Error> {
        for (number, name) in self.columns.iter().enumerate() {
            let is_read = Field::of_column(name).is_some_and(|field| !field.may_be_another());
            if is_read && self.columns[..number].contains(name) {
                let problem = format!("two columns `{name}`; drop one");
                return Err(wrong(&self.file, 0, problem));
            }
        }
        Ok(())
    }

    /// Whether the first row begins with a row's name that the header has no column for, as R's `write.table` writes it. Where
    /// names of columns are quoted texts are, too, so that the further cell is no part of one.
    fn has_row_names(&self, first: &StringRecord) -> bool {
        let is_number = |name: &str| !name.is_empty() && name.bytes().all(|c| c.is_ascii_digit());
        self.is_quoted
            && first.len() == self.columns.len() + 1
            && first.get(0).is_some_and(is_number)
    }

    /// Gives each row, with its number from 1, to `each`: the cells of the columns for which `is_read` holds.
    fn each_row(
        &mut self,
        is_read: fn(&str) -> bool,
        each: &mut dyn FnMut(usize, Map<String, Value>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let columns = self.columns.iter().map(String::as_str).enumerate();
        let columns: Vec<(usize, &str)> = columns.filter(|(_, name)| is_read(name)).collect();
        let is_name = |cell: &str| {
            let name = (cell.len() <= LONGEST_NAME).then(|| column(cell));
            name.is_some_and(|name| is_read(&name) || self.columns.contains(&name))
        };
        let mut record = StringRecord::new();
        // Number of cells before those of the columns.
        let mut num_unnamed = 0;
        for number in 1.. {
            let read = self.reader.read_record(&mut record);
            if !read.map_err(|error| csv_error(&self.file, number, &error))? {
                break;
            }
            if number == 1 {
                // Such a line may have another number of cells.
                if let Some(foreign) = Foreign::of_first_row(&record) {
                    return Err(Error::foreign(&self.file, &foreign));
                }
                num_unnamed = usize::from(self.has_row_names(&record));
            }
            // Rows that a spreadsheet saves below its last one.
            if record.iter().all(|cell| cell.trim().is_empty()) {
                continue;
            }
            // Of a table that was put behind this one.
            if record.iter().all(is_name) {
                if record.iter().map(column).eq(self.columns.iter().cloned()) {
                    continue;
                }
                let problem =
                    "another header, with other columns; give each table as a file of its own";
                return Err(wrong(&self.file, number, problem.to_owned()));
            }
            let expected = num_unnamed + self.columns.len();
            if record.len() != expected {
                let len = record.len();
                let advice = if record.iter().any(|cell| cell.ends_with('\\')) {
                    "a backslash escapes no delimiter and no line end: write the table with quotes around cells"
                } else {
                    "is a quote or a delimiter missing?"
                };
                let cells = counted(len, "cell");
                let problem = format!("{cells}, but the header has {expected}; {advice}");
                return Err(wrong(&self.file, number, problem));
            }
            let cell = |&(at, name): &(usize, &str)| {
                let cell = record.get(num_unnamed + at)?;
                Some((name.to_owned(), Value::from(cell)))
            };
            each(number, columns.iter().filter_map(cell).collect())?;
        }
        Ok(())
    }
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

/// The error of the `csv` crate, in this row unless it says another.
fn csv_error(file: &str, row: usize, error: &csv::Error) -> Error {
    let row = error.position().map_or(row, |at| at.record() as usize);
    let problem = match error.kind() {
        csv::ErrorKind::Io(error) => one_line(error),
        _ => quote(&one_line(error)),
    };
    wrong(file, row, problem)
}
