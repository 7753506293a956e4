//! Files to examples.

mod builder;
mod json;
#[cfg(feature = "parquet")]
mod parquet;
mod text;

use std::ops::ControlFlow;
use std::path::Path;

use self::builder::ExampleBuilder;
#[cfg(feature = "parquet")]
pub use self::parquet::PARQUET_THREAD;
use self::text::DataFile;
pub(crate) use self::text::{Position, TextReader};
use crate::dataset::Dataset;
use crate::error::Error;
use crate::example::Example;

impl Dataset {
    /// Reads a SQuAD file and checks it. The file is one of
    ///
    /// - JSON in the shape of the official files, v1.1 or v2.0;
    /// - JSON Lines in the shape of the Hugging Face Hub's datasets: rows `{"id", "title", "context", "question",
    ///   "answers": {"text": […], "answer_start": […]}}`, with empty lists if there is no answer;
    /// - either of the two compressed with gzip;
    /// - Parquet with those columns, uncompressed or with Snappy (feature `parquet`).
    ///
    /// The content decides which it is: Parquet begins with `PAR1`, gzip with its two magic bytes, and a text is JSON
    /// Lines if its first value is a row. A file whose name ends in `.gz` or `.parquet` must be one. All forms pass the
    /// same checks (see [`Dataset::from_json`]), and the same questions give equal examples. Questions about equal
    /// contexts share one text.
    ///
    /// Reading is incremental: memory holds the examples and at most one article of the file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is damaged, is not UTF-8 or JSON, has another shape, or breaks a rule of the format. The
    /// message names the file and the first wrong place in it.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::read_with_size(path).map(|(dataset, _)| dataset)
    }

    /// [`Dataset::read`], with the size of the content in bytes: of the text after decompression, or of the Parquet
    /// columns that are read, uncompressed.
    ///
    /// # Errors
    ///
    /// As [`Dataset::read`].
    pub fn read_with_size(path: &Path) -> Result<(Self, u64), Error> {
        let name = path.display().to_string();
        let mut builder = ExampleBuilder::new(&name);
        let (version, bytes) = read_file(path, &name, &mut builder)?;
        let examples = builder.finish()?;
        let dataset = Self {
            examples,
            version,
            name: name.clone(),
        };
        Ok((dataset, bytes))
    }

    /// Gives the questions of a file to `each`, in order, until it breaks. Memory holds one article of the file, or a row and
    /// its neighbours, and not the whole.
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
    ) -> Result<(), Error> {
        let name = path.display().to_string();
        let mut builder = ExampleBuilder::new(&name).with_sink(each);
        let read = read_file(path, &name, &mut builder);
        if builder.is_stopped {
            return Ok(());
        }
        read?;
        builder.finish().map(drop)
    }

    /// Reads JSON or JSON Lines from memory and checks it. Messages call it `name`.
    ///
    /// A byte order mark and Windows line ends are allowed. Unknown fields and paragraphs without questions are skipped.
    /// A question without an `is_impossible` field is impossible if it has no answers.
    ///
    /// # Errors
    ///
    /// - The bytes are not UTF-8, not JSON, or JSON of another shape.
    /// - A context or question is empty, an id occurs twice, or `is_impossible` contradicts the answers.
    /// - An answer's text is not what the context has at `answer_start`, counted in Unicode code points.
    /// - There are no questions.
    pub fn from_json(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        Self::from_text(name.to_owned(), &mut TextReader::from_bytes(name, bytes)?)
    }

    fn from_text(name: String, text: &mut TextReader<'_>) -> Result<Self, Error> {
        let mut builder = ExampleBuilder::new(&name);
        let version = json::parse(text, &mut builder).map_err(|wrong| text.cause(wrong))?;
        let examples = builder.finish()?;
        Ok(Self {
            name,
            examples,
            version,
        })
    }

    /// Reads several files into one dataset, in the order given.
    ///
    /// # Errors
    ///
    /// As [`Dataset::read`] for each file. Two files have an id in common.
    pub fn read_all<P: AsRef<Path>>(paths: &[P]) -> Result<Self, Error> {
        let mut all: Option<Self> = None;
        for path in paths {
            let next = Self::read(path.as_ref())?;
            match &mut all {
                Some(all) => all.extend(next)?,
                None => all = Some(next),
            }
        }
        Ok(all.unwrap_or_default())
    }
}

/// Gives the questions of a file to the builder. Returns the file's version and the size of its content.
fn read_file(
    path: &Path,
    name: &str,
    builder: &mut ExampleBuilder<'_>,
) -> Result<(Option<String>, u64), Error> {
    match text::open(path)? {
        DataFile::Text(mut text) => {
            let version = json::parse(&mut text, builder).map_err(|wrong| text.cause(wrong))?;
            Ok((version, text.length()))
        }
        #[cfg(feature = "parquet")]
        DataFile::Parquet(file) => Ok((None, parquet::read(file, name, builder)?)),
        #[cfg(not(feature = "parquet"))]
        DataFile::Parquet(_) => Err(Error::Parquet {
            file: name.to_owned(),
            problem: "a Parquet file, which this build cannot read; turn on the feature `parquet`"
                .to_owned(),
        }),
    }
}
