//! Dataset files of known size and SHA-256, downloaded whole or not at all.

mod manifest;

use std::path::{Path, PathBuf};

use download::{Client, Download, DownloadEvent, DownloadOptions, Size, sha256_of_file};

use crate::Error;

pub use manifest::{DatasetFile, Manifest};

/// Mirrors, retries and timeouts of a download.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchOptions {
    /// URLs of folders that hold the files under their names, asked before the file's own URL.
    pub mirrors: Vec<String>,
    /// URLs of such folders, asked after the file's own URL.
    pub last_mirrors: Vec<String>,
    /// Retries and timeouts.
    pub requests: DownloadOptions,
}

/// Fetches a file into a folder, which is made if need be, and returns its path.
///
/// The file grows under the name `NAME.part`, which a later call resumes, and gets its own name
/// when size and SHA-256 are right. A file that is there already is checked and left as it is.
///
/// # Errors
/// If no URL has the file (the message has the error of each, and what to do), if there is a file of that name with other
/// content, if another process fetches it, or if it cannot be written.
pub fn fetch_file(
    file: &DatasetFile,
    folder: &Path,
    options: &FetchOptions,
    on_event: &mut dyn FnMut(DownloadEvent<'_>),
) -> Result<PathBuf, Error> {
    let urls = urls(file, options)?;
    let target = folder.join(&file.name);
    if target.exists() {
        check_present(file, &target)?;
        let line = format!("{} is there already", target.display());
        on_event(DownloadEvent::Message(&line));
        return Ok(target);
    }
    let download = Download {
        name: &file.name,
        urls: &urls,
        token: None,
        size: Size::Exactly(file.size),
        sha256: Some(&file.sha256),
        etag: None,
        part: folder.join(format!("{}.part", file.name)),
        target: target.clone(),
    };
    let client = Client::new(options.requests.clone());
    match client.download(&download, on_event) {
        Ok(()) => Ok(target),
        Err(download::Error::File { path, message }) => Err(Error::File { path, message }),
        Err(error) => {
            let (size, sha256) = (file.size, &file.sha256);
            Err(Error::file(
                &target,
                format!(
                    "{error}; give a mirror that has it (--mirror URL), or put the file there yourself ({size} bytes, sha256 {sha256})"
                ),
            ))
        }
    }
}

/// The URLs of a file: the user's mirrors, its own, the manifest's mirrors.
fn urls(file: &DatasetFile, options: &FetchOptions) -> Result<Vec<String>, Error> {
    let in_folder = |mirror: &String| match download::check_url(mirror) {
        Ok(()) => Ok(download::url_in_folder(mirror, &file.name)),
        Err(error) => Err(Error::config(format!("mirror {error}"))),
    };
    let first = options.mirrors.iter().map(in_folder);
    let last = options.last_mirrors.iter().map(in_folder);
    first.chain([Ok(file.url.clone())]).chain(last).collect()
}

/// A file that is there already must be the right one; it belongs to the user and is not replaced.
fn check_present(file: &DatasetFile, target: &Path) -> Result<(), Error> {
    let sha256 = sha256_of_file(target).map_err(|e| Error::file(target, e))?;
    if sha256 == file.sha256 {
        return Ok(());
    }
    let expected = &file.sha256;
    Err(Error::file(
        target,
        format!(
            "is there already with other content (sha256 {sha256}, not {expected}): move it away, or fetch to another folder"
        ),
    ))
}
