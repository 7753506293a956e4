use std::fs::{DirEntry, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use run_log::{BEST_MODEL_DIR, CHECKPOINTS_DIR, CONFIG, EVAL_DIR, METRICS, METRICS_LOG, MODEL_DIR};

use super::run_lock::{LOCK, LOCK_TIMEOUT, NotOpened, OWNER, RunLock, not_writable};
use crate::Error;

/// The folder of a run, locked against other processes. A folder that was created for the run and got no file is removed
/// on drop.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    is_new: bool,
    lock: RunLock,
}

impl RunDir {
    /// Creates the folder and checks that it is writable.
    ///
    /// # Errors
    /// If it cannot be created or written to, holds a run, a part of one or a file that a run would replace, or is used by
    /// another process.
    pub fn create(path: &Path) -> Result<Self, Error> {
        Self::check_no_run(path)?;
        let is_new = !path.exists();
        make_folder(path)?;
        let run_dir = Self::open(path, is_new, LOCK_TIMEOUT)?;
        // Another process may have begun and ended a run meanwhile.
        Self::check_no_run(path)?;
        Ok(run_dir)
    }

    /// Creates the first of `runs/NAME`, `runs/NAME-2`, … that does not exist or that a process has left which was killed
    /// before its run began. Processes that do this at once get different folders.
    ///
    /// # Errors
    /// If no folder can be created or written to.
    pub fn create_next(runs: &Path, name: &str) -> Result<Self, Error> {
        make_folder(runs)?;
        for number in 1_u32.. {
            let path = match number {
                1 => runs.join(name),
                number => runs.join(format!("{name}-{number}")),
            };
            match std::fs::create_dir(&path) {
                Ok(()) => atomic_fs::sync_folder(runs)?,
                Err(e) if e.kind() == ErrorKind::AlreadyExists && is_unused(&path) => {}
                Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(cannot_create(&path, e)),
            }
            match Self::open(&path, true, Duration::ZERO) {
                // Another process may have begun and ended a run meanwhile.
                Ok(run_dir) if is_unused(&path) => return Ok(run_dir),
                Ok(_) | Err(NotOpened::Taken(_)) => {}
                Err(NotOpened::Failed(error)) => return Err(error),
            }
        }
        Err(Error::file(runs, "every number is taken"))
    }

