use std::fs::{File, TryLockError};
use std::io::Result;
use std::path::{Path, PathBuf};

use hf_hub::{Cache, CacheRepo, Repo, RepoType};

use crate::Watch;

/// A repository at one revision in Hugging Face's cache, laid out as Python's `huggingface_hub` does:
/// contents in `blobs/ETAG`, links to them in `snapshots/COMMIT/FILE`, and the commit of a branch or
/// tag in `refs/NAME`.
pub(super) struct CachedRepo {
    repo: CacheRepo,
    /// `models--OWNER--NAME`.
    path: PathBuf,
    revision: String,
}

impl CachedRepo {
    pub(super) fn new(cache: &Path, name: &str, revision: &str) -> Self {
        let repo = Repo::with_revision(name.into(), RepoType::Model, revision.into());
        let path = cache.join(repo.folder_name());
        Self {
            repo: Cache::new(cache.into()).repo(repo),
            path,
            revision: revision.into(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The snapshot of this revision, if its commit is known.
    pub(super) fn snapshot(&self) -> Option<PathBuf> {
        if is_commit(&self.revision) {
            return Some(self.repo.pointer_path(&self.revision));
        }
        let reference = self.path.join("refs").join(&self.revision);
        let commit = std::fs::read_to_string(reference).ok()?;
        let commit = commit.trim();
        is_word(commit).then(|| self.repo.pointer_path(commit))
    }

    /// Where the contents with this tag are kept.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.repo.blob_path(etag)
    }

    /// Where a file of a commit stands.
    pub(super) fn pointer(&self, commit: &str, file: &str) -> PathBuf {
        self.repo.pointer_path(commit).join(file)
    }

    /// Notes which commit the revision is.
    pub(super) fn set_revision(&self, commit: &str) -> Result<()> {
        self.repo.create_ref(commit)
    }

    /// Puts a blob into a snapshot: a relative link, as the cache may move; where there are no links,
    /// a copy.
    pub(super) fn link(&self, commit: &str, file: &str, blob: &Path) -> Result<PathBuf> {
        let pointer = self.pointer(commit, file);
        let folder = self.repo.pointer_path(commit);
        std::fs::create_dir_all(&folder)?;
        let staging = tempfile::tempdir_in(&folder)?;
        let new = staging.path().join("new");
        let target = Path::new("../../blobs").join(blob.file_name().unwrap_or_default());
        symlink(&target, &new).or_else(|_| std::fs::copy(blob, &new).map(|_| ()))?;
        std::fs::rename(&new, &pointer)?;
        Ok(pointer)
    }

    /// Keeps other processes, Python's too, from fetching the same blob at once.
    pub(super) fn lock(&self, blob: &Path, watch: &Watch) -> Result<File> {
        let mut folder = self.path.clone();
        let repo = folder.file_name().map(PathBuf::from).unwrap_or_default();
        folder.set_file_name(".locks");
        let folder = folder.join(repo);
        std::fs::create_dir_all(&folder)?;
        let mut name = blob.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let file = File::create(folder.join(name))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                (watch.notice)("waiting for another process that fetches the same file");
                file.lock()?;
            }
            // Some network file systems have no locks: then there is no protection either.
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

/// Whether a revision is a commit's name and can never mean another.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a word from elsewhere can stand in a path as one name.
pub(crate) fn is_word(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !word.is_empty() && !word.starts_with('.') && word.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_server_are_no_paths() {
        for word in ["abc", "53aa51172d14-2", "a.b_c"] {
            assert!(is_word(word), "{word}");
        }
        for word in ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "a b"] {
            assert!(!is_word(word), "{word}");
        }
    }
}
