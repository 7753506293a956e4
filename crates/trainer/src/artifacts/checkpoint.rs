use std::path::{Path, PathBuf};

use bert_qa::{BertForQuestionAnswering, ModelAssets};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::optim::adamw::{Moments, Optimizer};
use crate::optim::state_file;
use crate::train::state::RunState;

const STATE: &str = "state.json";
const OPTIMIZER: &str = "optimizer.safetensors";
const MODEL: &str = "model";
const WEIGHTS: &str = "model/model.safetensors";

/// The folder `checkpoints/` of a run, with a folder for each checkpoint. A checkpoint appears whole or not at all, and an
/// old one is removed only after a newer one is on disk.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    keep: usize,
}

/// A complete checkpoint.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    folder: PathBuf,
    pub(crate) state: RunState,
    /// The digest of the training features.
    data: String,
}

/// `state.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    /// Version of the format.
    format: u32,
    run: RunState,
    /// The digest of the training features, which a resumed run must have.
    data: String,
    sha256_model: String,
    sha256_optimizer: String,
}

const FORMAT: u32 = 1;

impl Checkpoints {
    pub(crate) fn new(run: &Path, keep: usize) -> Self {
        Self {
            folder: run.join(run_log::CHECKPOINTS_DIR),
            keep,
        }
    }

    /// Writes a checkpoint, which appears whole or not at all, and then removes the oldest ones
    /// beyond `save_total_limit`.
    pub(crate) fn write(
        &self,
        state: &RunState,
        data: &str,
        assets: &ModelAssets,
        model: &BertForQuestionAnswering,
        moments: &Moments,
    ) -> Result<PathBuf, Error> {
        let path = self.folder.join(name(state));
        if Checkpoint::read(&path).is_ok() {
            // A resumed run stopped again before its first step.
            return Ok(path);
        }
        atomic_fs::replace_folder(&path, |new| {
            assets.save(model, &new.join(MODEL))?;
            state_file::write(moments, &new.join(OPTIMIZER))?;
            let contents = Contents {
                format: FORMAT,
                run: state.clone(),
                data: data.to_owned(),
                sha256_model: sha256(&new.join(WEIGHTS))?,
                sha256_optimizer: sha256(&new.join(OPTIMIZER))?,
            };
            let text = serde_json::to_string_pretty(&contents).expect("a state is plain JSON");
            Ok::<(), Error>(atomic_fs::write_file(new.join(STATE), text)?)
        })?;
        self.prune();
        Ok(path)
    }

    /// Removes incomplete checkpoints of a killed process.
    pub(crate) fn clean(&self) {
        for leftover in self.names(|name| name.starts_with(atomic_fs::TEMPORARY_PREFIX)) {
            // The next resume tries again.
            let _ = std::fs::remove_dir_all(self.folder.join(leftover));
        }
    }

    /// The latest checkpoint that is not damaged. Damaged ones are logged.
    pub(crate) fn latest(&self) -> Result<Checkpoint, Error> {
        let mut damages = Vec::new();
        for name in self.steps().into_iter().rev() {
            match Checkpoint::read(&self.folder.join(name)) {
                Ok(checkpoint) => {
                    for damage in damages {
                        tracing::warn!("{damage}; going on from an earlier checkpoint");
                    }
                    return Ok(checkpoint);
                }
                Err(damage) => damages.push(damage),
            }
        }
        Err(damages.into_iter().next().unwrap_or_else(|| {
            Error::file(
                &self.folder,
                "no checkpoint to go on from: start the run again in another folder",
            )
        }))
    }

    fn prune(&self) {
        let steps = self.steps();
        for name in &steps[..steps.len().saturating_sub(self.keep)] {
            let path = self.folder.join(name);
            if let Err(e) = std::fs::remove_dir_all(&path) {
                tracing::warn!("{}: cannot remove this old checkpoint: {e}", path.display());
            }
        }
    }

    /// Names of the checkpoints, by step.
    fn steps(&self) -> Vec<String> {
        self.names(|name| name.starts_with("step-"))
    }

    fn names(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| wanted(name))
            .collect();
        names.sort();
        names
    }
}

/// Zero-padded, so that names sort in the order of writing. The epoch distinguishes the end of an epoch from the start of
/// the next one, which have the same step.
fn name(state: &RunState) -> String {
    format!("step-{:08}-epoch-{:04}", state.step, state.epoch())
}

impl Checkpoint {
    fn read(folder: &Path) -> Result<Self, Error> {
        let contents = Self::contents(folder)?;
        for (file, sha) in [
            (WEIGHTS, &contents.sha256_model),
            (OPTIMIZER, &contents.sha256_optimizer),
        ] {
            let path = folder.join(file);
            if sha256(&path)? != *sha {
                return Err(Error::file(&path, "is damaged: checksum mismatch"));
            }
        }
        Ok(Self {
            folder: folder.into(),
            state: contents.run,
            data: contents.data,
        })
    }

    fn contents(folder: &Path) -> Result<Contents, Error> {
        let path = folder.join(STATE);
        let text = std::fs::read_to_string(&path).map_err(|e| Error::file(&path, e))?;
        let contents: Contents = serde_json::from_str(&text)
            .map_err(|e| Error::file(&path, format!("is damaged: {e}")))?;
        match contents.format {
            FORMAT => Ok(contents),
            other => Err(Error::file(
                &path,
                format!("was written by another version (format {other}, this one reads {FORMAT})"),
            )),
        }
    }

    /// SHA-256 of `state.json`, which has the checksums of the other files.
    pub(crate) fn digest(&self) -> Result<String, Error> {
        sha256(&self.folder.join(STATE))
    }

    /// The model with its configuration and tokenizer, in Hugging Face layout.
    pub(crate) fn model_folder(&self) -> PathBuf {
        self.folder.join(MODEL)
    }

    /// The optimizer of `model` with the saved moments.
    pub(crate) fn optimizer(
        &self,
        optimizer: Optimizer,
        model: &BertForQuestionAnswering,
        device: &Device,
    ) -> Result<Optimizer, Error> {
        let path = self.folder.join(OPTIMIZER);
        state_file::read(optimizer, self.state.step, model, device, &path)
    }

    /// Checks that the training features are those of the checkpoint.
    pub(crate) fn check_data(&self, data: &str) -> Result<(), Error> {
        if self.data == data {
            return Ok(());
        }
        Err(Error::file(
            &self.folder,
            "does not match the training features: the dataset, its order or the tokenizer has changed",
        ))
    }
}

fn sha256(path: &Path) -> Result<String, Error> {
    download::sha256_of_file(path).map_err(|e| Error::file(path, e))
}

/// Reads the `state.json` of a checkpoint's folder; for the fuzz targets.
///
/// # Errors
/// If it cannot be read.
pub fn check_run_state(folder: &Path) -> Result<(), Error> {
    Checkpoint::contents(folder).map(drop)
}
