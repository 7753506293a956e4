use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cache::{CachedRepo, is_commit};
use super::client::{Client, Failure};
use super::download;
use crate::checkpoint::{Checkpoint, WEIGHTS, is_index, read_index, shards};
use crate::pretrained::{CONFIG, MAKE_TOKENIZER, TOKENIZER, TOKENIZER_CONFIG};
use crate::{BertConfig, Watch};

/// Whether a model can be loaded from what is there.
pub(super) fn is_complete(folder: &Path) -> bool {
    [CONFIG, TOKENIZER]
        .iter()
        .all(|file| folder.join(file).is_file())
        && Checkpoint::find(folder).is_ok()
}

/// A model on its way into the cache.
pub(super) struct Fetch<'a> {
    client: Client<'a>,
    cached: CachedRepo,
    /// Once it is known: all files come from one commit.
    commit: Option<String>,
    watch: &'a Watch<'a>,
}

impl<'a> Fetch<'a> {
    pub(super) fn new(client: Client<'a>, cached: CachedRepo, watch: &'a Watch<'a>) -> Self {
        let folder = cached.snapshot();
        let commit = folder.as_deref().and_then(Path::file_name);
        let commit = commit.map(|commit| commit.to_string_lossy().into_owned());
        Self {
            client,
            cached,
            commit,
            watch,
        }
    }

    /// Brings what is missing; gives the folder of the snapshot.
    pub(super) fn all(&mut self) -> Result<PathBuf, String> {
        let Some(config) = self.file(CONFIG)? else {
            return Err(self.client.no_model());
        };
        // An encoder that cannot be run is refused before its weights are fetched.
        BertConfig::read(&config).map_err(|error| error.to_string())?;
        if self.file(TOKENIZER)?.is_none() {
            return Err(format!("no {TOKENIZER} in this repository{MAKE_TOKENIZER}"));
        }
        // Not every repository has it, and none is needed to train.
        self.file(TOKENIZER_CONFIG)?;
        self.weights()?;
        Ok(config.parent().map(Path::to_path_buf).unwrap_or_default())
    }

    /// The weights in whichever form the repository has, as transformers prefers them.
    fn weights(&mut self) -> Result<(), String> {
        for name in WEIGHTS {
            let Some(path) = self.file(name)? else {
                continue;
            };
            if is_index(&path) {
                let index = read_index(&path).map_err(|error| error.to_string())?;
                for shard in shards(&index) {
                    if self.file(shard)?.is_none() {
                        return Err(format!(
                            "{name} names {shard}, which the repository does not have"
                        ));
                    }
                }
            }
            return Ok(());
        }
        Err(format!(
            "no weights for PyTorch in this repository ({}): convert them with transformers",
            WEIGHTS.join(", ")
        ))
    }

    /// A file of the snapshot, fetched if it is not there yet; `None` if the repository has none.
    fn file(&mut self, file: &str) -> Result<Option<PathBuf>, String> {
        if let Some(commit) = &self.commit {
            let path = self.cached.pointer(commit, file);
            if path.is_file() {
                return Ok(Some(path));
            }
        }
        /// Tries in a row in which nothing arrived.
        const TRIES: u32 = 4;
        let mut tries = 0;
        loop {
            let message = match self.try_file(file) {
                Ok(path) => return Ok(Some(path)),
                Err(Failure::NoSuchFile) => return Ok(None),
                Err(Failure::Lasting(message)) => return Err(format!("{file}: {message}")),
                Err(Failure::Passing { message, arrived }) => {
                    tries = if arrived { 1 } else { tries + 1 };
                    message
                }
            };
            if tries == TRIES {
                return Err(format!(
                    "{file}: {message}; tried {TRIES} times: try again later, what has arrived is kept"
                ));
            }
            (self.watch.notice)(&format!("{file}: {message}; trying again"));
            std::thread::sleep(Duration::from_millis(100 * 3_u64.pow(tries)));
        }
    }

    fn try_file(&mut self, file: &str) -> Result<PathBuf, Failure> {
        let mut reply = self.client.ask(file, None, 0)?;
        // Another commit: the branch has moved on since the first file.
        let at = self
            .commit
            .as_deref()
            .filter(|commit| *commit != reply.commit);
        if at.is_some() {
            reply = self.client.ask(file, at, 0)?;
        }
        if let Some(commit) = at.filter(|commit| *commit != reply.commit) {
            let message = format!("the Hub does not give this file of commit {commit}");
            return Err(Failure::Lasting(message));
        }
        let commit = reply.commit.clone();
        let blob = self.cached.blob(&reply.etag);
        download::blob(
            &self.client,
            (file, at),
            reply,
            &blob,
            &self.cached,
            self.watch,
        )?;
        let path = self.cached.link(&commit, file, &blob);
        let path = path.map_err(|error| Failure::Lasting(error.to_string()))?;
        if self.commit.is_none() && !is_commit(self.client.revision) {
            let made = self.cached.set_revision(&commit);
            made.map_err(|error| Failure::Lasting(error.to_string()))?;
        }
        self.commit = Some(commit);
        Ok(path)
    }
}
