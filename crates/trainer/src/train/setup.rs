use std::path::Path;

use bert_qa::{BertForQuestionAnswering, ModelAssets, ModelCard, Pretrained};
use burn::tensor::Device;
use process_group::ProcessGroup;
use squad_data::{Feature, Shard};

use crate::Error;
use crate::artifacts::checkpoint::Checkpoint;
use crate::artifacts::model_card;
use crate::config::{Config, Init, Strategy};
use crate::data::{FeaturizedDataset, digest, read_questions};
use crate::device::{DeviceInfo, device_of_rank, set_precision, warn_without_gpu};
use crate::distributed::{self, assert_same_on_all_ranks};
use crate::eval::evaluate_logits;
use crate::logging::observer::Observer;
use crate::optim::adamw::Optimizer;
use crate::optim::parameters::{self, freeze};
use crate::train::plan::Plan;
use crate::train::state::RunState;

/// Everything that is built before the first step.
pub(crate) struct RunSetup {
    pub(crate) info: DeviceInfo,
    pub(crate) device: Device,
    pub(crate) train: FeaturizedDataset,
    pub(crate) eval: FeaturizedDataset,
    pub(crate) data: String,
    pub(crate) assets: ModelAssets,
    pub(crate) model: BertForQuestionAnswering,
    pub(crate) optimizer: Optimizer,
    pub(crate) plan: Plan,
    /// All but the scores.
    pub(crate) card: ModelCard,
    pub(crate) state: RunState,
    /// What is told about the model.
    pub(crate) loaded: String,
}

impl RunSetup {
    /// `folder` is the model's; `shard` says which of the processes this one is, on its machine the
    /// `local_rank`-th.
    pub(crate) fn new(
        config: &Config,
        folder: &Path,
        from: Option<Checkpoint>,
        (shard, local_rank): (Shard, usize),
        observer: &mut dyn Observer,
    ) -> Result<Self, Error> {
        let (info, device) = device_of_rank(&config.run.device, local_rank)?;
        distributed::check_device(&config.distributed, shard.world_size(), &info)?;
        set_precision(&info, &config.run)?;
        let (train, eval) = read_questions(config)?;
        let card = model_card::begin(config, &train, &eval);
        let load = match (config.model.init, &from) {
            (Init::Random, None) => Pretrained::random,
            _ => Pretrained::load,
        };
        let Pretrained {
            model,
            assets,
            report,
        } = load(folder, config.train.seed, &device.clone().autodiff())?;
        config.features.check_positions(&assets.config)?;
        let model = freeze(model.in_bf16(config.run.bf16), &config.train);
        let all = train.len() + eval.len();
        let before = train.len();
        let done = &mut |finished| observer.tokenising(finished, all);
        let train = FeaturizedDataset::for_run(train, &assets.tokenizer, config, done)?;
        let done = &mut |finished| observer.tokenising(before + finished, all);
        let eval = FeaturizedDataset::for_run(eval, &assets.tokenizer, config, done)?;
        let data = digest(&train.features);
        let mut optimizer = Optimizer::new(&config.train);
        let mut loaded = format!("{}: {report}", config.model.source);
        let mut plan = Plan::new(config, &train.features, shard)?;
        if !config.eval.metric_for_best_model.is_empty() {
            plan.check_metric(&untrained_metrics(&eval, config)?)?;
        }
        let mut state = plan.start();
        if let Some(checkpoint) = from {
            checkpoint.check_data(&data)?;
            optimizer = checkpoint.optimizer(optimizer, &model, &device)?;
            loaded = format!("going on from {}", checkpoint.model_folder().display());
            state = checkpoint.state;
            plan.go_to(&state)?;
        }
        Ok(Self {
            plan,
            card,
            info,
            device,
            train,
            eval,
            data,
            assets,
            model,
            optimizer,
            state,
            loaded,
        })
    }

    /// Whether all ranks begin with the same.
    pub(crate) fn assert_same_on_all_ranks(&self, group: &dyn ProcessGroup) -> Result<(), Error> {
        let eval = digest(&self.eval.features);
        let model = parameters::digest(&self.model);
        assert_same_on_all_ranks(group, "the training data", self.data.as_bytes())?;
        assert_same_on_all_ranks(group, "the evaluation data", eval.as_bytes())?;
        assert_same_on_all_ranks(group, "the model to start from", &model)
    }

    pub(crate) fn describe(&self, config: &Config, world_size: usize) {
        match (world_size, config.distributed.strategy) {
            (1, Strategy::None) => {}
            (1, _) => tracing::warn!("distributed.strategy has no effect: this is one process"),
            (processes, strategy) => {
                let through = match distributed::uses_nccl(&self.info) {
                    true => "NCCL",
                    false => "host memory",
                };
                tracing::info!(
                    "{processes} processes, {} through {through}",
                    strategy.name()
                );
            }
        }
        tracing::info!("{}", self.loaded);
        tracing::info!(
            "training on {} questions ({} windows), scoring on {} ({} windows), on {}",
            self.train.dataset.len(),
            self.train.features.len(),
            self.eval.dataset.len(),
            self.eval.features.len(),
            self.info.name
        );
        warn_without_gpu(&self.info);
    }
}

/// What an evaluation on the evaluation set looks like, from logits that know nothing.
fn untrained_metrics(
    eval: &FeaturizedDataset,
    config: &Config,
) -> Result<serde_json::Value, Error> {
    let flat = |feature: &Feature| [vec![0.0; feature.len()], vec![0.0; feature.len()]];
    let logits: Vec<_> = eval.features.iter().map(flat).collect();
    Ok(evaluate_logits(eval, &logits, &config.answers)?.metrics)
}
