use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use run_log::CONFIG;

use crate::Error;

const LOCK: &str = ".lock";

/// The folder that a run writes into, locked so that no other process does. One that was made for
/// the run and got no file goes again when this is dropped.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    made: bool,
    /// Unlocked when it is closed, however the process ends.
    _lock: File,
}

impl RunDir {
    /// Makes the folder and checks that it can be written to, before any work.
    ///
    /// # Errors
    /// If it cannot be made or written to, already holds a run, or another process uses it.
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
                // Refused, as it should be, where the folder has anything in it.
                let _ = std::fs::remove_dir(path);
            }
        })
    }

    /// Opens the folder of a run that is to go on.
    ///
    /// # Errors
    /// If it holds no run, cannot be written to, or another process uses it.
    pub fn resume(path: &Path) -> Result<Self, Error> {
        Self::config_in(path)?;
        Self::open(path, false)
    }

    /// The configuration file of the run in a folder.
    ///
    /// # Errors
    /// If the folder holds no run.
    pub fn config_in(path: &Path) -> Result<PathBuf, Error> {
        let config = path.join(CONFIG);
        match config.is_file() {
            true => Ok(config),
            false => Err(Error::file(
                path,
                "holds no run to go on with: it has no config.toml",
            )),
        }
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
            // Some network file systems have no locks.
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

    /// Whether the folder still is where the run began: saving would make it anew otherwise.
    ///
    /// # Errors
    /// If it was removed or moved.
    pub(crate) fn still_there(&self) -> Result<(), Error> {
        match self.join(CONFIG).exists() {
            true => Ok(()),
            false => Err(Error::file(
                &self.path,
                "the run folder is gone: it was removed or moved while the run went on",
            )),
        }
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
        Ok(atomic_fs::write_file(self.join(name), text)?)
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        let names = |entries: std::fs::ReadDir| entries.flatten().map(|entry| entry.file_name());
        let is_empty =
            std::fs::read_dir(&self.path).is_ok_and(|e| names(e).all(|name| name == LOCK));
        if self.made && is_empty {
            // What cannot be removed stays: there is nobody to tell.
            let _ = std::fs::remove_file(self.join(LOCK));
            let _ = std::fs::remove_dir(&self.path);
        }
    }
}

/// Writes a file of a few bytes into a folder and removes it again.
pub(crate) fn check_writable(folder: &Path) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(b"can this be written?")?;
    file.close()
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
    fn two_runs_cannot_have_one_folder() {
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
    fn a_folder_that_got_no_file_goes_again_but_not_one_that_was_there() {
        let runs = tempfile::tempdir().unwrap();
        let path = runs.path().join("a/b");
        drop(RunDir::create(&path).unwrap());
        assert!(!path.exists());
        drop(RunDir::create(runs.path()).unwrap());
        assert!(runs.path().exists());
    }
}
