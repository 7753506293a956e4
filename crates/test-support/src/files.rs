use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// An absolute path of a file or folder of this repository.
pub fn workspace_path(relative: impl AsRef<Path>) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().expect("the workspace has a path");
    root.join(relative)
}

/// The path of a file or folder that is too large for the repository: below `$SQUAD_DATA`, or below
/// `../shared/data` beside the workspace where that variable is not set.
///
/// A test that calls this is `#[ignore = "needs the shared data: …"]`.
///
/// # Panics
/// If the file is missing. The message names it and says what to do.
pub fn shared_data(relative: impl AsRef<Path>) -> PathBuf {
    let root = std::env::var_os("SQUAD_DATA").map(PathBuf::from);
    let root = root.unwrap_or_else(|| workspace_path("../shared/data"));
    let path = root.join(relative);
    assert!(
        path.exists(),
        "{} does not exist: set SQUAD_DATA to the folder that holds the test data",
        path.display()
    );
    path
}

/// A folder that is deleted when the value is dropped.
pub fn temp_dir() -> TempDir {
    tempfile::tempdir().expect("the folder for temporary files is writable")
}

/// The paths of all files below a folder, relative to it, with `/` between names, sorted. Hidden
/// files are listed; empty folders are not.
pub fn files_below(folder: impl AsRef<Path>) -> Vec<String> {
    fn walk(folder: &Path, prefix: &str, files: &mut Vec<String>) {
        let entries = std::fs::read_dir(folder);
        for entry in entries.unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                walk(&entry.path(), &format!("{name}/"), files);
            } else {
                files.push(name);
            }
        }
    }
    let mut files = Vec::new();
    walk(folder.as_ref(), "", &mut files);
    files.sort();
    files
}

/// A temporary copy of a folder and of all files below it.
pub fn copy_folder(folder: impl AsRef<Path>) -> TempDir {
    let (folder, copy) = (folder.as_ref(), temp_dir());
    for file in files_below(folder) {
        let target = copy.path().join(&file);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(folder.join(&file), target).unwrap();
    }
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workspace_path_finds_a_file_of_the_repository() {
        assert!(workspace_path("crates/test-support/Cargo.toml").is_file());
    }

    #[test]
    #[should_panic(expected = "no-such-file does not exist: set SQUAD_DATA")]
    fn shared_data_panics_with_what_to_do_when_a_file_is_missing() {
        shared_data("no-such-file");
    }

    #[test]
    fn files_below_lists_nested_and_hidden_files_and_copy_folder_copies_them() {
        let folder = temp_dir();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::fs::write(folder.path().join("a/b/c"), "text").unwrap();
        std::fs::write(folder.path().join(".hidden"), "").unwrap();
        let copy = copy_folder(&folder);
        assert_eq!(files_below(&copy), [".hidden", "a/b/c"]);
        let text = std::fs::read_to_string(copy.path().join("a/b/c")).unwrap();
        assert_eq!(text, "text");
    }
}
