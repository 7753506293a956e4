//! Temporary files and folders, and what killed processes leave of them.

use std::ffi::{OsStr, OsString};
use std::fs::{DirEntry, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use tempfile::{Builder, NamedTempFile, TempDir};

use crate::{Error, entries, error, parent};

/// How the names of temporary files and folders begin.
pub(crate) const TEMPORARY_PREFIX: &str = ".writing-";

/// A folder beside `path`, for what becomes that file or folder; its parent must exist. Leftovers of
/// killed processes that did the same are removed.
///
/// # Errors
/// If it cannot be made.
pub fn temporary_folder(path: impl AsRef<Path>) -> Result<TemporaryFolder, Error> {
    let path = path.as_ref();
    let prefix = prefix(path);
    remove_leftovers_of(path);
    let make = || builder(&prefix, 0o777).tempdir_in(parent(path));
    let lock = |folder: &TempDir| match File::open(folder.path()) {
        Ok(file) => try_lock(&file, folder.path()).then_some(Some(file)),
        // Some systems do not open folders.
        Err(_) => folder.path().exists().then_some(None),
    };
    let (folder, lock) = make_locked(make, lock).map_err(|e| error(path, e))?;
    Ok(TemporaryFolder {
        folder,
        _lock: lock,
    })
}

/// A folder that is removed on drop, or by [`temporary_folder`] if this process is killed.
#[derive(Debug)]
pub struct TemporaryFolder {
    folder: TempDir,
    _lock: Option<File>,
}

impl TemporaryFolder {
    /// The folder's path.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Removes the folder, and says if that fails.
    pub(crate) fn close(self) -> io::Result<()> {
        self.folder.close()
    }
}

/// A file beside `target`, for what becomes that file. Leftovers of killed processes are removed.
pub(crate) fn temporary_file(target: &Path) -> io::Result<NamedTempFile> {
    let prefix = prefix(target);
    remove_leftovers_of(target);
    let make = || builder(&prefix, 0o666).tempfile_in(parent(target));
    let lock = |file: &NamedTempFile| try_lock(file.as_file(), file.path()).then_some(());
    make_locked(make, lock).map(|(file, ())| file)
}

/// Makes a temporary file or folder and locks it. Tries again if another process removes it before it is locked.
fn make_locked<T, L>(
    make: impl Fn() -> io::Result<T>,
    lock: impl Fn(&T) -> Option<L>,
) -> io::Result<(T, L)> {
    const MAX_TRIES: usize = 100;
    for _ in 0..MAX_TRIES {
        let made = make().map_err(without_path)?;
        if let Some(lock) = lock(&made) {
            return Ok((made, lock));
        }
    }
    Err(io::Error::other("a temporary file is removed by others"))
}

/// The operating system's error, to whose text `tempfile` adds the temporary path.
fn without_path(error: io::Error) -> io::Error {
    match error.to_string().split_once(" at path ") {
        Some((text, _)) => io::Error::new(error.kind(), text),
        None => error,
    }
}

/// Locks a temporary file or folder, where the file system has locks; whether it is this process's and
/// still there.
fn try_lock(file: &File, path: &Path) -> bool {
    !matches!(file.try_lock(), Err(TryLockError::WouldBlock)) && path.exists()
}

/// Temporary files and folders that others may read as far as the umask allows; the default of
/// `tempfile` is the owner alone.
fn builder(prefix: &OsStr, mode: u32) -> Builder<'_, '_> {
    let mut builder = Builder::new();
    builder.prefix(prefix);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = mode;
    builder
}

/// How the name of the temporary file begins that becomes the file `path`.
fn prefix(path: &Path) -> OsString {
    // The whole name may be too long for a file system.
    const MAX_NAME: usize = 200;
    let mut prefix = OsString::from(TEMPORARY_PREFIX);
    let name = path.file_name().filter(|name| name.len() <= MAX_NAME);
    if let Some(name) = name {
        prefix.push(name);
        prefix.push("-");
    }
    prefix
}

/// Removes the temporary files and folders that killed processes have left in `folder`. Nobody may
/// write there meanwhile. What cannot be removed stays.
pub fn remove_leftovers(folder: impl AsRef<Path>) {
    for (entry, _) in temporary(folder.as_ref(), TEMPORARY_PREFIX.as_ref()) {
        remove(&entry);
    }
}

/// Removes what killed processes have left when they wrote the file or folder `path`.
fn remove_leftovers_of(path: &Path) {
    let prefix = prefix(path);
    if prefix == TEMPORARY_PREFIX {
        return;
    }
    for (entry, random) in temporary(parent(path), &prefix) {
        // Behind a dash is another file's name.
        if !random.contains(&b'-') && is_abandoned(&entry) {
            remove(&entry);
        }
    }
}

/// Whether no living process holds a temporary file or folder, as far as the file system can say.
fn is_abandoned(entry: &DirEntry) -> bool {
    let kind = entry.file_type();
    let open = |options: &mut OpenOptions| options.open(entry.path());
    let file = match kind {
        Ok(kind) if kind.is_dir() => open(OpenOptions::new().read(true)),
        // Network file systems lock only what may be written.
        Ok(kind) if kind.is_file() => open(OpenOptions::new().read(true).write(true)),
        _ => return false,
    };
    file.is_ok_and(|file| file.try_lock().is_ok())
}

/// The entries whose names begin with `prefix`, each with the rest of its name.
fn temporary(folder: &Path, prefix: &OsStr) -> Vec<(DirEntry, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in entries(folder).unwrap_or_default() {
        let name = entry.file_name();
        let rest = name
            .as_encoded_bytes()
            .strip_prefix(prefix.as_encoded_bytes());
        if let Some(rest) = rest {
            found.push((entry, rest.to_vec()));
        }
    }
    found
}

fn remove(entry: &DirEntry) {
    let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
    let _ = if is_folder {
        std::fs::remove_dir_all(entry.path())
    } else {
        std::fs::remove_file(entry.path())
    };
}

#[cfg(test)]
mod tests {
    use test_support::{files_below, temp_dir};

    use crate::{create_folder, names, remove_folder, replace_folder, write_file, write_file_with};

    use super::*;

    #[test]
    fn leftovers_are_removed_and_nothing_else() {
        let folder = temp_dir();
        for name in ["file", ".hidden", ".writing-a"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        create_folder(folder.path().join(".writing-b/new")).unwrap();
        std::fs::write(folder.path().join(".writing-b/new/file"), "").unwrap();
        remove_leftovers(&folder);
        assert_eq!(files_below(&folder), [".hidden", "file"]);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
        remove_leftovers(folder.path().join("missing"));
    }

    #[test]
    fn leftovers_are_those_of_the_name_that_nobody_holds() {
        let folder = temp_dir();
        let path = folder.path().join("file");
        let write = |name: &str| std::fs::write(folder.path().join(name), "").unwrap();
        // Of another file, and what a process left that was killed.
        for name in [".writing-file-2-x", ".writing-file-x", ".writing-x"] {
            write(name);
        }
        create_folder(folder.path().join(".writing-file-y/new")).unwrap();
        write_file_with(&path, |_| {
            // Another process may not remove this one's.
            write_file(&path, "second").unwrap();
            assert_eq!(names(&folder).unwrap().len(), 4);
            Ok(())
        })
        .unwrap();
        assert_eq!(
            files_below(&folder),
            [".writing-file-2-x", ".writing-x", "file"]
        );
        assert!(!folder.path().join(".writing-file-y").exists());
        let long = folder.path().join("n".repeat(250));
        write_file(&long, "").unwrap();
        assert!(long.is_file());
    }

    #[test]
    fn a_folder_that_is_being_written_is_no_leftover() {
        let parent = temp_dir();
        let folder = parent.path().join("folder");
        replace_folder(&folder, |new| {
            replace_folder(&folder, |other| write_file(other.join("file"), "first"))?;
            write_file(new.join("file"), "second")
        })
        .unwrap();
        assert_eq!(
            std::fs::read_to_string(folder.join("file")).unwrap(),
            "second"
        );
        create_folder(parent.path().join(".writing-folder-x/old")).unwrap();
        remove_folder(&folder).unwrap();
        assert!(names(&parent).unwrap().is_empty());
    }

    #[test]
    #[cfg(unix)]
    fn new_files_and_folders_have_the_permissions_of_any_other() {
        use std::os::unix::fs::PermissionsExt;
        let folder = temp_dir();
        let path = |name: &str| folder.path().join(name);
        let mode = |name| path(name).metadata().unwrap().permissions().mode();
        std::fs::write(path("plain file"), "").unwrap();
        std::fs::create_dir(path("plain folder")).unwrap();
        write_file(path("file"), "").unwrap();
        replace_folder(path("folder"), |_| Ok::<(), Error>(())).unwrap();
        assert_eq!(mode("file"), mode("plain file"));
        assert_eq!(mode("folder"), mode("plain folder"));
    }
}
