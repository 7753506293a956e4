//! Files to examples.

mod builder;
#[cfg(feature = "parquet")]
mod checked_pages;
#[cfg(feature = "csv")]
mod csv;
mod flaw;
mod folder;
mod foreign;
mod gzip;
mod json;
mod literal;
mod locate;
mod options;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "parquet")]
mod parquet_pages;
#[cfg(feature = "csv")]
mod quotes;
mod raw;
mod text;
#[cfg(feature = "csv")]
mod unquoted;
mod utf16;

use std::collections::HashMap;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use self::builder::ExampleBuilder;
pub use self::flaw::{Flaw, FlawKind, Flaws};
pub(crate) use self::foreign::Foreign;
pub(crate) use self::json::{JSON_IN_A_TEXT, in_a_text, no_json};
pub use self::options::{OnBadAnswer, ReadOptions};
#[cfg(feature = "parquet")]
pub use self::parquet::PARQUET_THREAD;
pub(crate) use self::raw::{BY_COLUMN, number_text, only, plain};
use self::text::DataFile;
pub(crate) use self::text::{Position, TextReader};
use crate::dataset::Dataset;
use crate::error::Error;
use crate::example::Example;

impl Dataset {
    /// Reads a file of questions, or a folder of them, and checks it. A file holds
    ///
    /// - SQuAD's JSON, v1.1 or v2.0; or in place of the articles in `data` paragraphs (`context`, `qas`) or rows
    ///   (`id`, `context`, `question`, `answers`), or any of these as a list without `data`, or as JSON Lines;
    /// - MRQA's JSON Lines;
    /// - CSV or TSV with a header (feature `csv`);
    /// - Parquet with the columns of a row (feature `parquet`; the feature `parquet-codecs` adds zstd, gzip, lz4 and
    ///   brotli to Snappy).
    ///
    /// Each may be compressed with gzip. Text is UTF-8 or UTF-16, with or without a byte order mark. The content decides
    /// what a file is; only `.gz` and `.parquet` are believed by name. All forms pass the same checks, and the same
    /// questions give equal examples. Questions about equal contexts share one text.
    ///
    /// A folder is read as its data files in order. `FOLDER/train` reads `FOLDER/train-00000-of-00003.parquet` and so on.
    ///
    /// Reading is incremental: memory holds the examples and at most one article of the file.
    ///
    /// Gold answers that the context does not have are kept as texts and counted in [`Dataset::flaws`];
    /// [`Dataset::read_with`] has other ways. A file in which no question has an answer and none says `is_impossible` is
    /// one to be answered: [`crate::Gold::Unknown`].
    ///
    /// # Errors
    ///
    /// The file cannot be read, is damaged, is in no encoding or form that is read, or breaks a rule of the format. The
    /// message names the file and the first wrong place in it.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::read_all(&[path])
    }

    /// [`Dataset::read`] of several files or folders into one dataset, in the order given.
    ///
    /// # Errors
    ///
    /// As [`Dataset::read`] for each file. Two files have an id in common.
    pub fn read_all<P: AsRef<Path>>(paths: &[P]) -> Result<Self, Error> {
        Self::read_with(paths, &ReadOptions::default())
    }

    /// [`Dataset::read_all`] with options.
    ///
    /// # Errors
    ///
    /// As [`Dataset::read_all`], and as [`ReadOptions`] say.
    pub fn read_with<P: AsRef<Path>>(paths: &[P], options: &ReadOptions) -> Result<Self, Error> {
        Self::read_with_size(paths, options).map(|(dataset, _)| dataset)
    }

    /// [`Dataset::read_with`], with the size of the content in bytes: of the text after decompression, or of the Parquet
    /// columns that are read, uncompressed.
    ///
    /// # Errors
    ///
    /// As [`Dataset::read_with`].
    pub fn read_with_size<P: AsRef<Path>>(
        paths: &[P],
        options: &ReadOptions,
    ) -> Result<(Self, u64), Error> {
        let mut sets = Vec::with_capacity(paths.len());
        for path in paths {
            sets.push((path.as_ref(), folder::files(path.as_ref())?));
        }
        let files: Vec<&PathBuf> = sets.iter().flat_map(|(_, files)| files).collect();
        let prefixes = (options.unique_ids && sets.len() > 1).then(|| id_prefixes(&files));
        let mut builder = ExampleBuilder::new(options.clone());
        let mut bytes = 0;
        for (path, files) in &sets {
            let mut version = None;
            for file in files {
                let prefix = prefixes.as_ref().map_or("", |prefixes| &prefixes[file]);
                builder.begin_file(&file.display().to_string(), prefix.to_owned());
                let (read, of_file) = read_file(file, &mut builder)?;
                bytes += read;
                version = of_file;
            }
            builder.end_set(&path.display().to_string(), version)?;
        }
        Ok((builder.finish()?, bytes))
    }

    /// Gives the questions of a file or folder to `each`, in order, until it breaks. Memory holds one article of the file, or
    /// one row, and not the whole. Returns what is wrong in the part that was read.
    ///
    /// The examples are those of [`Dataset::read`], with two exceptions: an id that occurs again in another article or row
    /// is not noticed, and in a file without a single answer a question with an empty list of answers is
    /// [unanswerable](crate::Gold::Unanswerable).
    ///
    /// # Errors
    ///
    /// As [`Dataset::read`], from the place where reading stops.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// # let path = std::env::temp_dir().join(format!("squad-data-for-each-{}", std::process::id()));
    /// # std::fs::write(&path, r#"{"id": "q1", "question": "?", "context": "c", "answers": {"text": [], "answer_start": []}}"#).unwrap();
    ///
    /// let mut ids = Vec::new();
    /// squad_data::Dataset::for_each(&path, &mut |example| {
    ///     ids.push(example.id);
    ///     ControlFlow::Continue(())
    /// })?;
    /// assert_eq!(ids, ["q1"]);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), squad_data::Error>(())
    /// ```
    pub fn for_each(
        path: &Path,
        each: &mut dyn FnMut(Example) -> ControlFlow<()>,
    ) -> Result<Flaws, Error> {
        let files = folder::files(path)?;
        let mut builder = ExampleBuilder::new(ReadOptions::default()).with_sink(each);
        for file in &files {
            builder.begin_file(&file.display().to_string(), String::new());
            let read = read_file(file, &mut builder);
            if builder.is_stopped {
                return Ok(builder.into_flaws());
            }
            read?;
        }
        builder.end_set(&path.display().to_string(), None)?;
        Ok(builder.into_flaws())
    }

    /// [`Dataset::for_each`] of a stream, such as standard input: any form but Parquet. Messages call it `name`.
    ///
    /// Each question of JSON Lines or CSV is given as soon as its line is read; between tabs, from the first cell on that
    /// begins with a quotation mark, as soon as it is known whether the table has quoting. An empty stream has no questions.
    /// Returns what is wrong in the part that was read.
    ///
    /// # Errors
    ///
    /// As [`Dataset::read`], from the place where reading stops.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// let lines = r#"{"question": "Who?", "text": "Ane Holm"}"#;
    /// let mut contexts = Vec::new();
    /// squad_data::Dataset::for_each_from_reader("standard input", lines.as_bytes(), &mut |example| {
    ///     contexts.push(example.context.to_string());
    ///     ControlFlow::Continue(())
    /// })?;
    /// assert_eq!(contexts, ["Ane Holm"]);
    /// # Ok::<(), squad_data::Error>(())
    /// ```
    pub fn for_each_from_reader(
        name: &str,
        source: impl Read,
        each: &mut dyn FnMut(Example) -> ControlFlow<()>,
    ) -> Result<Flaws, Error> {
        let mut builder = ExampleBuilder::new(ReadOptions::default()).with_sink(each);
        builder.begin_file(name, String::new());
        let mut text = text::stream(name, source)?;
        match read_text(&mut text, &mut builder) {
            Err(error) if !builder.is_stopped && !matches!(error, Error::Empty { .. }) => {
                Err(error)
            }
            _ => Ok(builder.into_flaws()),
        }
    }

    /// Reads JSON, JSON Lines or CSV from memory. Messages call it `name`.
    ///
    /// # Errors
    ///
    /// As [`Dataset::read`].
    pub fn from_bytes(name: &str, bytes: &[u8], options: &ReadOptions) -> Result<Self, Error> {
        let mut builder = ExampleBuilder::new(options.clone());
        builder.begin_file(name, String::new());
        let mut text = TextReader::from_bytes(name, bytes)?;
        let version = read_text(&mut text, &mut builder)?;
        builder.end_set(name, version)?;
        builder.finish()
    }

    /// [`Dataset::from_bytes`] with the default options.
    ///
    /// # Errors
    ///
    /// As [`Dataset::read`].
    pub fn from_json(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        Self::from_bytes(name, bytes, &ReadOptions::default())
    }
}

