//! The folder of the notebooks' tools.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::root;

/// `squad-burn/notebooks` in the user's cache folder, which all clones of the repository share.
pub(super) struct Home(PathBuf);

/// A closed port, so that rustup cannot download anything even if something starts the real one.
pub(super) const NO_RUSTUP: [(&str, &str); 3] = [
    ("RUSTUP_DIST_SERVER", "http://127.0.0.1:9"),
    ("RUSTUP_UPDATE_ROOT", "http://127.0.0.1:9"),
    ("RUSTUP_AUTO_INSTALL", "0"),
];

impl Home {
    pub(super) fn find() -> Result<Self, String> {
        let folder = |name| std::env::var_os(name).filter(|folder| !folder.is_empty());
        let cache = folder("XDG_CACHE_HOME").map(PathBuf::from);
        cache
            .or_else(|| Some(Path::new(&folder("HOME")?).join(".cache")))
            .map(|cache| Self(cache.join("squad-burn/notebooks")))
            .ok_or_else(|| "neither XDG_CACHE_HOME nor HOME is set: set one, the notebooks' tools go into the cache folder".into())
    }

    pub(super) fn join(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    /// A command that runs a script of `scripts/notebooks` with the notebooks' Python.
    pub(super) fn python(&self, script: &str) -> Result<Command, String> {
        let mut command = self.tool("python")?;
        command.arg(root().join("scripts/notebooks").join(script));
        // Python writes no cache into the repository.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        Ok(command)
    }

    pub(super) fn jupyter(&self) -> Result<Command, String> {
        self.tool("jupyter")
    }

    fn tool(&self, name: &str) -> Result<Command, String> {
        let path = self.join("python/bin").join(name);
        if !path.is_file() || !self.join("kernel.py").is_file() {
            return Err("the notebooks are not set up: cargo xtask notebooks setup".into());
        }
        let mut command = Command::new(path);
        command.envs(NO_RUSTUP);
        Ok(command)
    }
}
