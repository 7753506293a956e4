use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use bert_qa::{BertForQuestionAnswering, ModelAssets};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::artifacts::digest::{file_digests, sha256, text_digest};
use crate::config::Config;
use crate::data::DataDigests;
use crate::optim::adamw::Moments;
use crate::optim::state_file;
use crate::train::state::RunState;

const STATE: &str = "state.json";
const OPTIMIZER: &str = "optimizer.safetensors";
const MODEL: &str = "model";
/// What the names of damaged checkpoints begin with.
const DAMAGED: &str = "damaged-";

/// The folder `checkpoints/` of a run, with a folder for each checkpoint. A checkpoint appears whole or not at all, and an
/// old one is removed only after a newer one is on disk.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    save_total_limit: usize,
}

/// What a checkpoint is made of.
pub(crate) struct NewCheckpoint<'a> {
    pub(crate) state: &'a RunState,
    pub(crate) config: &'a Config,
    pub(crate) data: &'a DataDigests,
    pub(crate) assets: &'a ModelAssets,
    pub(crate) model: &'a BertForQuestionAnswering,
    /// Of the whole model.
    pub(crate) moments: &'a Moments,
}

/// A complete checkpoint.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    folder: PathBuf,
    pub(crate) state: RunState,
    /// The configuration of the run that wrote it.
    pub(crate) config: Config,
    data: DataDigests,
}

/// A checkpoint that cannot be used, and why.
#[derive(Debug)]
pub(crate) struct Damaged {
    name: String,
    why: Error,
}

/// `state.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateFile {
    /// Version of the format.
    format: u32,
    /// SHA-256 of `contents` as JSON without white space.
    sha256: String,
    contents: Contents,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    run: RunState,
    /// The configuration as TOML, all defaults written out. That of the run's folder may be edited.
    config: String,
    /// A resumed run must have the same sets.
    data: DataDigests,
    /// SHA-256 of each file of the checkpoint but this one.
    files: BTreeMap<String, String>,
}

const FORMAT: u32 = 3;

impl Contents {
    fn digest(&self) -> String {
        text_digest(&serde_json::to_string(self).expect("a state is plain JSON"))
    }

    /// Checks that a run can resume from here and that all files lie in the checkpoint's folder.
    fn check(&self) -> Result<(), String> {
        let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        let outside = self
            .files
            .keys()
            .find(|file| !Path::new(file).components().all(is_plain));
        match outside {
            Some(file) => Err(format!("{file:?} is no file of a checkpoint")),
            None => self.run.check(),
        }
    }

    fn config(&self) -> Result<Config, String> {
        let config = Config::from_toml("its configuration", &self.config);
        config.map_err(|error| error.to_string().replace('\n', "; "))
    }
}

impl Checkpoints {
    pub(crate) fn new(run: &Path, save_total_limit: usize) -> Self {
        Self {
            folder: run.join(run_log::CHECKPOINTS_DIR),
            save_total_limit,
        }
    }

    /// Writes a checkpoint, which appears whole or not at all, and then removes the oldest ones
    /// beyond `save_total_limit`.
    pub(crate) fn write(&self, new: &NewCheckpoint<'_>) -> Result<PathBuf, Error> {
        let &NewCheckpoint {
            state,
            config,
            data,
            assets,
            model,
            moments,
        } = new;
        let name = name(state);
        let path = self.folder.join(&name);
        let is_same = |found: Checkpoint| {
            found.data == *data
                && found.config == *config
                && found.state.evaluated_step == state.evaluated_step
        };
        if Checkpoint::read(&path).is_ok_and(is_same) {
            // A resumed run stopped again before its first step.
            return Ok(path);
        }
        atomic_fs::replace_folder(&path, |folder| {
            assets.save(model, &folder.join(MODEL))?;
            state_file::write(moments, &folder.join(OPTIMIZER))?;
            let contents = Contents {
                run: state.clone(),
                config: config.to_toml(),
                data: data.clone(),
                files: file_digests(folder)?,
            };
            let file = StateFile {
                format: FORMAT,
                sha256: contents.digest(),
                contents,
            };
            let text = serde_json::to_string_pretty(&file).expect("a state is plain JSON");
            Ok::<(), Error>(atomic_fs::write_file(folder.join(STATE), text)?)
        })?;
        self.prune(state);
        Ok(path)
    }

    /// The latest checkpoint that is not damaged, and the damaged ones after it.
    pub(crate) fn latest(&self) -> Result<(Checkpoint, Vec<Damaged>), Error> {
        let mut damaged = Vec::new();
        for name in self.names()?.into_iter().rev() {
            match Checkpoint::read(&self.folder.join(&name)) {
                Ok(checkpoint) => return Ok((checkpoint, damaged)),
                Err(why) => damaged.push(Damaged { name, why }),
            }
        }
        let first = damaged.into_iter().next().map(|damaged| damaged.why);
        Err(first.unwrap_or_else(|| {
            Error::file(
                &self.folder,
                "no checkpoint to go on from: start the run again in another folder",
            )
        }))
    }

    /// Renames damaged checkpoints, so that they are not taken for later ones than those that the run writes.
    pub(crate) fn set_aside(&self, damaged: Vec<Damaged>) {
        for Damaged { name, why } in damaged {
            tracing::warn!("{why}; going on from an earlier checkpoint");
            let aside = format!("{DAMAGED}{name}");
            let renamed = std::fs::rename(self.folder.join(&name), self.folder.join(&aside));
            match renamed {
                Ok(()) => tracing::warn!("{name} is now {aside}: remove it if you do not need it"),
                Err(e) => tracing::warn!("{name}: cannot be renamed to {aside}: {e}"),
            }
        }
    }

