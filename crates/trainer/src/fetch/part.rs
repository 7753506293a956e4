//! The file that a download grows in.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::artifacts::digest::sha256_of;

/// `NAME.part`, which only this process writes. It is kept where it has something that a later
/// download can go on from, and goes when it is empty.
pub(super) struct Part {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Part {
    /// Opens what an earlier download left, or begins.
    pub(super) fn open(path: PathBuf) -> Result<Self, Error> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| Error::file(&path, e))?;
        // A file system without locks is no reason not to download.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(Error::file(
                &path,
                "another download is writing it: wait for that one",
            ));
        }
        let mut part = Self {
            path,
            file,
            length: 0,
        };
        part.length = part
            .file
            .seek(SeekFrom::End(0))
            .map_err(|e| part.error(e))?;
        Ok(part)
    }

    pub(super) fn len(&self) -> u64 {
        self.length
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|e| self.error(e))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Throws away what is there.
    pub(super) fn clear(&mut self) -> Result<(), Error> {
        self.file.set_len(0).map_err(|e| self.error(e))?;
        self.file
            .seek(SeekFrom::Start(0))
            .map_err(|e| self.error(e))?;
        self.length = 0;
        Ok(())
    }

    pub(super) fn sha256(&mut self) -> Result<String, Error> {
        self.file
            .seek(SeekFrom::Start(0))
            .map_err(|e| self.error(e))?;
        let digest = sha256_of(&mut self.file).map_err(|e| self.error(e))?;
        self.file
            .seek(SeekFrom::End(0))
            .map_err(|e| self.error(e))?;
        Ok(digest)
    }

    /// Gives the finished file its name.
    pub(super) fn finish(self, target: &Path) -> Result<(), Error> {
        self.file.sync_all().map_err(|e| self.error(e))?;
        std::fs::rename(&self.path, target).map_err(|e| Error::file(target, e))
    }

    fn error(&self, error: std::io::Error) -> Error {
        Error::file(&self.path, error)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.length == 0 {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
