//! SHA-256 of files and folders.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::Error;

/// SHA-256 of every file below a folder, as hexadecimal digits, by its path in the folder with `/`.
pub(crate) fn file_digests(folder: &Path) -> Result<BTreeMap<String, String>, Error> {
    let mut digests = BTreeMap::new();
    add(folder, "", &mut digests)?;
    Ok(digests)
}

fn add(folder: &Path, prefix: &str, digests: &mut BTreeMap<String, String>) -> Result<(), Error> {
    for entry in atomic_fs::entries(folder).map_err(|e| Error::file(folder, e))? {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        if path.is_dir() {
            add(&path, &format!("{name}/"), digests)?;
        } else if path.is_file() {
            digests.insert(name, sha256(&path)?);
        }
    }
    Ok(())
}

/// SHA-256 over names and contents of all files below a folder.
pub(crate) fn folder_digest(folder: &Path) -> Result<String, Error> {
    Ok(digest_of(&file_digests(folder)?))
}

/// SHA-256 of the files in a model folder, as hexadecimal digits: weights, configuration, tokenizer, and not the model card.
///
/// # Errors
/// If a file cannot be read.
pub fn model_digest(folder: &Path) -> Result<String, Error> {
    let mut digests = file_digests(folder)?;
    digests.retain(|name, _| !name.ends_with(".md"));
    Ok(digest_of(&digests))
}

fn digest_of(digests: &BTreeMap<String, String>) -> String {
    let lines = digests.iter().map(|(name, sha)| format!("{sha}  {name}\n"));
    text_digest(&lines.collect::<String>())
}

/// Adds a number to what is hashed.
pub(crate) fn add_number(hasher: &mut Sha256, number: usize) {
    hasher.update((number as u64).to_le_bytes());
}

/// Adds a text with its length, so that no two lists of texts give the same bytes.
pub(crate) fn add_text(hasher: &mut Sha256, text: &str) {
    add_number(hasher, text.len());
    hasher.update(text);
}

pub(crate) fn text_digest(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))
}

pub(crate) fn sha256(path: &Path) -> Result<String, Error> {
    download::sha256_of_file(path).map_err(|e| Error::file(path, e))
}
