//! Files, written whole or not at all.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::folder::sync_entries;
use crate::temporary::temporary_file;
use crate::{Error, error, parent};

/// Writes `contents` to the file `path`, replacing a file that is there.
///
/// The permissions are those of any new file: 0666 without the bits of the umask. A symbolic link is
/// followed.
///
/// # Errors
/// If the folder of `path` does not exist, the file cannot be written, or a device or a pipe has this
/// name. An older file is then unchanged.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("scores.json");
/// atomic_fs::write_file(&path, "{}")?;
/// assert_eq!(std::fs::read_to_string(path)?, "{}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_file(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> Result<(), Error> {
    write_file_with(path, |file| io::Write::write_all(file, contents.as_ref()))
}

/// As [`write_file`], with what `write` writes, for contents that memory does not hold.
///
/// # Errors
/// The error of `write`, or as [`write_file`].
///
/// ```
/// use std::io::Write;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("lines");
/// atomic_fs::write_file_with(&path, |file| (0..3).try_for_each(|line| writeln!(file, "{line}")))?;
/// assert_eq!(std::fs::read_to_string(path)?, "0\n1\n2\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_file_with(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), Error> {
    let path = path.as_ref();
    let write = || {
        let target = behind_links(path)?;
        let mut file = temporary_file(&target)?;
        write(file.as_file_mut())?;
        file.as_file().sync_all()?;
        file.persist(&target).map_err(|e| e.error)?;
        sync_entries(parent(&target))
    };
    write().map_err(|e| error(path, e))
}

/// The file that `path` names, there or not, behind symbolic links. A device or a pipe is an error: a file would replace it.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    const MAX_LINKS: usize = 40;
    if is_special(path) {
        let message = "is a device or a pipe; name a file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        match std::fs::read_link(&target) {
            Ok(to) => target = parent(&target).join(to),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// Whether `path` names a device or a pipe, which can be read only once.
pub fn is_special(path: impl AsRef<Path>) -> bool {
    let found = std::fs::metadata(path);
    found.is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Renames the finished file `from` to `to` in the same file system, replacing a file that is there;
/// its bytes are on the disk before.
///
/// # Errors
/// If `from` cannot be brought to the disk or renamed.
pub fn rename_file(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), Error> {
    let (from, to) = (from.as_ref(), to.as_ref());
    sync_file(from)
        .map_err(|e| e.source)
        .and_then(|()| std::fs::rename(from, to))
        .and_then(|()| sync_entries(parent(to)))
        .map_err(|e| error(to, e))
}

/// Brings to the disk what another handle has written to a file.
///
/// # Errors
/// If that fails.
pub fn sync_file(path: impl AsRef<Path>) -> Result<(), Error> {
    let path = path.as_ref();
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|e| error(path, e))
}

#[cfg(test)]
mod tests {
    use test_support::{files_below, temp_dir};

    use crate::temporary::TEMPORARY_PREFIX;

    use super::*;

    fn text(path: impl AsRef<Path>) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn write_file_replaces_a_file() {
        let folder = temp_dir();
        let path = folder.path().join("file");
        for contents in ["first", "second"] {
            write_file(&path, contents).unwrap();
            assert_eq!(text(&path), contents);
        }
        assert_eq!(files_below(&folder), ["file"]);
    }

    #[test]
    fn rename_file_replaces_a_file() {
        let folder = temp_dir();
        let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
        for path in [&from, &to] {
            std::fs::write(path, path.to_str().unwrap()).unwrap();
        }
        rename_file(&from, &to).unwrap();
        assert_eq!(text(&to), from.to_str().unwrap());
        assert_eq!(files_below(&folder), ["to"]);
        let message = rename_file(&from, &to).unwrap_err().to_string();
        assert!(message.contains("/to: "), "{message}");
    }

    #[test]
    fn a_failed_write_names_the_file_and_leaves_nothing() {
        let folder = temp_dir();
        let path = folder.path().join("target");
        std::fs::create_dir(&path).unwrap();
        let message = write_file(&path, "text").unwrap_err().to_string();
        assert!(
            message.starts_with(&path.display().to_string()),
            "{message}"
        );
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        let missing = folder.path().join("missing/file");
        let error = write_file(&missing, "").unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
        // Not the temporary name.
        assert!(!error.to_string().contains(TEMPORARY_PREFIX), "{error}");
    }

    #[test]
    #[cfg(unix)]
    fn write_file_follows_links_and_keeps_devices() {
        use std::os::unix::fs::symlink;
        let folder = temp_dir();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("other")).unwrap();
        symlink("other/file", path("link")).unwrap();
        symlink(path("link"), path("link to it")).unwrap();
        for name in ["link", "link to it"] {
            write_file(path(name), name).unwrap();
            assert_eq!(text(path("other/file")), name);
            assert!(path(name).is_symlink());
        }
        symlink("loop", path("loop")).unwrap();
        write_file(path("loop"), "").unwrap_err();
        symlink("/dev/null", path("null")).unwrap();
        for device in [path("null"), "/dev/null".into()] {
            assert!(is_special(&device));
            let message = write_file(device, "text").unwrap_err().to_string();
            assert!(
                message.ends_with("null: is a device or a pipe; name a file"),
                "{message}"
            );
        }
        std::fs::File::options()
            .write(true)
            .open("/dev/null")
            .unwrap();
        assert_eq!(std::fs::metadata("/dev/null").unwrap().len(), 0);
        assert_eq!(files_below(&folder).len(), 5);
    }
}