    /// Opens the folder of a run to resume.
    ///
    /// # Errors
    /// If it holds no run, is not writable, or is used by another process.
    pub fn resume(path: &Path) -> Result<Self, Error> {
        Self::config_in(path)?;
        Ok(Self::open(path, false, LOCK_TIMEOUT)?)
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

    fn check_no_run(path: &Path) -> Result<(), Error> {
        if path.join(CONFIG).exists() {
            return Err(Error::file(
                path,
                "already holds a run: give another --run-dir, or go on with --resume",
            ));
        }
        let holds = |name: &&str| {
            let path = path.join(name);
            path.exists() && !(path.is_dir() && is_unused(&path))
        };
        // A new run would append to the one and take up the other.
        if let Some(name) = [METRICS_LOG, CHECKPOINTS_DIR].into_iter().find(holds) {
            let message = format!(
                "holds {name} of a run without its {CONFIG}: give another --run-dir, or put {CONFIG} back and go on with --resume"
            );
            return Err(Error::file(path, message));
        }
        // They may be anyone's, also the model that the run starts from.
        let replaced = [MODEL_DIR, BEST_MODEL_DIR, EVAL_DIR, METRICS];
        if let Some(name) = replaced.into_iter().find(holds) {
            let message =
                format!("holds {name}, which the run would replace: give another --run-dir");
            return Err(Error::file(path, message));
        }
        Ok(())
    }

    fn open(path: &Path, is_new: bool, timeout: Duration) -> Result<Self, NotOpened> {
        let opened = RunLock::acquire(path, timeout, File::try_lock).map(|lock| Self {
            path: path.into(),
            is_new,
            lock,
        });
        let run_dir = opened.inspect_err(|_| {
            if is_new {
                // Fails if the folder is not empty, as it should.
                let _ = std::fs::remove_dir(path);
            }
        })?;
        check_writable(path).map_err(|e| NotOpened::Failed(not_writable(path, e)))?;
        run_dir.clean();
        Ok(run_dir)
    }

    /// Removes what killed processes have left half-written. Other processes are kept out by the lock.
    fn clean(&self) {
        for folder in ["", CHECKPOINTS_DIR, run_log::EVAL_DIR] {
            atomic_fs::remove_leftovers(self.join(folder));
        }
    }

    /// Checks that the folder still exists: saving would silently create it again.
    ///
    /// # Errors
    /// If it was removed or moved.
    pub(crate) fn check_exists(&self) -> Result<(), Error> {
        if self.join(CONFIG).exists() {
            return Ok(());
        }
        Err(Error::file(
            &self.path,
            "the run folder is gone: it was removed or moved during the run",
        ))
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
        let is_ours =
            |entry: &DirEntry| [LOCK, OWNER].iter().any(|name| entry.file_name() == *name);
        let is_empty =
            atomic_fs::entries(&self.path).is_ok_and(|entries| entries.iter().all(is_ours));
        self.lock.release();
        if self.is_new && is_empty {
            // An error while dropping cannot be reported.
            let _ = std::fs::remove_file(self.join(LOCK));
            let _ = std::fs::remove_dir(&self.path);
        }
    }
}

/// Whether a folder is empty but for what a killed process may leave: locks and half-written files.
fn is_unused(folder: &Path) -> bool {
    let is_hidden = |entry: &DirEntry| entry.file_name().as_encoded_bytes().starts_with(b".");
    atomic_fs::entries(folder).is_ok_and(|entries| entries.iter().all(is_hidden))
}

/// Makes a folder and its parents, and syncs them to the disk.
fn make_folder(path: &Path) -> Result<(), Error> {
    atomic_fs::create_folder(path).map_err(|e| cannot_create(path, e.source))
}

fn cannot_create(path: &Path, error: std::io::Error) -> Error {
    let cause = if path.is_file() {
        "a file has this name".to_owned()
    } else {
        error.to_string()
    };
    Error::file(path, format!("cannot make the run folder: {cause}"))
}

/// Checks that a folder is writable, with a temporary file.
pub(crate) fn check_writable(folder: &Path) -> std::io::Result<()> {
    // Without a name where the system can: a killed process leaves nothing.
    tempfile::tempfile_in(folder)?.write_all(b"can this be written?")
}

#[cfg(test)]
mod tests {
    use std::fs::TryLockError;

    use super::*;
    use crate::device::process::hostname;

    fn refused(result: Result<impl std::fmt::Debug, Error>, part: &str) {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn the_next_free_folder_is_numbered() {
        let runs = tempfile::tempdir().unwrap();
        let runs = runs.path().join("runs");
        let dirs: Vec<_> = std::iter::repeat_with(|| RunDir::create_next(&runs, "quickstart"))
            .take(3)
            .map(|dir| dir.unwrap())
            .collect();
        let names = ["quickstart", "quickstart-2", "quickstart-3"];
        assert!(
            dirs.iter()
                .map(RunDir::path)
                .eq(names.map(|n| runs.join(n)))
        );
        dirs[0].write("config.toml", "x = 1\n").unwrap();
        refused(RunDir::create(dirs[0].path()), "already holds a run");
        drop(dirs);
        // Folders without a run are removed.
        let next = RunDir::create_next(&runs, "quickstart").unwrap();
        assert_eq!(next.path(), runs.join("quickstart-2"));
    }

    #[test]
    fn a_folder_of_a_process_that_was_killed_before_its_run_is_taken() {
        let runs = tempfile::tempdir().unwrap();
        let path = |name: &str| runs.path().join(name);
        let next = || RunDir::create_next(runs.path(), "run").unwrap();
        for name in ["run", "run-2", "run-3"] {
            std::fs::create_dir(path(name)).unwrap();
            std::fs::write(path(name).join(LOCK), "").unwrap();
        }
        std::fs::write(path("run").join("notes.txt"), "").unwrap();
        std::fs::write(path("run-2/.writing-config.toml-x"), "").unwrap();
        let [second, third, fourth] = [next(), next(), next()];
        let dirs = [&second, &third, &fourth].map(|dir| dir.path().to_owned());
        assert_eq!(dirs, ["run-2", "run-3", "run-4"].map(path));
        assert!(!path("run-2/.writing-config.toml-x").exists());
        drop(second);
        assert!(!path("run-2").exists());
    }

    #[test]
    fn what_is_left_of_a_run_without_its_configuration_is_no_new_run() {
        for left in ["checkpoints/step-4/state.json", METRICS_LOG] {
            let run = tempfile::tempdir().unwrap();
            let file = run.path().join(left);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
            refused(
                RunDir::create(run.path()),
                "of a run without its config.toml",
            );
        }
    }

    #[test]
    fn what_a_run_would_replace_is_refused() {
        for name in [
            "model/config.json",
            "best/model.safetensors",
            "eval/predictions.json",
            "metrics.json",
            "model",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
            refused(
                RunDir::create(folder.path()),
                "which the run would replace: give another",
            );
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("model")).unwrap();
        std::fs::write(folder.path().join("notes.txt"), "").unwrap();
        RunDir::create(folder.path()).unwrap();
    }

    #[test]
    fn processes_that_start_at_once_get_different_folders() {
        let runs = tempfile::tempdir().unwrap();
        let start = std::sync::Barrier::new(8);
        let create = || {
            start.wait();
            RunDir::create_next(runs.path(), "run").unwrap()
        };
        let dirs: Vec<RunDir> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(create)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let mut paths: Vec<_> = dirs.iter().map(RunDir::path).collect();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), 8);
    }

