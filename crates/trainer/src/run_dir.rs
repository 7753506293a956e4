use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Error;

/// The folder that a run writes into. One that was made for the run and got no file goes again
/// when this is dropped.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    made: bool,
}

impl RunDir {
    /// Makes the folder and checks that it can be written to, before any work.
    ///
    /// # Errors
    /// If it cannot be made or written to, or already holds a run.
    pub fn create(path: &Path) -> Result<Self, Error> {
        if path.join("config.toml").exists() {
            return Err(Error::file(
                path,
                "already holds a run: give another --run-dir",
            ));
        }
        let made = !path.exists();
        std::fs::create_dir_all(path)
            .map_err(|e| Error::file(path, format!("cannot make the run folder: {e}")))?;
        let run_dir = Self {
            path: path.into(),
            made,
        };
        check_writable(path)
            .map_err(|e| Error::file(path, format!("cannot write into the run folder: {e}")))?;
        Ok(run_dir)
    }

    /// The first of `runs/NAME`, `runs/NAME-2`, … that does not exist.
    pub fn next_free(runs: &Path, name: &str) -> PathBuf {
        let numbered = (2..).map(|number| runs.join(format!("{name}-{number}")));
        std::iter::once(runs.join(name))
            .chain(numbered)
            .find(|path| !path.exists())
            .expect("one of endlessly many names is free")
    }

    /// A path in the folder.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a text file, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        write_whole(&self.join(name), text)
    }

    /// Opens a file that grows a line at a time.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn lines(&self, name: &str) -> Result<Lines, Error> {
        let path = self.join(name);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        match file {
            Ok(file) => Ok(Lines { path, file }),
            Err(e) => Err(Error::file(&path, e)),
        }
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if self.made {
            // Refused, as it should be, where the folder has anything in it.
            let _ = std::fs::remove_dir(&self.path);
        }
    }
}

/// A file of JSON lines.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    file: File,
}

impl Lines {
    /// Appends one line.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn push(&mut self, value: &serde_json::Value) -> Result<(), Error> {
        // One call, so that a reader meanwhile sees whole lines.
        let line = format!("{value}\n");
        self.file
            .write_all(line.as_bytes())
            .map_err(|e| Error::file(&self.path, e))
    }
}

/// Writes a file of a few bytes into a folder and removes it again.
pub(crate) fn check_writable(folder: &Path) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(b"can this be written?")?;
    file.close()
}

/// Writes a text file under a temporary name beside `path` and renames it.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    write().map_err(|e| Error::file(path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_gets_a_folder_of_its_own() {
        let runs = tempfile::tempdir().unwrap();
        let first = RunDir::next_free(runs.path(), "quickstart");
        let dir = RunDir::create(&first).unwrap();
        dir.write("config.toml", "x = 1\n").unwrap();
        assert_eq!(
            RunDir::next_free(runs.path(), "quickstart"),
            runs.path().join("quickstart-2")
        );
        let error = RunDir::create(&first).unwrap_err().to_string();
        assert!(error.contains("already holds a run"), "{error}");
    }

    #[test]
    fn a_folder_that_got_no_file_goes_again_but_not_one_that_was_there() {
        let runs = tempfile::tempdir().unwrap();
        let path = runs.path().join("a/b");
        drop(RunDir::create(&path).unwrap());
        assert!(!path.exists());
        drop(RunDir::create(runs.path()).unwrap());
        assert!(runs.path().exists());
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("target");
        std::fs::create_dir(&path).unwrap(); // a folder in the way: the rename fails
        let error = write_whole(&path, "text").unwrap_err().to_string();
        assert!(error.contains("target"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
