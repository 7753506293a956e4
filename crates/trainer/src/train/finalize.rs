use std::collections::BTreeMap;
use std::time::Instant;

use bert_qa::{ModelAssets, ModelCard, Pretrained};
use burn::tensor::Device;
use serde_json::json;

use crate::Error;
use crate::artifacts::model_card;
use crate::artifacts::model_card::VERSIONS;
use crate::artifacts::run_dir::RunDir;
use crate::config::Config;
use crate::data::FeaturizedDataset;
use crate::device::DeviceInfo;
use crate::device::process;
use crate::eval::{Evaluation, evaluate};
use crate::train::outcome::Trained;
use crate::train::state::RunState;
use crate::train::train_loop::TrainResult;

/// What a finished run saves.
pub(crate) struct Ending<'a> {
    pub(crate) config: &'a Config,
    pub(crate) run_dir: &'a RunDir,
    pub(crate) assets: &'a ModelAssets,
    pub(crate) info: &'a DeviceInfo,
    pub(crate) device: &'a Device,
    pub(crate) started: Instant,
    pub(crate) world_size: usize,
}

impl Ending<'_> {
    pub(crate) fn save(
        &self,
        result: TrainResult,
        eval: FeaturizedDataset,
        mut card: ModelCard,
    ) -> Result<Trained, Error> {
        let TrainResult {
            model,
            state,
            mut evaluation,
            communication,
            ..
        } = result;
        let mut model = model.expect("rank 0 ends the run, and has the model");
        if let Some(best) = state.best.filter(|best| best.step != state.evaluated_step)
            && self.config.eval.load_best_model_at_end
        {
            tracing::info!("taking the best model, of step {}", best.step);
            model = Pretrained::load(&self.run_dir.join(run_log::BEST_MODEL_DIR), 0, self.device)?
                .model
                .in_bf16(self.config.run.bf16);
            evaluation = None;
        }
        let evaluation = match evaluation {
            Some(evaluation) => evaluation,
            None => evaluate(
                &model,
                &eval,
                &self.config.answers,
                self.device,
                &mut |_| {},
            )?,
        };
        let model_folder = self.run_dir.join(run_log::MODEL_DIR);
        card.scores = model_card::scores(&evaluation.metrics);
        self.assets.save_with_card(&model, &model_folder, &card)?;
        evaluation.write(&self.run_dir.join(run_log::EVAL_DIR))?;
        let mut metrics = self.metrics(&state, &evaluation);
        metrics["communication_seconds"] = json!(communication.map(|time| time.as_secs_f64()));
        self.run_dir
            .write(run_log::METRICS, &format!("{metrics:#}\n"))?;
        Ok(Trained {
            run_dir: self.run_dir.path().into(),
            model_folder,
            metrics,
            eval,
            predictions: evaluation.predictions,
        })
    }

    fn metrics(&self, state: &RunState, evaluation: &Evaluation) -> serde_json::Value {
        json!({
            "eval": evaluation.metrics,
            "train_loss": state.train_loss,
            "steps": state.step,
            "best": state.best,
            "features_per_second": state.features as f64 / state.training_seconds,
            "training_seconds": state.training_seconds,
            "seconds": state.elapsed_seconds + self.started.elapsed().as_secs_f64(),
            "peak_memory_bytes": process::peak_memory_bytes(),
            "device": self.info.name,
            "processes": self.world_size,
            "threads": rayon::current_num_threads(),
            "versions": BTreeMap::from(VERSIONS),
        })
    }
}
