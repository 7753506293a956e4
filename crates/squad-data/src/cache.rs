//! Windows kept on disk, so that a second run need not tokenise.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::cache_file::{decode, encode, hex};
use crate::error::Error;
use crate::example::Example;
use crate::feature::Feature;
use crate::tokenizer::QaTokenizer;
use crate::window_options::{StrideKind, WindowOptions};
use crate::windows::make_features;

/// A folder of windows that were made before.
///
/// A file's name is a digest of everything that [`make_features`] depends on: the examples' ids, questions, contexts and
/// answers in their order, the bytes of the tokenizer's file, every option, and [`FeatureCache::VERSION`]. Whatever
/// changes, another file is meant; old ones are never deleted.
///
/// A file holds a checksum over all its bytes. One that is damaged in any way is made again, and so is one whose name is
/// not its content's. Files appear whole or not at all, so several processes may share a folder.
///
/// ```
/// use squad_data::{Example, FeatureCache, QaTokenizer, WindowOptions, make_features};
/// # use std::path::Path;
/// # let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tokenizer.json"));
/// # let folder = tempfile::tempdir().unwrap();
/// let tokenizer = QaTokenizer::from_file(path)?;
/// let examples = [Example::new("q1", "who ate?", "the old cat ate")];
/// let options = WindowOptions::default();
///
/// let cache = FeatureCache::new(folder.path());
/// let made = cache.get_or_make(&examples, &tokenizer, &options)?;
/// let read = cache.get_or_make(&examples, &tokenizer, &options)?;
/// assert!(!made.read && read.read);
/// assert_eq!(read.features, make_features(&examples, &tokenizer, &options)?);
/// # Ok::<(), squad_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FeatureCache {
    folder: PathBuf,
}

/// Windows from a [`FeatureCache`], and how it came by them.
#[derive(Debug)]
pub struct CachedFeatures {
    /// The windows, equal to what [`make_features`] makes.
    pub features: Vec<Feature>,
    /// The file for these windows.
    pub path: PathBuf,
    /// Whether they were read from the file; otherwise they were made.
    pub read: bool,
    /// Why a file that was there could not be used.
    pub damage: Option<String>,
    /// Why windows that were made could not be kept. The next run makes them again.
    pub not_kept: Option<Error>,
}

impl CachedFeatures {
    /// One line for a user: what was done, and what is wrong with the folder if anything is.
    pub fn notice(&self) -> String {
        let count = self.features.len();
        let path = self.path.display();
        let damage = self.damage.as_ref();
        let damage = damage.map_or(String::new(), |why| {
            format!(" (the file there was no use: {why})")
        });
        match &self.not_kept {
            _ if self.read => format!("{count} windows read from {path}"),
            None => format!("{count} windows made and kept in {path}{damage}"),
            Some(error) => format!("{count} windows made but not kept: {error}{damage}"),
        }
    }
}

impl FeatureCache {
    /// Version of what [`make_features`] makes and of the file's layout. It rises with every change by which the same
    /// examples, tokenizer and options give other windows (a release of `tokenizers` that splits a text in another
    /// way, another rule for labels, another field in [`Feature`]) or the same windows another file. A test holds the
    /// digest of known windows against it.
    pub const VERSION: u32 = 1;

    /// A cache in a folder, which is created when the first windows are kept.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The windows of [`make_features`]: read, where they were kept before, and otherwise made and kept.
    ///
    /// A folder that cannot be written or a damaged file is no error; [`CachedFeatures`] tells.
    ///
    /// # Errors
    ///
    /// As [`make_features`].
    pub fn get_or_make(
        &self,
        examples: &[Example],
        tokenizer: &QaTokenizer,
        options: &WindowOptions,
    ) -> Result<CachedFeatures, Error> {
        options.validate()?;
        let key = key(examples, tokenizer, options);
        let path = self.folder.join(format!("{}.safetensors", &key[..32]));
        let damage = match std::fs::read(&path) {
            Ok(bytes) => match decode(&bytes, &key, examples.len()) {
                Ok(features) => {
                    return Ok(CachedFeatures {
                        features,
                        path,
                        read: true,
                        damage: None,
                        not_kept: None,
                    });
                }
                Err(damage) => Some(damage),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => Some(error.to_string()),
        };
        let features = make_features(examples, tokenizer, options)?;
        let kept = encode(&features, &key).and_then(|bytes| self.write(&path, &bytes));
        Ok(CachedFeatures {
            features,
            read: false,
            damage,
            not_kept: kept.err().map(|error| Error::write(&path, error)),
            path,
        })
    }

    /// Writes under a name that no other process has, then renames.
    fn write(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let mut number = 0;
        let (partial, mut file) = loop {
            let partial = path.with_extension(format!("{}-{number}.partial", std::process::id()));
            match std::fs::File::create_new(&partial) {
                Ok(file) => break (partial, file),
                // Left behind by a process that was killed, or in use on another machine.
                Err(error) if error.kind() == ErrorKind::AlreadyExists && number < 100 => {
                    number += 1;
                }
                Err(error) => return Err(error),
            }
        };
        let written = file
            .write_all(bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::rename(&partial, path));
        written.inspect_err(|_| {
            // The first error is the one to tell; a leftover is removed where that is possible.
            let _ = std::fs::remove_file(&partial);
        })
    }
}

/// SHA-256, in hexadecimal digits, of everything that the windows depend on. Texts go in with their lengths, so that no
/// two inputs are the same bytes.
fn key(examples: &[Example], tokenizer: &QaTokenizer, options: &WindowOptions) -> String {
    let mut key = Key(Sha256::new());
    key.number(FeatureCache::VERSION as usize);
    key.0.update(tokenizer.content_digest());
    // By name, so that an option which is added later is not forgotten.
    let WindowOptions {
        max_seq_length,
        doc_stride,
        stride,
        max_query_length,
    } = options;
    key.number(*max_seq_length);
    key.number(*doc_stride);
    key.number(match stride {
        StrideKind::Overlap => 0,
        StrideKind::Step => 1,
    });
    key.number(max_query_length.map_or(0, |limit| limit));
    key.number(examples.len());
    let mut previous = None;
    for example in examples {
        key.text(&example.id);
        key.text(&example.question);
        // Questions of one paragraph follow each other: its text is hashed once.
        key.number(usize::from(previous == Some(&example.context)));
        if previous != Some(&example.context) {
            key.text(&example.context);
        }
        previous = Some(&example.context);
        key.number(example.answers.len());
        for answer in &example.answers {
            key.number(answer.start);
            key.text(&answer.text);
        }
    }
    hex(&key.0.finalize())
}

struct Key(Sha256);

impl Key {
    fn number(&mut self, number: usize) {
        self.0.update((number as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.update(text);
    }
}
