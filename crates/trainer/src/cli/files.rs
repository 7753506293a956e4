//! Checks of the files that arguments name, before the work.

use std::path::Path;

use atomic_fs::is_special;
use trainer::Error;

use super::file_error;

/// Checks that `out` is a file to write and none of the inputs.
pub(super) fn check_output(out: &Path, inputs: &[impl AsRef<Path>]) -> Result<(), Error> {
    if is_special(out) {
        return Err(file_error(out, "is a device or a pipe; name a file"));
    }
    if out.is_dir() {
        return Err(file_error(out, "is a folder; name a file"));
    }
    // Readers believe these two names.
    let ending = out.extension().map(std::ffi::OsStr::to_ascii_lowercase);
    if ending.is_some_and(|ending| ending == "gz" || ending == "parquet") {
        let message = "is written as plain text, not as gzip or Parquet; give it another name";
        return Err(file_error(out, message));
    }
    if let Some(folder) = out
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
    {
        let message = format!("there is no folder {}: make it first", folder.display());
        return Err(file_error(out, message));
    }
    if inputs.iter().any(|input| is_same_file(out, input.as_ref())) {
        return Err(file_error(out, "is the dataset itself: name another file"));
    }
    Ok(())
}

/// Whether both paths lead to one file that is there.
pub(super) fn is_same_file(a: &Path, b: &Path) -> bool {
    let place = a.canonicalize().ok();
    place.is_some() && place == b.canonicalize().ok()
}

/// Checks that a dataset can be read twice.
pub(super) fn check_twice(dataset: &Path) -> Result<(), Error> {
    if is_special(dataset) {
        let message = "is a pipe or a device, and has to be read twice: write it to a file";
        return Err(file_error(dataset, message));
    }
    Ok(())
}
