//! Files to examples.

mod builder;
mod json;
#[cfg(feature = "parquet")]
mod parquet;
mod text;

use std::path::Path;

use self::builder::ExampleBuilder;
#[cfg(feature = "parquet")]
pub use self::parquet::PARQUET_THREAD;
use self::text::DataFile;
pub(crate) use self::text::{Position, TextReader};
use crate::dataset::Dataset;
use crate::error::Error;

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
        match text::open(path)? {
            DataFile::Text(mut text) => {
                let dataset = Self::from_text(name, &mut text)?;
                Ok((dataset, text.length()))
            }
            #[cfg(feature = "parquet")]
            DataFile::Parquet(file) => {
                let mut builder = ExampleBuilder::new(&name);
                let bytes = parquet::read(file, &name, &mut builder)?;
                let examples = builder.finish()?;
                let dataset = Self {
                    name,
                    examples,
                    version: None,
                };
                Ok((dataset, bytes))
            }
            #[cfg(not(feature = "parquet"))]
            DataFile::Parquet(_) => Err(Error::Parquet {
                file: name,
                problem:
                    "a Parquet file, which this build cannot read; turn on the feature `parquet`"
                        .to_owned(),
            }),
        }
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
