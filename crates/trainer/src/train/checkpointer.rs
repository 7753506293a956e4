use std::path::PathBuf;

use bert_qa::{BertForQuestionAnswering, ModelAssets};

use crate::Error;
use crate::artifacts::checkpoint::{Checkpoints, NewCheckpoint};
use crate::artifacts::digest::folder_digest;
use crate::artifacts::run_dir::RunDir;
use crate::config::Config;
use crate::data::DataDigests;
use crate::optim::adamw::Moments;
use crate::train::context::RunContext;
use crate::train::state::RunState;

/// Writes models and checkpoints into the run folder.
pub(crate) struct Checkpointer<'a> {
    run_dir: &'a RunDir,
    config: &'a Config,
    assets: &'a ModelAssets,
    checkpoints: Checkpoints,
    data: DataDigests,
}

impl<'a> Checkpointer<'a> {
    /// `None` on ranks that write no files.
    pub(crate) fn new(run: &'a RunContext, data: DataDigests) -> Option<Self> {
        let save_total_limit = run.config.checkpoints.save_total_limit;
        run.run_dir.as_ref().map(|run_dir| Self {
            run_dir,
            config: &run.config,
            assets: &run.assets,
            checkpoints: Checkpoints::new(run_dir.path(), save_total_limit),
            data,
        })
    }

    /// Checks that the run folder is still there.
    pub(crate) fn check_run_dir(&self) -> Result<(), Error> {
        self.run_dir.check_exists()
    }

    /// Writes the best model and returns its digest.
    pub(crate) fn save_best(&self, model: &BertForQuestionAnswering) -> Result<String, Error> {
        self.save_model(model, run_log::BEST_MODEL_DIR)?;
        folder_digest(&self.run_dir.join(run_log::BEST_MODEL_DIR))
    }

    /// Writes a model folder.
    pub(crate) fn save_model(
        &self,
        model: &BertForQuestionAnswering,
        name: &str,
    ) -> Result<(), Error> {
        self.run_dir.check_exists()?;
        Ok(self.assets.save(model, &self.run_dir.join(name))?)
    }

    /// Writes a checkpoint and returns its folder. The records of the run up to it are on the disk before.
    pub(crate) fn save_checkpoint(
        &self,
        state: &RunState,
        model: &BertForQuestionAnswering,
        moments: &Moments,
    ) -> Result<PathBuf, Error> {
        self.run_dir.check_exists()?;
        let log = self.run_dir.join(run_log::METRICS_LOG);
        if log.exists() {
            atomic_fs::sync_file(log)?;
        }
        self.checkpoints.write(&NewCheckpoint {
            state,
            config: self.config,
            data: &self.data,
            assets: self.assets,
            model,
            moments,
        })
    }
}
