//! A set of questions out of a file, whatever its form.

mod builder;
mod json;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "parquet")]
mod parquet_checks;
mod raw;
mod squad_json;
mod text;

use std::path::Path;

use self::builder::Builder;
#[cfg(feature = "parquet")]
pub use self::parquet::PARQUET_THREAD;

use self::text::{Opened, Text};
use crate::dataset::Dataset;
use crate::error::Error;

impl Dataset {
    /// Reads a SQuAD file and checks it. It may be
    ///
    /// - JSON as the official files have it, v1.1 or v2.0: see [`Dataset::from_json`];
    /// - JSON Lines as the Hugging Face Hub's data sets have it, `{"id", "title", "context", "question", "answers":
    ///   {"text": […], "answer_start": […]}}` in each row, without answers where there is none;
    /// - either of the two compressed with gzip;
    /// - Parquet with those columns (feature `parquet`; uncompressed or Snappy).
    ///
    /// What is in the file decides, and its name where it ends in `.gz` or `.parquet`: Parquet begins with `PAR1`, gzip with
    /// its two magic bytes, and a text is in rows if the first value in it is one. All forms go through the same checks,
    /// and the same questions give equal examples. Questions about equal contexts share one text.
    ///
    /// The text is taken in a piece at a time, so that memory holds the examples and little else.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is damaged, is not UTF-8 or JSON, has another shape, or breaks a rule of the format: see
    /// [`Dataset::from_json`]. The message names the file and the first place that is wrong.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::read_with_size(path).map(|(dataset, _)| dataset)
    }

    /// [`Dataset::read`], with the length of the file's text in bytes: after decompression, and for Parquet the
    /// uncompressed size of the columns that are read, as the file states it.
    ///
    /// # Errors
    ///
    /// As [`Dataset::read`].
    pub fn read_with_size(path: &Path) -> Result<(Self, u64), Error> {
        let name = path.display().to_string();
        match text::open(path)? {
            Opened::Text(mut text) => {
                let dataset = Self::from_text(name, &mut text)?;
                Ok((dataset, text.length()))
            }
            #[cfg(feature = "parquet")]
            Opened::Parquet(file) => {
                let mut builder = Builder::new(&name);
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
            Opened::Parquet(_) => Err(Error::Parquet {
                file: name,
                problem:
                    "a Parquet file, which this build does not read; turn on the feature `parquet`"
                        .to_owned(),
            }),
        }
    }

    /// Reads a SQuAD text, a v1.1 or v2.0 document or rows, from memory and checks it; `name` is what messages call it.
    ///
    /// A byte order mark and Windows line ends are accepted, unknown fields and paragraphs without questions are
    /// passed over. A question without an `is_impossible` field is impossible when it has no answers.
    ///
    /// # Errors
    ///
    /// The first in the order of the text of: bytes that are not UTF-8 or not JSON, JSON of another shape, an empty
    /// context or question, a repeated id, an `is_impossible` that contradicts the answers, and an answer whose text is
    /// not what the context has at `answer_start` (counted in Unicode code points); and no question at all.
    pub fn from_json(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        Self::from_text(name.to_owned(), &mut Text::from_bytes(name, bytes)?)
    }

    fn from_text(name: String, text: &mut Text<'_>) -> Result<Self, Error> {
        let mut builder = Builder::new(&name);
        let version = squad_json::parse(text, &mut builder).map_err(|wrong| text.cause(wrong))?;
        let examples = builder.finish()?;
        Ok(Self {
            name,
            examples,
            version,
        })
    }

    /// Reads several files into one set, in the order given.
    ///
    /// # Errors
    ///
    /// As [`Dataset::read`] for each file, and as [`Dataset::extend`] for an id that two files share.
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
