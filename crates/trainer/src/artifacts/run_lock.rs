//! Keeps other processes out of a run's folder.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Error;
use crate::device::process::{hostname, is_running};

pub(super) const LOCK: &str = ".lock";
/// Names the process of a run where the file system has no locks.
pub(super) const OWNER: &str = ".owner";
/// How long to wait for the lock of another process: one that was killed needs time to end.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// The lock of a process on a run's folder.
#[derive(Debug)]
pub(super) enum RunLock {
    /// It ends with the process.
    File { _file: File },
    /// Where the file system has no locks: a file that names this process. [`RunLock::release`] removes it, and a killed
    /// process leaves it behind.
    Owner(PathBuf),
}

/// Why a folder cannot be opened.
pub(super) enum NotOpened {
    /// Another process has it.
    Taken(Error),
    Failed(Error),
}

impl From<NotOpened> for Error {
    fn from(why: NotOpened) -> Self {
        match why {
            NotOpened::Taken(error) | NotOpened::Failed(error) => error,
        }
    }
}

impl RunLock {
    /// Waits until `timeout` for a lock of another process. `try_lock` is the file system's.
    pub(super) fn acquire(
        folder: &Path,
        timeout: Duration,
        try_lock: impl Fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Self, NotOpened> {
        const POLL: Duration = Duration::from_millis(50);
        let path = folder.join(LOCK);
        let taken = |message: &str| NotOpened::Taken(Error::file(folder, message));
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(|e| match e.kind() {
            ErrorKind::NotFound if !folder.exists() => {
                taken("another process has just removed this folder")
            }
            _ => NotOpened::Failed(not_writable(folder, e)),
        })?;
        let started = Instant::now();
        loop {
            match try_lock(&file) {
                Ok(()) if is_same_file(&file, &path) => return Ok(Self::File { _file: file }),
                Ok(()) => return Err(taken("another process has just removed this folder")),
                Err(TryLockError::WouldBlock) if started.elapsed() < timeout => {
                    std::thread::sleep(POLL);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(taken(
                        "another process is running in this folder: wait for it, or give another one",
                    ));
                }
                // Some network file systems do not support locks.
                Err(TryLockError::Error(_)) => return Self::write_owner_file(folder),
            }
        }
    }

    /// Writes the owner file, and replaces one of a process of this machine that has ended.
    fn write_owner_file(folder: &Path) -> Result<Self, NotOpened> {
        let path = folder.join(OWNER);
        let (host, here) = (hostname(), std::process::id());
        for _ in 0..2 {
            let created = File::options().write(true).create_new(true).open(&path);
            match created.and_then(|mut file| write!(file, "{here} {host}")) {
                Ok(()) => return Ok(Self::Owner(path)),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(NotOpened::Failed(not_writable(folder, e))),
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let (pid, other) = text.split_once(' ').unwrap_or((&text, ""));
            if other != host || pid.parse().is_ok_and(is_running) {
                let message = format!(
                    "process {pid} on {other} runs in this folder, whose file system has no locks; if that process has \
                     ended, remove {}",
                    path.display()
                );
                return Err(NotOpened::Taken(Error::file(folder, message)));
            }
            let _ = std::fs::remove_file(&path);
        }
        let message = "another process has just begun a run here";
        Err(NotOpened::Taken(Error::file(folder, message)))
    }

    /// Removes the owner file; the lock of a file ends when it is dropped.
    pub(super) fn release(&self) {
        if let Self::Owner(path) = self {
            // An error while dropping cannot be reported.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Whether an open file still has its name: whoever gives up a new folder removes it with its lock.
fn is_same_file(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let of = |found: std::io::Result<std::fs::Metadata>| found.ok().map(|f| (f.dev(), f.ino()));
        of(file.metadata()) == of(path.metadata())
    }
    #[cfg(not(unix))]
    path.exists()
}

pub(super) fn not_writable(path: &Path, error: std::io::Error) -> Error {
    Error::file(path, format!("cannot write into the run folder: {error}"))
}
