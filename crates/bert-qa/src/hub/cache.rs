use std::fs::{File, TryLockError};
use std::io::Result;
use std::path::{Path, PathBuf};

use download::DownloadEvent;

/// A repository at one revision in Hugging Face's cache, laid out as Python's `huggingface_hub` does:
/// contents in `blobs/ETAG`, links to them in `snapshots/COMMIT/FILE`, and the commit of a branch or
/// tag in `refs/NAME`.
pub(super) struct CachedRepo {
    /// `models--OWNER--NAME`.
    path: PathBuf,
    revision: String,
}

impl CachedRepo {
    pub(super) fn new(cache: &Path, name: &str, revision: &str) -> Self {
        Self {
            path: cache.join(format!("models--{}", name.replace('/', "--"))),
            revision: revision.into(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The commit of the revision, if it is known.
    pub(super) fn commit(&self) -> Option<String> {
        if is_commit(&self.revision) {
            return Some(self.revision.clone());
        }
        let reference = self.path.join("refs").join(&self.revision);
        let commit = std::fs::read_to_string(reference).ok()?;
        let commit = commit.trim();
        is_safe_name(commit).then(|| commit.to_owned())
    }

    /// The folder of a commit's files.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.path.join("snapshots").join(commit)
    }

    /// Where the contents with this tag are kept.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.path.join("blobs").join(etag)
    }

    /// Notes which commit the revision is.
    pub(super) fn set_commit(&self, commit: &str) -> Result<()> {
        if is_commit(&self.revision) {
            return Ok(());
        }
        let reference = self.path.join("refs").join(&self.revision);
        std::fs::create_dir_all(reference.parent().unwrap_or(&self.path))?;
        atomic_fs::write_file(reference, commit).map_err(|e| e.source)
    }

    /// Puts a blob into a snapshot: a relative link, because the cache may move; where there are no
    /// links, a copy.
    pub(super) fn link(&self, commit: &str, file: &str, blob: &Path) -> Result<PathBuf> {
        let folder = self.snapshot(commit);
        std::fs::create_dir_all(&folder)?;
        let target = Path::new("../../blobs").join(blob.file_name().unwrap_or_default());
        let link = folder.join(file);
        // Atomic: a killed process leaves nothing behind.
        if symlink(&target, &link).is_ok() {
            return Ok(link);
        }
        let staging = atomic_fs::temporary_folder(&link).map_err(|e| e.source)?;
        let new = staging.path().join("new");
        symlink(&target, &new).or_else(|_| std::fs::copy(blob, &new).map(|_| ()))?;
        std::fs::rename(&new, &link)?;
        Ok(link)
    }

    /// Keeps other processes, Python's too, from fetching the same blob at once.
    pub(super) fn lock(
        &self,
        blob: &Path,
        on_event: &mut dyn FnMut(DownloadEvent<'_>),
    ) -> Result<File> {
        let repo = self.path.file_name().unwrap_or_default();
        let folder = self.path.with_file_name(".locks").join(repo);
        std::fs::create_dir_all(&folder)?;
        let mut name = blob.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let file = File::create(folder.join(name))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let line = "waiting for another process that fetches the same file";
                on_event(DownloadEvent::Message(line));
                file.lock()?;
            }
            // Some network file systems have no locks: then nothing protects the file.
            Err(TryLockError::Error(_)) => {}
        }
        Ok(file)
    }
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Whether a revision is a commit, which never changes.
fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a name from a server or the user can be one component of a path.
pub(super) fn is_safe_name(name: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(is_safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_safe_name_does_not_leave_its_folder() {
        for name in ["abc", "53aa51172d14-2", "a.b_c"] {
            assert!(is_safe_name(name), "{name}");
        }
        for name in ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "a b"] {
            assert!(!is_safe_name(name), "{name}");
        }
    }
}
