//! The tokenizer of an encoder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use tokenizers::Tokenizer;

use crate::error::{Error, one_line};
use crate::features::pair_template::PairTemplate;

/// The tokenizer of an encoder, loaded from its `tokenizer.json`.
///
/// Its post-processor says which special tokens stand around a question and its context ([`PairTemplate`]).
///
/// Truncation and padding are switched off, also in the file that [`QaTokenizer::save`] writes: features need the whole
/// text, and sentence-embedding models ship a `tokenizer.json` that truncates to 128 tokens and pads.
///
/// ```
/// use std::path::Path;
/// use squad_data::QaTokenizer;
///
/// # let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tokenizer.json"));
/// let tokenizer = QaTokenizer::from_file(path)?;
/// let tokens = tokenizer.encode("a naïve 🙂")?;
/// assert_eq!(tokens.ids.len(), tokens.offsets.len());
/// assert_eq!(tokens.offsets[1].0, 2); // the second token starts at the third character
/// # Ok::<(), squad_data::Error>(())
/// ```
#[derive(Clone)]
pub struct QaTokenizer {
    tokenizer: Tokenizer,
    name: String,
    template: Arc<PairTemplate>,
    vocab_size: usize,
}

/// A tokenized text, without special tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Vocabulary ids, `[tokens]`.
    pub ids: Vec<u32>,
    /// For each token its range in the text in Unicode code points, `[tokens]`.
    pub offsets: Vec<(u32, u32)>,
}

impl QaTokenizer {
    /// Loads a `tokenizer.json`, or the one in a directory.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is no tokenizer, or its post-processor is missing or not supported.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let path = tokenizer_file(path);
        let bytes = std::fs::read(&path).map_err(|error| Error::read(&path, error))?;
        Self::from_bytes(&path.display().to_string(), &bytes)
    }

    /// Loads a `tokenizer.json` from memory. Messages call it `name`.
    ///
    /// # Errors
    ///
    /// The bytes are no tokenizer, or its post-processor is missing or not supported.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        let wrong = |error: tokenizers::Error| Error::Tokenizer {
            file: name.to_owned(),
            problem: format!(
                "not a tokenizer.json of the `tokenizers` library: {}",
                one_line(&error)
            ),
        };
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(wrong)?;
        tokenizer.with_truncation(None).map_err(wrong)?;
        tokenizer.with_padding(None);
        let template = pair_template(&tokenizer, bytes).map_err(|problem| Error::Tokenizer {
            file: name.to_owned(),
            problem,
        })?;
        let vocab_size = tokenizer.get_vocab_size(true);
        Ok(Self {
            tokenizer,
            name: name.to_owned(),
            template: Arc::new(template),
            vocab_size,
        })
    }

    /// The name that messages use: the file it was loaded from.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of entries in the vocabulary, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Number of rows that a word embedding needs: the largest id plus one. More than [`QaTokenizer::vocab_size`] if the
    /// vocabulary skips ids.
    pub fn num_ids(&self) -> usize {
        let largest = self.tokenizer.get_vocab(true).into_values().max();
        largest.map_or(0, |id| id as usize + 1)
    }

    /// The special tokens around a question and its context.
    pub fn pair_template(&self) -> &Arc<PairTemplate> {
        &self.template
    }

    /// The vocabulary entry with this id.
    pub fn token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// Tokenizes a text, without special tokens and truncation.
    ///
    /// # Errors
    ///
    /// The vocabulary cannot express a word and has no unknown token.
    pub fn encode(&self, text: &str) -> Result<Encoding, Error> {
        let encoding = self
            .tokenizer
            .encode_char_offsets(text, false)
            .map_err(|error| self.error(format!("cannot tokenize a text: {}", one_line(&error))))?;
        let offsets = encoding.get_offsets().iter();
        Ok(Encoding {
            ids: encoding.get_ids().to_vec(),
            offsets: offsets
                .map(|&(start, end)| (saturating_u32(start), saturating_u32(end)))
                .collect(),
        })
    }

    /// Writes the tokenizer as `tokenizer.json` in Hugging Face's format, without truncation and padding.
    ///
    /// `path` is the file, or a directory that gets a `tokenizer.json`. The file appears whole or not at all.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let path = tokenizer_file(path);
        let json = self.tokenizer.to_string(true).map_err(|error| {
            let problem = format!("cannot be written as JSON: {}", one_line(&error));
            self.error(problem)
        })?;
        atomic_fs::write_file(&path, json).map_err(|error| Error::write(&path, error.source))
    }

    fn error(&self, problem: String) -> Error {
        Error::Tokenizer {
            file: self.name.clone(),
            problem,
        }
    }
}

/// The post-processor's template, with ids that the vocabulary has.
fn pair_template(tokenizer: &Tokenizer, json: &[u8]) -> Result<PairTemplate, String> {
    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        post_processor: serde_json::Value,
    }
    let file: File = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let template = PairTemplate::from_post_processor(&file.post_processor)?;
    let unknown = template
        .special_ids()
        .find(|&id| tokenizer.id_to_token(id).is_none());
    match unknown {
        Some(id) => Err(format!(
            "post_processor has the id {id}, which the vocabulary does not have"
        )),
        None => Ok(template),
    }
}

/// `path`, or the `tokenizer.json` in it if it is a directory.
fn tokenizer_file(path: &Path) -> PathBuf {
    if path.is_dir() {
        path.join("tokenizer.json")
    } else {
        path.to_owned()
    }
}

impl std::fmt::Debug for QaTokenizer {
    /// Leaves out the vocabulary, which is long.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QaTokenizer")
            .field("name", &self.name)
            .field("vocab_size", &self.vocab_size)
            .finish_non_exhaustive()
    }
}

/// Offsets fit: [`crate::Dataset`] rejects contexts of 4 GiB, and no feature reaches that far into other texts.
fn saturating_u32(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
