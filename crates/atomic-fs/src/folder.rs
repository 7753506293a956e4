//! Folders, replaced and removed whole; what is in them.

use std::fs::{DirEntry, File};
use std::io;
use std::path::Path;

use crate::temporary::temporary_folder;
use crate::{Error, error, parent};

/// Makes the folder `folder` from what `fill` writes into the empty folder that it is given,
/// replacing a folder that is there. Missing parent folders are made.
///
/// On Linux the old and the new folder are exchanged in one step. Where the system or the file
/// system cannot do that, the old folder is renamed first: a crash between the two renames leaves
/// no folder of that name, and both under temporary ones.
///
/// # Errors
/// The error of `fill`, or [`Error`] if a file or folder cannot be written or `folder` is a file.
/// An older folder is then unchanged.
///
/// ```
/// let parent = tempfile::tempdir()?;
/// let folder = parent.path().join("model");
/// atomic_fs::replace_folder(&folder, |new| atomic_fs::write_file(new.join("config.json"), "{}"))?;
/// assert!(folder.join("config.json").is_file());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn replace_folder<E: From<Error>>(
    folder: impl AsRef<Path>,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let folder = folder.as_ref();
    let parent = parent(folder);
    create_folder(parent)?;
    if folder.exists() && !folder.is_dir() {
        return Err(error(folder, io::ErrorKind::NotADirectory.into()).into());
    }
    // A folder around the new one, which holds the old one in the end and is then deleted.
    let staging = temporary_folder(folder)?;
    let new = staging.path().join("new");
    std::fs::create_dir(&new).map_err(|e| error(folder, e))?;
    fill(&new)?;
    sync_tree(&new)
        .and_then(|()| rename_or_exchange(&new, folder, &staging.path().join("old")))
        .and_then(|()| sync_entries(parent))
        .map_err(|e| error(folder, e).into())
}

/// Renames `new` to `folder`; a folder that was there ends up as `new` or as `old`.
fn rename_or_exchange(new: &Path, folder: &Path, old: &Path) -> io::Result<()> {
    if !folder.exists() {
        return std::fs::rename(new, folder);
    }
    exchange(new, folder).or_else(|_| step_aside(new, folder, old))
}

fn step_aside(new: &Path, folder: &Path, old: &Path) -> io::Result<()> {
    std::fs::rename(folder, old)?;
    std::fs::rename(new, folder).inspect_err(|_| {
        // The rename's error is the one to report.
        let _ = std::fs::rename(old, folder);
    })
}

#[cfg(target_os = "linux")]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

#[cfg(not(target_os = "linux"))]
fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Removes a folder in one step: a process that is killed meanwhile leaves a temporary folder, not
/// half of this one.
///
/// # Errors
/// If it cannot be removed.
pub fn remove_folder(folder: impl AsRef<Path>) -> Result<(), Error> {
    let folder = folder.as_ref();
    let staging = temporary_folder(folder)?;
    std::fs::rename(folder, staging.path().join("old"))
        .and_then(|()| staging.close())
        .map_err(|e| error(folder, e))
}

/// Creates a folder and its missing parents, and brings their names to the disk.
///
/// # Errors
/// If a folder cannot be created.
pub fn create_folder(path: impl AsRef<Path>) -> Result<(), Error> {
    let path = path.as_ref();
    if path.is_dir() {
        return Ok(());
    }
    let parent = parent(path);
    create_folder(parent)?;
    match std::fs::create_dir(path) {
        // Another process was faster.
        Err(_) if path.is_dir() => {}
        result => result.map_err(|e| error(path, e))?,
    }
    sync_folder(parent)
}

/// The names in a folder that are Unicode, in no order.
///
/// # Errors
/// If the folder cannot be read.
pub fn names(folder: impl AsRef<Path>) -> Result<Vec<String>, Error> {
    let folder = folder.as_ref();
    let entries = entries(folder).map_err(|e| error(folder, e))?;
    let names = entries.iter().map(|entry| entry.file_name().into_string());
    Ok(names.flatten().collect())
}

/// The entries of a folder, in no order. Some file systems interrupt the calls, which `read_dir` does not repeat.
///
/// # Errors
/// If the folder cannot be read.
pub fn entries(folder: &Path) -> io::Result<Vec<DirEntry>> {
    uninterrupted(|| std::fs::read_dir(folder)?.collect())
}

