use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use run_log::CONFIG;

use crate::Error;

const LOCK: &str = ".lock";

/// The folder of a run, locked against other processes. A folder that was created for the run and got no file is removed
/// on drop.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    made: bool,
    /// The lock ends with the process.
    _lock: File,
}

impl RunDir {
    /// Creates the folder and checks that it is writable.
    ///
    /// # Errors
    /// If it cannot be created or written to, holds a run, or is used by another process.
    pub fn create(path: &Path) -> Result<Self, Error> {
        if path.join(CONFIG).exists() {
            return Err(Error::file(
                path,
                "already holds a run: give another --run-dir, or go on with --resume",
            ));
        }
        let made = !path.exists();
        std::fs::create_dir_all(path)
            .map_err(|e| Error::file(path, format!("cannot make the run folder: {e}")))?;
        Self::open(path, made).inspect_err(|_| {
            if made {
                // Fails if the folder is not empty, as it should.
                let _ = std::fs::remove_dir(path);
            }
        })
    }

    /// Opens the folder of a run to resume.
    ///
    /// # Errors
    /// If it holds no run, is not writable, or is used by another process.
    pub fn resume(path: &Path) -> Result<Self, Error> {
        Self::config_in(path)?;
        Self::open(path, false)
    }

    /// The path of a run's configuration file.
    ///
    /// # Errors
    /// If the folder holds no run.
    pub fn config_in(path: &Path) -> Result<PathBuf, Error> {
        let config = path.join(CONFIG);
        if config.is_file() {
            return Ok(config);
        }
        Err(Error::file(
            path,
            "holds no run to resume: it has no config.toml",
        ))
    }

    fn open(path: &Path, made: bool) -> Result<Self, Error> {
        let fault =
            |e: std::io::Error| Error::file(path, format!("cannot write into the run folder: {e}"));
        check_writable(path).map_err(fault)?;
        let lock = path.join(LOCK);
        let file = File::options().create(true).append(true).open(&lock);
        let file = file.map_err(fault)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::file(
                    path,
                    "another process is running in this folder: wait for it, or give another one",
                ));
            }
            // Some network file systems do not support locks.
            Err(TryLockError::Error(e)) => {
                tracing::warn!(
                    "{}: cannot be locked ({e}); start no second run here",
                    path.display()
                );
            }
        }
        Ok(Self {
            path: path.into(),
            made,
            _lock: file,
        })
    }

    /// Checks that the folder still exists: saving would silently create it again.
    ///
    /// # Errors
    /// If it was removed or moved.
    pub(crate) fn still_there(&self) -> Result<(), Error> {
        if self.join(CONFIG).exists() {
            return Ok(());
        }
        Err(Error::file(
            &self.path,
            "the run folder is gone: it was removed or moved during the run",
        ))
    }

    /// The first of `runs/NAME`, `runs/NAME-2`, … that does not exist.
    pub fn next_free(runs: &Path, name: &str) -> PathBuf {
        let numbered = (2..).map(|number| runs.join(format!("{name}-{number}")));
        std::iter::once(runs.join(name))
            .chain(numbered)
            .find(|path| !path.exists())
            .expect("there are infinitely many names")
    }

    /// A path in the folder.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a text file, which appears whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        Ok(atomic_fs::write_file(self.join(name), text)?)
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        let names = |entries: std::fs::ReadDir| entries.flatten().map(|entry| entry.file_name());
        let is_empty =
            std::fs::read_dir(&self.path).is_ok_and(|e| names(e).all(|name| name == LOCK));
        if self.made && is_empty {
            // An error while dropping cannot be reported.
            let _ = std::fs::remove_file(self.join(LOCK));
            let _ = std::fs::remove_dir(&self.path);
        }
    }
}

/// Checks that a folder is writable, with a temporary file.
pub(crate) fn check_writable(folder: &Path) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(b"can this be written?")?;
    file.close()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_free_folder_is_numbered() {
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
    fn two_processes_cannot_use_one_folder() {
        let runs = tempfile::tempdir().unwrap();
        let path = runs.path().join("run");
        let first = RunDir::create(&path).unwrap();
        let refused = |result: Result<RunDir, Error>, part: &str| {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        refused(RunDir::create(&path), "another process is running");
        refused(RunDir::resume(&path), "holds no run");
        first.write(CONFIG, "").unwrap();
        refused(RunDir::resume(&path), "another process is running");
        drop(first);
        refused(RunDir::create(&path), "already holds a run");
        RunDir::resume(&path).unwrap();
    }

    #[test]
    fn drop_removes_an_empty_folder_only_if_it_was_created() {
        let runs = tempfile::tempdir().unwrap();
        let path = runs.path().join("a/b");
        drop(RunDir::create(&path).unwrap());
        assert!(!path.exists());
        drop(RunDir::create(runs.path()).unwrap());
        assert!(runs.path().exists());
    }
}
