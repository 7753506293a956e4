use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::Error;

/// The file that a download is appended to, locked against other processes. It stays when a download
/// fails, so that a later one can go on from it; an empty one is removed.
pub(crate) struct PartFile {
    path: PathBuf,
    file: File,
    len: u64,
}

impl PartFile {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let fault = |message: String| Error::File {
            path: path.into(),
            message,
        };
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = std::fs::create_dir_all(folder)
            .and_then(|()| options.open(path))
            .map_err(|e| fault(e.to_string()))?;
        // On a file system without locks nothing protects the file.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(fault(
                "another download is writing it: wait for that one".into(),
            ));
        }
        let len = file.seek(SeekFrom::End(0));
        Ok(Self {
            path: path.into(),
            len: len.map_err(|e| fault(e.to_string()))?,
            file,
        })
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|e| self.error(e))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    pub(crate) fn clear(&mut self) -> Result<(), Error> {
        let cleared = self.file.set_len(0).and_then(|()| self.file.rewind());
        cleared.map_err(|e| self.error(e))?;
        self.len = 0;
        Ok(())
    }

    pub(crate) fn sha256(&self) -> Result<String, Error> {
        sha256_of_file(&self.path).map_err(|e| self.error(e))
    }

    /// Gives the finished file its name.
    pub(crate) fn finish(self, target: &Path) -> Result<(), Error> {
        Ok(atomic_fs::rename_file(&self.path, target)?)
    }

    fn error(&self, error: std::io::Error) -> Error {
        Error::File {
            path: self.path.clone(),
            message: error.to_string(),
        }
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if self.len == 0 {
            // What cannot be removed stays, empty.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The SHA-256 of a file's bytes as 64 lower-case hexadecimal digits.
///
/// # Errors
/// If the file cannot be read.
pub fn sha256_of_file(path: &Path) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    std::io::copy(&mut File::open(path)?, &mut hasher)?;
    let digest = hasher.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_abc_is_that_of_the_standard() {
        let folder = test_support::temp_dir();
        let path = folder.path().join("file");
        std::fs::write(&path, "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_of_file(&path).unwrap(), abc);
    }
}