/// Gives the questions of a file to the builder. Returns the size of its content and its version.
fn read_file(
    path: &Path,
    builder: &mut ExampleBuilder<'_>,
) -> Result<(u64, Option<String>), Error> {
    match text::open(path)? {
        DataFile::Text(mut text) => {
            let version = read_text(&mut text, builder)?;
            Ok((text.length(), version))
        }
        #[cfg(feature = "parquet")]
        DataFile::Parquet(file) => {
            let bytes = parquet::read(file, &path.display().to_string(), builder)?;
            Ok((bytes, None))
        }
        #[cfg(not(feature = "parquet"))]
        DataFile::Parquet(_) => {
            let name = path.display().to_string();
            Err(Error::without_feature(&name, "Parquet", "parquet"))
        }
    }
}

/// The columns of a table of records.
pub(crate) struct RecordColumns {
    /// Whether a column is read.
    #[cfg_attr(not(any(feature = "csv", feature = "parquet")), expect(dead_code))]
    pub(crate) is_wanted: fn(&str) -> bool,
    /// Whether a first line of these cells is the header of such a table.
    #[cfg_attr(not(feature = "csv"), expect(dead_code))]
    pub(crate) is_header: fn(&[String]) -> bool,
}

/// Gives each row of a CSV or Parquet file, with its number from 1, to `each`. Returns the text of any other file.
#[cfg_attr(
    not(any(feature = "csv", feature = "parquet")),
    expect(unused_variables)
)]
pub(crate) fn read_records(
    path: &Path,
    columns: &RecordColumns,
    each: &mut dyn FnMut(usize, Map<String, Value>) -> Result<(), Error>,
) -> Result<Option<TextReader<'static>>, Error> {
    let mut text = match text::open(path)? {
        DataFile::Text(text) => *text,
        #[cfg(feature = "parquet")]
        DataFile::Parquet(file) => {
            let name = path.display().to_string();
            parquet::records(file, &name, columns.is_wanted, each)?;
            return Ok(None);
        }
        #[cfg(not(feature = "parquet"))]
        DataFile::Parquet(_) => {
            let name = path.display().to_string();
            return Err(Error::without_feature(&name, "Parquet", "parquet"));
        }
    };
    if text::is_json(text.peek()?.as_bytes()) {
        return Ok(Some(text));
    }
    #[cfg(feature = "csv")]
    {
        text.skip_separator_line()?;
        let read = csv::records(&mut text, columns, each);
        if read.map_err(|error| text.cause(error))? {
            return Ok(None);
        }
    }
    Ok(Some(text))
}