/// Repeats what a signal interrupted.
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Brings the names in a folder to the disk.
///
/// # Errors
/// If that fails.
pub fn sync_folder(path: impl AsRef<Path>) -> Result<(), Error> {
    sync_entries(path.as_ref()).map_err(|e| error(path.as_ref(), e))
}

fn sync_tree(folder: &Path) -> io::Result<()> {
    for entry in entries(folder)? {
        let path = entry.path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            File::open(&path)?.sync_all()?;
        }
    }
    sync_entries(folder)
}

/// Brings the names in a folder to the disk, where the file system can.
pub(crate) fn sync_entries(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder)?.sync_all() {
        Err(e) if [io::ErrorKind::InvalidInput, io::ErrorKind::Unsupported].contains(&e.kind()) => {
            Ok(())
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use test_support::{files_below, temp_dir};

    use crate::write_file;

    use super::*;

    #[test]
    fn replace_folder_makes_parents_and_drops_the_old_files() {
        let parent = temp_dir();
        let folder = parent.path().join("a/b");
        for name in ["first", "second"] {
            replace_folder(&folder, |new| write_file(new.join(name), name)).unwrap();
            assert_eq!(files_below(&parent), [format!("a/b/{name}")]);
        }
    }

    #[test]
    fn create_folder_makes_parents_and_refuses_files() {
        let folder = temp_dir();
        let path = folder.path().join("a/b/c");
        for _ in 0..2 {
            create_folder(&path).unwrap();
            assert!(path.is_dir());
        }
        std::fs::write(path.join("file"), "").unwrap();
        let message = create_folder(path.join("file/d")).unwrap_err().to_string();
        assert!(message.starts_with(path.to_str().unwrap()), "{message}");
    }

    #[test]
    fn a_folder_is_removed_with_all_that_is_in_it() {
        let parent = temp_dir();
        let folder = parent.path().join("folder");
        replace_folder(&folder, |new| write_file(new.join("file"), "")).unwrap();
        assert_eq!(names(&parent).unwrap(), ["folder"]);
        remove_folder(&folder).unwrap();
        assert!(names(&parent).unwrap().is_empty());
        let message = remove_folder(&folder).unwrap_err().to_string();
        assert!(message.contains("/folder: "), "{message}");
        names(&folder).unwrap_err();
    }

    #[test]
    fn a_failed_replacement_leaves_the_old_folder_and_nothing_else() {
        let parent = temp_dir();
        let folder = parent.path().join("folder");
        replace_folder(&folder, |new| write_file(new.join("old"), "")).unwrap();
        let failed = replace_folder(&folder, |new| {
            write_file(new.join("new"), "")?;
            Err(error(new, io::ErrorKind::StorageFull.into()))
        });
        assert_eq!(
            failed.unwrap_err().source.kind(),
            io::ErrorKind::StorageFull
        );
        assert_eq!(files_below(&parent), ["folder/old"]);

        let file = parent.path().join("file");
        write_file(&file, "").unwrap();
        replace_folder(&file, |_| Ok::<(), Error>(())).unwrap_err();
        assert_eq!(files_below(&parent), ["file", "folder/old"]);
    }

    #[test]
    fn a_folder_steps_aside_and_comes_back_when_the_new_one_cannot_be_renamed() {
        let parent = temp_dir();
        let [new, folder, old] = ["new", "folder", "old"].map(|name| parent.path().join(name));
        std::fs::create_dir(&folder).unwrap();
        write_file(folder.join("first"), "").unwrap();
        step_aside(&new, &folder, &old).unwrap_err();
        assert_eq!(files_below(&parent), ["folder/first"]);
        std::fs::create_dir(&new).unwrap();
        write_file(new.join("second"), "").unwrap();
        step_aside(&new, &folder, &old).unwrap();
        assert_eq!(files_below(&parent), ["folder/second", "old/first"]);
    }

    /// A reader that looks at the folder all the time never misses it: the exchange is one step.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_folder_that_is_replaced_is_there_all_the_time() {
        let parent = temp_dir();
        let folder = parent.path().join("folder");
        let fill = |new: &Path| write_file(new.join("file"), "text");
        replace_folder(&folder, fill).unwrap();
        if exchange(&folder, &folder).is_err() {
            panic!(
                "the file system of {} cannot exchange folders",
                parent.path().display()
            );
        }
        std::thread::scope(|scope| {
            let writer =
                scope.spawn(|| (0..50).for_each(|_| replace_folder(&folder, fill).unwrap()));
            while !writer.is_finished() {
                assert!(folder.is_dir());
            }
        });
    }
}
