use std::cell::Cell;
use std::path::{Path, PathBuf};

use download::{Download, DownloadEvent, Size, redacted};
use squad_data::QaTokenizer;

use super::cache::CachedRepo;
use super::client::{FileMetadata, HubClient};
use super::settings::Hub;
use crate::model::BertConfig;
use crate::pretrained::{
    CONFIG, CheckpointFiles, MAKE_TOKENIZER, TOKENIZER, WEIGHTS, has_tokenizer, is_index,
    read_index, shards,
};

/// The most bytes of a file of weights, so that a server cannot fill the disk.
const MAX_WEIGHTS: u64 = 10 << 30;
/// The most bytes of any other file; the largest `tokenizer.json` of a published encoder has 17 MB.
const MAX_TEXT: u64 = 256 << 20;

/// Whether a folder holds a model that can be loaded.
fn is_complete(folder: &Path) -> bool {
    folder.join(CONFIG).is_file() && has_tokenizer(folder) && CheckpointFiles::find(folder).is_ok()
}

impl Hub {
    /// The folder of a model's snapshot, if the cache lacks nothing of it.
    pub(super) fn cached(&self, name: &str, revision: &str) -> Option<PathBuf> {
        let cached = CachedRepo::new(&self.cache, name, revision);
        let folder = cached.commit().map(|commit| cached.snapshot(&commit));
        folder.filter(|folder| is_complete(folder))
    }

    /// The folder of a model's snapshot. What the cache lacks is fetched; if it lacks nothing,
    /// the network is not asked. The error is one line.
    pub(super) fn fetch(
        &self,
        name: &str,
        revision: &str,
        on_event: &mut dyn FnMut(DownloadEvent<'_>),
    ) -> Result<PathBuf, String> {
        if let Some(folder) = self.cached(name, revision) {
            return Ok(folder);
        }
        let cached = CachedRepo::new(&self.cache, name, revision);
        if self.offline {
            return Err(format!(
                "not in the cache ({}), or not all of it, and HF_HUB_OFFLINE is set: unset it, or fetch the model where there is a network",
                cached.path().display()
            ));
        }
        let line = format!("{name}: asking {}", redacted(&self.endpoint));
        on_event(DownloadEvent::Message(&line));
        Fetch::new(HubClient::new(self, name, revision), cached, on_event).all()
    }
}

/// Brings a model's files into the cache.
struct Fetch<'a> {
    client: HubClient<'a>,
    cached: CachedRepo,
    /// Once it is known: all files come from one commit.
    commit: Option<String>,
    on_event: &'a mut dyn FnMut(DownloadEvent<'_>),
}

impl<'a> Fetch<'a> {
    fn new(
        client: HubClient<'a>,
        cached: CachedRepo,
        on_event: &'a mut dyn FnMut(DownloadEvent<'_>),
    ) -> Self {
        Self {
            client,
            commit: cached.commit(),
            cached,
            on_event,
        }
    }

    /// Fetches what is missing and returns the folder of the snapshot.
    fn all(&mut self) -> Result<PathBuf, String> {
        let Some(config) = self.file(CONFIG)? else {
            return Err(self.client.no_model());
        };
        Self::check(&config)?;
        self.tokenizer()?;
        self.weights()?;
        Ok(config.parent().map(Path::to_path_buf).unwrap_or_default())
    }

    /// Refuses an encoder that cannot be run before its weights are fetched. A configuration may leave it to the weights'
    /// names which encoder it is: then loading them tells.
    fn check(config: &Path) -> Result<(), String> {
        let is_unnamed = Cell::new(false);
        let checked = BertConfig::read_or_guess(config, &|| {
            is_unnamed.set(true);
            Ok(None)
        });
        match checked {
            Err(error) if !is_unnamed.get() => Err(error.to_string()),
            _ => Ok(()),
        }
    }

    /// The tokenizer in the first form that the repository has, and what belongs to it.
    fn tokenizer(&mut self) -> Result<(), String> {
        for files in QaTokenizer::FILES {
            if self.all_of(files)? {
                for file in QaTokenizer::CONFIG_FILES {
                    self.file(file)?;
                }
                return Ok(());
            }
        }
        Err(format!("no {TOKENIZER} in this repository{MAKE_TOKENIZER}"))
    }

    /// Whether the repository has all of these files, which are then fetched.
    fn all_of(&mut self, files: &[&str]) -> Result<bool, String> {
        for file in files {
            if self.file(file)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The weights in the first form that the repository has, in the order of transformers.
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
            let path = self.cached.snapshot(commit).join(file);
            if path.is_file() {
                return Ok(Some(path));
            }
        }
        self.fetch(file)
            .map_err(|message| format!("{file}: {message}"))
    }

    fn fetch(&mut self, file: &str) -> Result<Option<PathBuf>, String> {
        let at = self.commit.as_deref();
        let Some(metadata) = self.client.metadata(file, at, self.on_event)? else {
            return Ok(None);
        };
        if let Some(at) = at.filter(|at| *at != metadata.commit) {
            return Err(format!("the Hub does not give this file of commit {at}"));
        }
        let blob = self.cached.blob(&metadata.etag);
        self.download(file, &metadata, &blob)?;
        let commit = metadata.commit;
        let path = self.cached.link(&commit, file, &blob);
        let path = path.map_err(|error| error.to_string())?;
        if self.commit.is_none() {
            let noted = self.cached.set_commit(&commit);
            noted.map_err(|error| error.to_string())?;
        }
        self.commit = Some(commit);
        Ok(Some(path))
    }

    /// Brings the contents of a file into the cache. What has arrived is kept in `ETAG.incomplete`,
    /// as Python's library does, and is resumed the next time.
    fn download(&mut self, file: &str, metadata: &FileMetadata, blob: &Path) -> Result<(), String> {
        if blob.is_file() {
            return Ok(());
        }
        let lock = self.cached.lock(blob, self.on_event);
        let _lock = lock.map_err(|error| format!("{}: {error}", blob.display()))?;
        // Another process may have brought it meanwhile.
        if blob.is_file() {
            return Ok(());
        }
        let is_text = [".json", ".txt", ".model"]
            .iter()
            .any(|end| file.ends_with(end));
        let most = if is_text { MAX_TEXT } else { MAX_WEIGHTS };
        if let Some(size) = metadata.size.filter(|size| *size > most) {
            return Err(format!("the Hub has {size} bytes of it, more than {most}"));
        }
        let mut part = blob.as_os_str().to_owned();
        part.push(".incomplete");
        let etag = format!("\"{}\"", metadata.etag);
        let download = Download {
            name: file,
            urls: &[self.client.url(file, Some(&metadata.commit))],
            token: self.client.hub.token.as_deref(),
            size: metadata.size.map_or(Size::AtMost(most), Size::Exactly),
            sha256: metadata.sha256(),
            etag: metadata.is_direct.then_some(&etag),
            part: part.into(),
            target: blob.into(),
        };
        let done = self.client.http.download(&download, self.on_event);
        done.map_err(|error| format!("{error}: try again later, what has arrived is kept"))
    }
}
