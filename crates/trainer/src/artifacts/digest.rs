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
        } else {
            digests.insert(name, sha256(&path)?);
        }
    }
    Ok(())
}

/// SHA-256 over names and contents of all files below a folder.
pub(crate) fn folder_digest(folder: &Path) -> Result<String, Error> {
    let digests = file_digests(folder)?;
    let lines = digests.iter().map(|(name, sha)| format!("{sha}  {name}\n"));
    Ok(text_digest(&lines.collect::<String>()))
}

pub(crate) fn text_digest(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))
}

pub(crate) fn sha256(path: &Path) -> Result<String, Error> {
    download::sha256_of_file(path).map_err(|e| Error::file(path, e))
}
