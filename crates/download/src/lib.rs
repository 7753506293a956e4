//! One resumable HTTP download: a file appears under its name whole and checked, or not at all.
//!
//! A [`Client`] fetches a [`Download`] from the first of its URLs that has it. Bytes are appended to
//! a part file, which a later call goes on from (`Range`, with `If-Range` where an `ETag` is known).
//! Size and SHA-256 are checked before the part gets its name. Dropped connections, silent servers
//! and the statuses 408, 429 and 5xx are retried with growing waits; `Retry-After` is obeyed.
//! A server that sends more bytes than expected, or compressed ones, is refused.

mod client;
mod file;
mod part;
mod url;

pub use client::{Client, DownloadOptions, Head};
pub use file::{Download, Size};
pub use part::sha256_of_file;
pub use url::{check_url, redacted, url_in_folder};

use std::path::PathBuf;

/// What happens during a download.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DownloadEvent<'a> {
    /// Bytes of a file that are on the disk, those of an earlier download included.
    Bytes {
        /// The file's name in messages.
        file: &'a str,
        /// Bytes so far.
        bytes: u64,
        /// Bytes of the whole file, if known.
        size: Option<u64>,
    },
    /// One line about what is asked for, or what failed and what is done about it.
    Message(&'a str),
}

/// Why a file could not be had, in one line. URLs stand in it without user names, passwords and
/// queries.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No URL has the file.
    #[error("{}", attempts.join("; "))]
    Unavailable {
        /// What came of each URL, as `URL: REASON`.
        attempts: Vec<String>,
    },
    /// A text that is no URL.
    #[error("{0:?} is not a URL that begins with http:// or https://")]
    Url(String),
    /// A file on this machine that cannot be written, or that another process writes.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's message, or what to do.
        message: String,
    },
}

impl From<atomic_fs::Error> for Error {
    fn from(error: atomic_fs::Error) -> Self {
        Self::File {
            path: error.path,
            message: error.source.to_string(),
        }
    }
}

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
