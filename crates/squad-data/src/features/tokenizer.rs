//! A BERT-family tokenizer as question answering needs it.

use std::path::{Path, PathBuf};

use tokenizers::Tokenizer;

use crate::error::{Error, one_line};

/// A `tokenizer.json` with truncation and padding switched off and the ids that frame a window.
///
/// Sentence-embedding models ship a `tokenizer.json` that truncates to 128 tokens and pads; windows must see the whole
/// text, so both are switched off here and in what [`QaTokenizer::save`] writes.
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
    cls_id: u32,
    sep_id: u32,
    vocab_size: usize,
}

/// A tokenised text without special tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Vocabulary ids, `[tokens]`.
    pub ids: Vec<u32>,
    /// For each token, the range of Unicode code points of the text that it stands for, `[tokens]`.
    pub offsets: Vec<(u32, u32)>,
}

impl QaTokenizer {
    /// Loads a `tokenizer.json`, or the one in a directory.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is not a tokenizer, or lacks `[CLS]` or `[SEP]`.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let path: PathBuf = if path.is_dir() {
            path.join("tokenizer.json")
        } else {
            path.to_owned()
        };
        let bytes = std::fs::read(&path).map_err(|error| Error::read(&path, error))?;
        Self::from_bytes(&path.display().to_string(), &bytes)
    }

    /// Loads a `tokenizer.json` from memory; `name` is what messages call it.
    ///
    /// # Errors
    ///
    /// Bytes that are not a tokenizer, or a tokenizer without `[CLS]` or `[SEP]`.
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
        let special = |token| {
            let missing = Error::MissingToken {
                file: name.to_owned(),
                token,
            };
            tokenizer.token_to_id(token).ok_or(missing)
        };
        let (cls_id, sep_id) = (special("[CLS]")?, special("[SEP]")?);
        let vocab_size = tokenizer.get_vocab_size(true);
        Ok(Self {
            tokenizer,
            name: name.to_owned(),
            cls_id,
            sep_id,
            vocab_size,
        })
    }

    /// The file it was loaded from, as messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of entries in the vocabulary, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// One more than the largest id: the rows that a word embedding must have. More than
    /// [`QaTokenizer::vocab_size`] where the vocabulary leaves ids out.
    pub fn num_ids(&self) -> usize {
        let largest = self.tokenizer.get_vocab(true).into_values().max();
        largest.map_or(0, |id| id as usize + 1)
    }

    /// Id of `[CLS]`, the first token of every window.
    pub fn cls_id(&self) -> u32 {
        self.cls_id
    }

    /// Id of `[SEP]`, which ends the question and the context.
    pub fn sep_id(&self) -> u32 {
        self.sep_id
    }

    /// The vocabulary entry with this id.
    pub fn token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// Tokenises a text: no special tokens, no truncation, offsets in Unicode code points.
    ///
    /// # Errors
    ///
    /// A word that the vocabulary cannot express where it has no unknown token either.
    pub fn encode(&self, text: &str) -> Result<Encoding, Error> {
        let encoding = self
            .tokenizer
            .encode_char_offsets(text, false)
            .map_err(|error| Error::Tokenizer {
                file: self.name.clone(),
                problem: format!("cannot tokenise a text: {}", one_line(&error)),
            })?;
        let offsets = encoding.get_offsets().iter();
        Ok(Encoding {
            ids: encoding.get_ids().to_vec(),
            offsets: offsets
                .map(|&(start, end)| (saturating_u32(start), saturating_u32(end)))
                .collect(),
        })
    }

    /// Writes the tokenizer as `tokenizer.json` in Hugging Face's format, truncation and padding off, into `path` (or
    /// into `tokenizer.json` below it, where it is a directory). The file appears whole or not at all.
    ///
    /// # Errors
    ///
    /// A path that cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let path: PathBuf = if path.is_dir() {
            path.join("tokenizer.json")
        } else {
            path.to_owned()
        };
        let json = self
            .tokenizer
            .to_string(true)
            .map_err(|error| Error::Tokenizer {
                file: self.name.clone(),
                problem: format!("cannot be written as JSON: {}", one_line(&error)),
            })?;
        atomic_fs::write_file(&path, json).map_err(|error| Error::write(&path, error.source))
    }
}

impl std::fmt::Debug for QaTokenizer {
    /// Without the vocabulary, which is long.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QaTokenizer")
            .field("name", &self.name)
            .field("vocab_size", &self.vocab_size)
            .finish_non_exhaustive()
    }
}

/// Offsets fit: [`crate::Dataset`] refuses contexts of 4 GiB, and a longer text from elsewhere is beyond any window.
fn saturating_u32(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
