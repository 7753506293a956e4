//! A folder for the files of this process, in memory where the system has such a folder.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use tempfile::TempDir;

// A static is never dropped: `cargo xtask fuzz` gives each process a TMPDIR of its own and removes it.
static FOLDER: LazyLock<TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("the folder for temporary files is writable"));

/// The path of a file or folder of this process.
pub(crate) fn path(name: &str) -> PathBuf {
    FOLDER.path().join(name)
}

/// Writes a file of this process.
pub(crate) fn write(name: &str, bytes: &[u8]) -> PathBuf {
    let path = path(name);
    std::fs::write(&path, bytes).expect("a temporary file can be written");
    path
}

/// Removes a file or folder.
pub(crate) fn remove(path: &Path) {
    let _ = std::fs::remove_dir_all(path);
    let _ = std::fs::remove_file(path);
}

/// A folder with a copy of each of `files`, made once.
pub(crate) fn folder(name: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let folder = path(name);
    std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
    for (file, bytes) in files {
        std::fs::write(folder.join(file), bytes).expect("a temporary file can be written");
    }
    folder
}
