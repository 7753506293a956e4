//! Writes a file or replaces a folder so that it appears whole or not at all, and reads texts.
//!
//! [`write_file`] and [`replace_folder`] write under a temporary name in the same folder, bring the
//! bytes to the disk (fsync), rename, and fsync the parent folder. A reader, a crash or a power
//! failure sees the old content or the new one. An error removes the temporary file or folder; a
//! killed process leaves one behind, which the next one that writes there removes.
//!
//! A process holds a lock on its temporary file or folder, so that nobody takes it for a leftover.
//! Where the file system has no locks, only [`remove_leftovers`] removes something.

mod file;
mod folder;
mod temporary;
mod text;

pub use file::{is_special, rename_file, sync_file, write_file, write_file_with};
pub use folder::{create_folder, entries, names, remove_folder, replace_folder, sync_folder};
pub use temporary::{TemporaryFolder, remove_leftovers, temporary_folder};
pub use text::{MAX_TEXT, read_text, read_text_from, without_bom};

use std::io;
use std::path::{Path, PathBuf};

/// A file or folder that could not be written, as `PATH: MESSAGE`.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct Error {
    /// The file or folder that was to be written.
    pub path: PathBuf,
    /// The operating system's error.
    pub source: io::Error,
}

fn error(path: &Path, source: io::Error) -> Error {
    Error {
        path: path.into(),
        source,
    }
}

fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    parent.unwrap_or(Path::new("."))
}

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
