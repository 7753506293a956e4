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
    let place = out.canonicalize().ok();
    for input in inputs.iter().map(AsRef::as_ref) {
        if place.is_some() && input.canonicalize().ok() == place {
            return Err(file_error(out, "is the dataset itself: name another file"));
        }
    }
    Ok(())
}

/// Checks that a dataset can be read twice.
pub(super) fn check_twice(dataset: &Path) -> Result<(), Error> {
    if is_special(dataset) {
        let message = "is a pipe or a device, and has to be read twice: write it to a file";
        return Err(file_error(dataset, message));
    }
    Ok(())
}
