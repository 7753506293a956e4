//! Writes a file or replaces a folder so that it appears whole or not at all, and reads texts.
//!
//! [`write_file`] and [`replace_folder`] write under a temporary name in the same folder, bring the
//! bytes to the disk (fsync), rename, and fsync the parent folder. A reader, a crash or a power
//! failure sees the old content or the new one. An error removes the temporary file or folder; a
//! killed process leaves one behind, which the next one that writes there removes.
//!
//! A process holds a lock on its temporary file or folder, so that nobody takes it for a leftover.
//! Where the file system has no locks, only [`remove_leftovers`] removes something.

use std::ffi::{OsStr, OsString};
use std::fs::{DirEntry, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, TempDir};

/// How the names of temporary files and folders begin.
const TEMPORARY_PREFIX: &str = ".writing-";

/// A file or folder that could not be written, as `PATH: MESSAGE`.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct Error {
    /// The file or folder that was to be written.
    pub path: PathBuf,
    /// The operating system's error.
    pub source: io::Error,
}

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

/// The longest text in bytes that [`read_text`] and [`read_text_from`] read: devices and pipes have no end.
pub const MAX_TEXT: u64 = 1 << 30;

/// The file that `path` names, there or not, behind symbolic links. A device or a pipe is an error: a file would replace it.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    const MAX_LINKS: usize = 40;
    let is_special = |found: std::fs::Metadata| !found.is_file() && !found.is_dir();
    if std::fs::metadata(path).is_ok_and(is_special) {
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

/// Reads a text file in UTF-8, or in UTF-16 behind a byte order mark. The mark, which editors of some systems put before UTF-8
/// too, is left out.
///
/// # Errors
/// If the file cannot be read, is longer than [`MAX_TEXT`] or has another encoding.
pub fn read_text(path: impl AsRef<Path>) -> Result<String, Error> {
    let path = path.as_ref();
    File::open(path)
        .and_then(read_text_from)
        .map_err(|e| error(path, e))
}

/// As [`read_text`], from an open file or another source.
///
/// # Errors
/// As [`read_text`].
pub fn read_text_from(source: impl io::Read) -> io::Result<String> {
    read_at_most(source, MAX_TEXT)
}

fn read_at_most(source: impl io::Read, limit: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    let read = source.take(limit + 1).read_to_end(&mut bytes)?;
    if read as u64 > limit {
        let message = format!("is longer than {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
    match &bytes[..] {
        [0xff, 0xfe, rest @ ..] => return utf16(rest, u16::from_le_bytes).map_err(invalid),
        [0xfe, 0xff, rest @ ..] => return utf16(rest, u16::from_be_bytes).map_err(invalid),
        _ => {}
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        invalid(format!(
            "is not UTF-8 after {valid} bytes; save it as UTF-8"
        ))
    })?;
    let mark = text.len() - without_bom(&text).len();
    text.drain(..mark);
    Ok(text)
}

/// A text in UTF-16, as Windows' PowerShell writes it, behind its byte order mark.
fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, String> {
    let (units, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = units.iter().copied().map(unit).collect();
    match String::from_utf16(&units) {
        Ok(text) if rest.is_empty() => Ok(text),
        _ => Err("begins as UTF-16 and is not; save it as UTF-8".into()),
    }
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

/// A text without the byte order mark at its beginning.
pub fn without_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
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

/// Brings the names in a folder to the disk.
///
/// # Errors
/// If that fails.
pub fn sync_folder(path: impl AsRef<Path>) -> Result<(), Error> {
    sync_entries(path.as_ref()).map_err(|e| error(path.as_ref(), e))
}

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
}

/// A file beside `target`, for what becomes that file. Leftovers of killed processes are removed.
fn temporary_file(target: &Path) -> io::Result<NamedTempFile> {
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

/// Removes a folder in one step: a process that is killed meanwhile leaves a temporary folder, not
/// half of this one.
///
/// # Errors
/// If it cannot be removed.
pub fn remove_folder(folder: impl AsRef<Path>) -> Result<(), Error> {
    let folder = folder.as_ref();
    let staging = temporary_folder(folder)?;
    std::fs::rename(folder, staging.path().join("old"))
        .and_then(|()| staging.folder.close())
        .map_err(|e| error(folder, e))
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

fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    parent.unwrap_or(Path::new("."))
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
fn sync_entries(folder: &Path) -> io::Result<()> {
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

fn error(path: &Path, source: io::Error) -> Error {
    Error {
        path: path.into(),
        source,
    }
}

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    use test_support::{files_below, temp_dir};

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
    fn read_text_leaves_out_one_byte_order_mark() {
        let folder = temp_dir();
        let path = folder.path().join("file");
        for (bytes, text) in [
            ("", ""),
            ("a", "a"),
            ("\u{feff}a", "a"),
            ("a\u{feff}", "a\u{feff}"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read_text(&path).unwrap(), text);
        }
        for bytes in [
            &b"\xff\xfea\0\xe9\0\x3d\xd8\0\xde"[..],
            b"\xfe\xff\0a\0\xe9\xd8\x3d\xde\0",
        ] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read_text(&path).unwrap(), "a\u{e9}\u{1f600}");
            for cut in [1, 2] {
                std::fs::write(&path, &bytes[..bytes.len() - cut]).unwrap();
                let message = read_text(&path).unwrap_err().to_string();
                assert!(
                    message.ends_with("begins as UTF-16 and is not; save it as UTF-8"),
                    "{message}"
                );
            }
        }
        std::fs::write(&path, b"ab\xff").unwrap();
        let message = read_text(&path).unwrap_err().to_string();
        let expected = "is not UTF-8 after 2 bytes; save it as UTF-8";
        assert_eq!(message, format!("{}: {expected}", path.display()));
    }

    #[test]
    fn a_text_without_an_end_is_not_read() {
        assert_eq!(read_at_most(&b"\xef\xbb\xbfabc"[..], 6).unwrap(), "abc");
        let error = read_at_most(io::repeat(b'a'), 6).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "is longer than 6 bytes");
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
        assert_eq!(text(folder.join("file")), "second");
        create_folder(parent.path().join(".writing-folder-x/old")).unwrap();
        remove_folder(&folder).unwrap();
        assert!(names(&parent).unwrap().is_empty());
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