    /// Removes the oldest of the checkpoints up to that of `newest`, which was just written, or is read again because the
    /// process that wrote it may have been killed before it removed any.
    pub(crate) fn prune(&self, newest: &RunState) {
        let newest = name(newest);
        let mut names = self.names().unwrap_or_default();
        names.retain(|name| position(name) <= position(&newest));
        for name in &names[..names.len().saturating_sub(self.save_total_limit)] {
            let path = self.folder.join(name);
            if let Err(e) = atomic_fs::remove_folder(&path) {
                tracing::warn!("an old checkpoint cannot be removed: {e}");
            }
        }
    }

    /// Names of the checkpoints, in the order of writing.
    fn names(&self) -> Result<Vec<String>, Error> {
        if !self.folder.exists() {
            return Ok(Vec::new());
        }
        let names = atomic_fs::names(&self.folder)?.into_iter();
        let mut names: Vec<String> = names.filter(|name| position(name).is_some()).collect();
        names.sort_by_key(|name| position(name));
        Ok(names)
    }
}

/// The epoch distinguishes the end of an epoch from the start of the next one, which have the same step.
fn name(state: &RunState) -> String {
    format!("step-{:08}-epoch-{:04}", state.step, state.epoch())
}

/// Step and epoch of a checkpoint's name: the order of writing.
fn position(name: &str) -> Option<(u32, u32)> {
    let (step, epoch) = name.strip_prefix("step-")?.split_once("-epoch-")?;
    Some((step.parse().ok()?, epoch.parse().ok()?))
}

impl Checkpoint {
    fn read(folder: &Path) -> Result<Self, Error> {
        let contents = Self::contents(folder)?;
        for (file, expected) in &contents.files {
            let path = folder.join(file);
            if sha256(&path)? != *expected {
                return Err(Error::file(&path, "is damaged: checksum mismatch"));
            }
        }
        let config = contents.config();
        let config = config.map_err(|why| damaged(&folder.join(STATE), why))?;
        Ok(Self {
            folder: folder.into(),
            state: contents.run,
            config,
            data: contents.data,
        })
    }

    fn contents(folder: &Path) -> Result<Contents, Error> {
        let path = folder.join(STATE);
        let damaged = |why: String| damaged(&path, why);
        let text = std::fs::read_to_string(&path).map_err(|e| Error::file(&path, e))?;
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        match serde_json::from_str(&text) {
            Ok(Format { format: FORMAT }) => {}
            Ok(Format { format }) => {
                return Err(Error::file(
                    &path,
                    format!(
                        "was written by another version (format {format}, this one reads {FORMAT})"
                    ),
                ));
            }
            Err(e) => return Err(damaged(e.to_string())),
        }
        let file: StateFile = serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
        if file.contents.digest() != file.sha256 {
            return Err(damaged("checksum mismatch".into()));
        }
        file.contents.check().map_err(damaged)?;
        Ok(file.contents)
    }

    /// SHA-256 of `state.json`, which has the checksums of the other files.
    pub(crate) fn digest(&self) -> Result<String, Error> {
        sha256(&self.folder.join(STATE))
    }

    /// The model with its configuration and tokenizer, in Hugging Face layout.
    pub(crate) fn model_folder(&self) -> PathBuf {
        self.folder.join(MODEL)
    }

    /// The optimizer's moments of `model`, on a device without autodiff.
    pub(crate) fn moments(
        &self,
        model: &BertForQuestionAnswering,
        device: &Device,
    ) -> Result<Moments, Error> {
        state_file::read(model, device, &self.folder.join(OPTIMIZER))
    }

    /// Checks that the sets are those of the checkpoint. With `allow_config_changes` the evaluation set may be another.
    pub(crate) fn check_data(
        &self,
        data: &DataDigests,
        allow_config_changes: bool,
    ) -> Result<(), Error> {
        if self.data.train != data.train {
            return Err(Error::file(
                &self.folder,
                "does not match the training set: the dataset, its order or the tokenizer has changed",
            ));
        }
        if self.data.eval == data.eval {
            return Ok(());
        }
        let changed = "does not match the evaluation set, which has changed";
        if allow_config_changes {
            let folder = self.folder.display();
            tracing::warn!("{folder}: {changed}: scores before and after do not compare");
            return Ok(());
        }
        let message = format!("{changed}; to go on with this one give --allow-config-changes");
        Err(Error::file(&self.folder, message))
    }
}

fn damaged(path: &Path, why: String) -> Error {
    Error::file(path, format!("is damaged: {why}"))
}

/// Reads the contents of a `state.json`, whatever its checksum; for the fuzz targets.
///
/// # Errors
/// If they cannot be read.
pub fn check_run_state(text: &[u8]) -> Result<(), String> {
    let file: StateFile = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    file.contents.check()?;
    file.contents.config().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_names_no_file_outside_its_folder() {
        let seed = test_support::workspace_path("crates/fuzz-targets/seeds/run_state/state.json");
        let text = std::fs::read_to_string(seed).unwrap();
        assert_eq!(check_run_state(text.as_bytes()), Ok(()));
        for file in ["/dev/zero", "../model.safetensors"] {
            let text = text.replace("optimizer.safetensors", file);
            let error = check_run_state(text.as_bytes()).unwrap_err();
            assert!(error.contains(file), "{error}");
        }
    }
}