    #[test]
    fn two_processes_cannot_use_one_folder() {
        let runs = tempfile::tempdir().unwrap();
        let path = runs.path().join("run");
        let first = RunDir::create(&path).unwrap();
        let second = || -> Result<RunDir, Error> {
            Ok(RunDir::open(&path, false, Duration::from_millis(100))?)
        };
        refused(second(), "another process is running");
        refused(RunDir::resume(&path), "holds no run");
        first.write(CONFIG, "").unwrap();
        refused(second(), "another process is running");
        drop(first);
        refused(RunDir::create(&path), "already holds a run");
        RunDir::resume(&path).unwrap();
    }

    #[test]
    fn the_lock_of_a_process_that_ends_is_waited_for() {
        let runs = tempfile::tempdir().unwrap();
        let path = runs.path().join("run");
        let first = RunDir::create(&path).unwrap();
        first.write(CONFIG, "").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_secs(1));
                drop(first);
            });
            RunDir::resume(&path).unwrap();
        });
    }

    /// A file system without locks.
    fn no_locks(_: &File) -> Result<(), TryLockError> {
        Err(TryLockError::Error(ErrorKind::Unsupported.into()))
    }

    #[test]
    fn without_locks_a_file_names_the_owner() {
        let run = tempfile::tempdir().unwrap();
        let acquire = || -> Result<RunLock, Error> {
            Ok(RunLock::acquire(run.path(), Duration::ZERO, no_locks)?)
        };
        let owner = run.path().join(OWNER);
        let lock = acquire().unwrap();
        let text = std::fs::read_to_string(&owner).unwrap();
        assert_eq!(text, format!("{} {}", std::process::id(), hostname()));
        refused(acquire(), "remove");
        let run_dir = RunDir {
            path: run.path().into(),
            is_new: false,
            lock,
        };
        drop(run_dir);
        assert!(!owner.exists());
        // No process has the largest number.
        std::fs::write(&owner, format!("{} {}", i32::MAX, hostname())).unwrap();
        acquire().unwrap();
        std::fs::write(&owner, format!("{} elsewhere", i32::MAX)).unwrap();
        refused(acquire(), "on elsewhere");
    }

    #[test]
    fn what_killed_processes_left_is_removed() {
        let run = tempfile::tempdir().unwrap();
        let left = ["", "checkpoints/", "eval/"]
            .map(|folder| run.path().join(format!("{folder}.writing-x/model")));
        for folder in &left {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(folder.join("file"), "").unwrap();
            std::fs::write(folder.join("../../.writing-file"), "").unwrap();
        }
        let first = RunDir::create(run.path()).unwrap();
        assert!(left.iter().all(|folder| !folder.exists()));
        // Not by a process that is kept out.
        std::fs::create_dir_all(&left[0]).unwrap();
        let opened = RunDir::open(run.path(), false, Duration::ZERO);
        refused(opened.map_err(Error::from), "another");
        assert!(left[0].exists());
        drop(first);
        let names: Vec<_> = std::fs::read_dir(run.path().join("eval"))
            .unwrap()
            .collect();
        assert!(names.is_empty(), "{names:?}");
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