fn read_text(
    text: &mut TextReader<'_>,
    builder: &mut ExampleBuilder<'_>,
) -> Result<Option<String>, Error> {
    let read = read_content(text, builder);
    read.map_err(|wrong| text.cause(wrong))
}

fn read_content(
    text: &mut TextReader<'_>,
    builder: &mut ExampleBuilder<'_>,
) -> Result<Option<String>, Error> {
    builder.text_bytes = text.text_bytes();
    // A table may begin with an empty cell before a tab.
    let is_blank = text.peek()?.trim_start().is_empty();
    if is_blank && !text.skip_space()? {
        return Err(Error::Empty {
            file: text.name().to_owned(),
            problem: "the file is empty".to_owned(),
        });
    }
    let head = text.peek()?;
    if let Some(foreign) = Foreign::of_text(head) {
        return Err(Error::foreign(text.name(), &foreign));
    }
    if text::is_json(head.as_bytes()) {
        text.skip_space()?;
        return json::parse(text, builder);
    }
    read_table(text, builder)
}

#[cfg(feature = "csv")]
fn read_table(
    text: &mut TextReader<'_>,
    builder: &mut ExampleBuilder<'_>,
) -> Result<Option<String>, Error> {
    text.skip_separator_line()?;
    match csv::delimiter(text.peek()?) {
        Some(delimiter) => csv::parse(text, delimiter, builder).map(|()| None),
        None => no_table(text, builder),
    }
}

