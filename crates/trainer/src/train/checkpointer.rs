use std::path::PathBuf;

use bert_qa::{BertForQuestionAnswering, ModelAssets};

use super::train_loop::TrainLoop;
use crate::Error;
use crate::artifacts::checkpoint::Checkpoints;
use crate::artifacts::run_dir::RunDir;
use crate::logging::observer::EpochReport;
use crate::train::state::RunState;

/// What keeps a run's results.
pub(crate) struct Checkpointer<'a> {
    pub(crate) run_dir: &'a RunDir,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) assets: &'a ModelAssets,
    /// Stands for the training windows in checkpoints.
    pub(crate) data: String,
}

impl Checkpointer<'_> {
    pub(super) fn save(&self, model: &BertForQuestionAnswering, name: &str) -> Result<(), Error> {
        Ok(self.assets.save(model, &self.run_dir.join(name))?)
    }
}

impl TrainLoop<'_> {
    /// Keeps the model alone, for good, after an epoch.
    pub(super) fn keep_weights(&mut self, report: &EpochReport) -> Result<(), Error> {
        let model = self.engine.model(self.checkpointer.is_some())?;
        let evaluation = report.evaluation.as_ref();
        let loss = evaluation.and_then(|e| e.metrics["loss"].as_f64());
        let name = format!(
            "checkpoints/checkpoint-{:02}-{:.4}",
            report.epoch,
            loss.unwrap_or(f64::NAN)
        );
        match (&self.checkpointer, model) {
            (Some(checkpointer), Some(model)) => checkpointer.save(&model, &name),
            _ => Ok(()),
        }
    }

    /// Writes what the run needs to be resumed, by however many ranks; its folder on the one that wrote it.
    pub(super) fn checkpoint(&mut self) -> Result<Option<PathBuf>, Error> {
        let is_kept = self.checkpointer.is_some();
        let totals = self.totals.clone().over_ranks(&*self.group, &self.device)?;
        let (model, moments) = (self.engine.model(is_kept)?, self.engine.moments(is_kept)?);
        let (Some(checkpointer), Some(model), Some(moments)) = (&self.checkpointer, model, moments)
        else {
            return Ok(None);
        };
        checkpointer.run_dir.still_there()?;
        let elapsed_seconds = self.state.elapsed_seconds + self.started.elapsed().as_secs_f64();
        let state = RunState {
            totals: totals.save()?,
            elapsed_seconds,
            ..self.state.clone()
        };
        let (data, assets) = (&checkpointer.data, checkpointer.assets);
        let written = checkpointer
            .checkpoints
            .write(&state, data, assets, &model, &moments)?;
        Ok(Some(written))
    }
}