#[cfg(not(feature = "csv"))]
fn read_table(
    text: &mut TextReader<'_>,
    builder: &mut ExampleBuilder<'_>,
) -> Result<Option<String>, Error> {
    let header = text.peek()?.lines().next().unwrap_or_default();
    if header.contains("question") && header.contains("context") {
        return Err(Error::without_feature(text.name(), "CSV", "csv"));
    }
    no_table(text, builder)
}

/// The error for a text that is neither JSON nor a table of questions.
fn no_table(
    text: &mut TextReader<'_>,
    builder: &mut ExampleBuilder<'_>,
) -> Result<Option<String>, Error> {
    #[cfg(feature = "csv")]
    if let Some(foreign) = csv::foreign(text.peek()?) {
        return Err(Error::foreign(text.name(), &foreign));
    }
    let name = text.name().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    if [".csv", ".tsv", ".txt"]
        .iter()
        .any(|end| name.ends_with(end))
    {
        let header = text.peek()?.lines().next().unwrap_or_default();
        let problem = format!(
            "a table needs a header with the columns `context` and `question`, but its first line is {}",
            crate::error::quote(header)
        );
        return Err(Error::Form {
            file: text.name().to_owned(),
            problem,
        });
    }
    let head = text.peek()?.trim_start();
    let is_json = head.starts_with(['"', '-']) || head.starts_with(|c: char| c.is_ascii_digit());
    let is_word = ["true", "false", "null"]
        .iter()
        .any(|word| head.starts_with(word));
    let is_nearly = !head.starts_with([',', '/']) && json::no_json(head.as_bytes()).is_some();
    if is_json && !head.starts_with("---") || is_word || is_nearly {
        return json::parse(text, builder);
    }
    let line = head.lines().next().unwrap_or_default();
    let problem = format!(
        "neither JSON, CSV nor Parquet, but a file that begins with {}; datasets/README.md lists the forms",
        crate::error::quote(line)
    );
    Err(Error::Form {
        file: text.name().to_owned(),
        problem,
    })
}

/// For each file what comes before its ids: its name without extensions, or its path if that is not its own.
fn id_prefixes<'a>(files: &[&'a PathBuf]) -> HashMap<&'a PathBuf, String> {
    let stem = |file: &Path| {
        let name = file
            .file_name()
            .unwrap_or(file.as_os_str())
            .to_string_lossy();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let is_ours = |extension: &&str| folder::EXTENSIONS.contains(extension);
        let parts = name.rsplit_once('.');
        let stem = parts.filter(|(_, extension)| is_ours(extension));
        stem.map_or(name, |(stem, _)| stem).to_owned()
    };
    let mut counts: HashMap<String, usize> = HashMap::new();
    for file in files {
        *counts.entry(stem(file)).or_default() += 1;
    }
    let prefix = |file: &'a PathBuf| {
        let stem = stem(file);
        let is_unique = counts[&stem] == 1;
        let prefix = if is_unique {
            stem
        } else {
            file.display().to_string()
        };
        (file, format!("{prefix}:"))
    };
    files.iter().map(|&file| prefix(file)).collect()
}
