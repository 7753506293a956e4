use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bert_qa::{BertForQuestionAnswering, ModelAssets, ModelCard, Precision, Pretrained};
use burn::tensor::Device;
use process_group::ProcessGroup;
use squad_data::{Feature, counted};

use crate::Error;
use crate::artifacts::checkpoint::{Checkpoint, Checkpoints};
use crate::artifacts::model_card;
use crate::artifacts::model_folder::model_folder;
use crate::artifacts::run_dir::RunDir;
use crate::config::{Config, Init, Strategy, TrainConfig};
use crate::data::{DataDigests, FeaturizedDataset, read_questions};
use crate::device::{DeviceInfo, device_of_rank, set_precision, warn_without_gpu};
use crate::distributed::{self, Ranks, check_all_ranks};
use crate::eval::{evaluate_logits, metric_warning};
use crate::logging::observer::Observer;
use crate::optim::adamw::Optimizer;
use crate::optim::parameters::{self, freeze};
use crate::train::context::{RunContext, StopFlag};
use crate::train::engine::{Engine, SingleProcessEngine};
use crate::train::plan::Plan;
use crate::train::state::RunState;

/// What the caller of a run decides.
pub(crate) struct RunOptions {
    pub(crate) config: Config,
    pub(crate) run_dir: Option<PathBuf>,
    /// Names the folder in `runs/` if there is no `run_dir`.
    pub(crate) run_name: String,
    pub(crate) resume: bool,
    pub(crate) allow_config_changes: bool,
    pub(crate) stop: StopFlag,
    pub(crate) group: Arc<dyn ProcessGroup>,
}

/// Everything that is built before the first step.
pub(crate) struct RunSetup {
    pub(crate) run: RunContext,
    pub(crate) train: FeaturizedDataset,
    pub(crate) eval: FeaturizedDataset,
    pub(crate) data: DataDigests,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) plan: Plan,
    pub(crate) state: RunState,
    /// The model card without scores.
    pub(crate) card: ModelCard,
}

/// The device, the model and the data of one rank.
struct Loaded {
    info: DeviceInfo,
    precision: Precision,
    /// Without autodiff.
    device: Device,
    train: FeaturizedDataset,
    eval: FeaturizedDataset,
    data: DataDigests,
    assets: ModelAssets,
    /// With autodiff.
    model: BertForQuestionAnswering,
    optimizer: Optimizer,
    plan: Plan,
    state: RunState,
    card: ModelCard,
    /// One line about the model.
    description: String,
}

impl RunOptions {
    /// Opens the run folder, loads model and data, and checks that all ranks start with the same. No error leaves a new
    /// run folder behind.
    pub(crate) fn set_up(&self, observer: &mut dyn Observer) -> Result<RunSetup, Error> {
        let started = Instant::now();
        let group = &self.group;
        let ranks = Ranks::new(Arc::clone(group));
        distributed::assert_same_build(&**group)?;
        let (run_dir, checkpoint) = check_all_ranks(&**group, self.open())?;
        let checkpoint_digest = checkpoint.as_ref().map(Checkpoint::digest).transpose();
        let checkpoint_digest = check_all_ranks(&**group, checkpoint_digest)?.unwrap_or_default();
        ranks.assert_same("the configuration", self.config.shared().as_bytes())?;
        ranks.assert_same("the checkpoint to resume", checkpoint_digest.as_bytes())?;
        let folder = check_all_ranks(&**group, self.model_folder(checkpoint.as_ref()))?;
        let loaded = Loaded::new(self, &ranks, &folder, checkpoint, observer);
        let loaded = check_all_ranks(&**group, loaded)?;
        loaded.assert_same_on_all_ranks(&ranks)?;
        let collectives = distributed::collectives(
            &self.config.distributed,
            &loaded.info,
            &loaded.device,
            group,
        )?;
        // From here on no error is the user's mistake: the run folder stays.
        if let Some(run_dir) = &run_dir {
            run_dir.write(run_log::CONFIG, &self.config.to_toml())?;
            tracing::info!("results go to {}", run_dir.path().display());
        }
        loaded.describe(&self.config, ranks.world_size());
        let device = loaded.device.clone().autodiff();
        let local = SingleProcessEngine::new(loaded.model, loaded.optimizer, device);
        let engine = distributed::engine(&self.config.distributed, local, group, collectives);
        Ok(RunSetup {
            run: RunContext {
                config: self.config.clone(),
                ranks,
                info: loaded.info,
                precision: loaded.precision,
                device: loaded.device,
                run_dir,
                assets: loaded.assets,
                stop: self.stop.clone(),
                started,
            },
            train: loaded.train,
            eval: loaded.eval,
            data: loaded.data,
            engine,
            plan: loaded.plan,
            state: loaded.state,
            card: loaded.card,
        })
    }

    /// The run folder, on rank 0 only, and the checkpoint to resume from.
    fn open(&self) -> Result<(Option<RunDir>, Option<Checkpoint>), Error> {
        distributed::check(&self.config.distributed, self.group.world_size())?;
        match &self.run_dir {
            Some(path) if self.resume => {
                let (run_dir, checkpoint) = self.open_to_resume(path)?;
                Ok((run_dir, Some(checkpoint)))
            }
            path => Ok((self.create_run_dir(path.as_deref())?, None)),
        }
    }

    fn create_run_dir(&self, path: Option<&Path>) -> Result<Option<RunDir>, Error> {
        if !self.is_main() {
            return Ok(None);
        }
        let created = match path {
            Some(path) => RunDir::create(path),
            None => RunDir::create_next(Path::new("runs"), &self.run_name),
        };
        created.map(Some)
    }

    fn open_to_resume(&self, path: &Path) -> Result<(Option<RunDir>, Checkpoint), Error> {
        let run_dir = self.is_main().then(|| RunDir::resume(path)).transpose()?;
        let checkpoints = Checkpoints::new(path, self.config.checkpoints.save_total_limit);
        let (checkpoint, damaged) = checkpoints.latest()?;
        self.check_config_changes(path, &checkpoint.config)?;
        if self.is_main() {
            checkpoints.set_aside(damaged);
            checkpoints.prune(&checkpoint.state);
        }
        Ok((run_dir, checkpoint))
    }

    fn is_main(&self) -> bool {
        self.group.rank() == 0
    }

    /// Checks that the run in a folder may continue with this configuration; `before` is that of its checkpoint.
    fn check_config_changes(&self, run_dir: &Path, before: &Config) -> Result<(), Error> {
        let differences = before.differences(&self.config);
        if !self.allow_config_changes && !differences.is_empty() {
            let mut lines = vec![format!(
                "{}: the run began with another configuration; to go on with this one give --allow-config-changes",
                run_dir.display()
            )];
            lines.extend(differences);
            return Err(Error::Config(lines));
        }
        check_unchanged(&before.train, &self.config.train)?;
        for difference in differences {
            tracing::warn!("changed: {difference}");
        }
        Ok(())
    }

    /// The model's folder. The first rank of each node downloads it; the others find it in the cache.
    fn model_folder(&self, checkpoint: Option<&Checkpoint>) -> Result<PathBuf, Error> {
        if let Some(checkpoint) = checkpoint {
            return Ok(checkpoint.model_folder());
        }
        let source = self.config.model.source.clone();
        let find = move || model_folder(&source, &|line| tracing::info!("{line}"));
        let first = (self.group.local_rank() == 0).then(|| find.clone());
        let first = distributed::without_timeout(&*self.group, first)?;
        match check_all_ranks(&*self.group, first.transpose())? {
            Some(folder) => Ok(folder),
            None => find(),
        }
    }
}

/// Checks the settings without which a checkpoint's moments, steps and position in the epoch mean nothing.
fn check_unchanged(before: &TrainConfig, now: &TrainConfig) -> Result<(), Error> {
    let kept = |train: &TrainConfig| {
        [
            ("seed", train.seed.to_string()),
            (
                "gradient_accumulation_steps",
                train.gradient_accumulation_steps.to_string(),
            ),
            ("freeze_embeddings", train.freeze_embeddings.to_string()),
            ("freeze_layers", train.freeze_layers.to_string()),
        ]
    };
    let pairs = kept(before).into_iter().zip(kept(now));
    let changed = pairs.filter(|(before, now)| before != now);
    let complaint = |((key, value), _)| {
        format!("train.{key} must stay {value} in a resumed run: the checkpoint depends on it")
    };
    let complaints: Vec<String> = changed.map(complaint).collect();
    if complaints.is_empty() {
        return Ok(());
    }
    Err(Error::Config(complaints))
}

impl Loaded {
    /// Loads the model from `folder`, and reads and tokenizes the data.
    fn new(
        options: &RunOptions,
        ranks: &Ranks,
        folder: &Path,
        checkpoint: Option<Checkpoint>,
        observer: &mut dyn Observer,
    ) -> Result<Self, Error> {
        let config = &options.config;
        let local_rank = ranks.group().local_rank();
        let (info, device) = device_of_rank(&config.run.device, local_rank)?;
        distributed::check_device(&config.distributed, ranks.world_size(), &info)?;
        let precision = set_precision(&info, &config.run)?;
        let (train, eval) = read_questions(config)?;
        let card = model_card::begin(config, &train, &eval);
        let load = match (config.model.init, &checkpoint) {
            (Init::Random, None) => Pretrained::random,
            _ => Pretrained::load,
        };
        let Pretrained {
            model,
            mut assets,
            report,
        } = load(folder, config.train.seed, &device.clone().autodiff())?;
        for warning in &report.warnings {
            tracing::warn!("{warning}");
        }
        config.features.check_positions(&assets.config)?;
        let (frozen, layers) = (config.train.freeze_layers, assets.config.num_hidden_groups);
        if frozen > layers {
            tracing::warn!(
                "train.freeze_layers is {frozen}, but the model has {layers}: all of them are frozen"
            );
        }
        let model = freeze(model.with_precision(precision, &device), &config.train);
        check_memory(&model, config, &info)?;
        let (before, all) = (train.len(), train.len() + eval.len());
        let features = &config.features;
        let progress = &mut |finished| observer.tokenizing(finished, all);
        let train = FeaturizedDataset::with_progress(train, &assets.tokenizer, features, progress)?;
        let progress = &mut |finished| observer.tokenizing(before + finished, all);
        let eval = FeaturizedDataset::with_progress(eval, &assets.tokenizer, features, progress)?;
        assets.qa_config = Some(config.qa_config(eval.dataset.has_unanswerable()));
        let data = DataDigests::new(&train, &eval);
        let mut optimizer = Optimizer::new(&config.train, &model);
        let mut plan = Plan::new(config, &train.features, ranks.shard()?)?;
        if !config.eval.metric_for_best_model.is_empty() {
            plan.check_metric(&untrained_metrics(&eval, config)?)?;
        }
        let mut state = plan.start();
        let mut description = format!("{}: {report}", config.model.source);
        if let Some(checkpoint) = checkpoint {
            checkpoint.check_data(&data, options.allow_config_changes)?;
            optimizer.restore(checkpoint.state.step, checkpoint.moments(&model, &device)?);
            description = format!("going on from {}", checkpoint.model_folder().display());
            state = checkpoint.state;
            plan.restore(&mut state)?;
        }
        Ok(Self {
            info,
            device,
            precision,
            train,
            eval,
            data,
            assets,
            model,
            optimizer,
            plan,
            state,
            card,
            description,
        })
    }

    /// Checks that all ranks start with the same data and parameters.
    fn assert_same_on_all_ranks(&self, ranks: &Ranks) -> Result<(), Error> {
        if ranks.world_size() == 1 {
            return Ok(());
        }
        ranks.assert_same("the training data", self.data.train.as_bytes())?;
        ranks.assert_same("the evaluation data", self.data.eval.as_bytes())?;
        let model = parameters::digest(&self.model);
        ranks.assert_same("the model to start from", &model)
    }

    /// Logs what is trained, on what and how.
    fn describe(&self, config: &Config, world_size: usize) {
        match (world_size, config.distributed.strategy) {
            (1, Strategy::None) => {}
            (1, _) => tracing::warn!("distributed.strategy has no effect: this is one process"),
            (processes, strategy) => {
                let strategy = strategy.name();
                let through = if distributed::uses_nccl(&self.info) {
                    "NCCL"
                } else {
                    "host memory"
                };
                tracing::info!("{processes} processes, {strategy} through {through}");
            }
        }
        tracing::info!("{}", self.description);
        for warning in self.assets.tokenizer.warnings() {
            tracing::warn!("{warning}");
        }
        tracing::info!(
            "training on {} ({}), evaluating on {} ({}), on {}",
            counted(self.train.dataset.len(), "question"),
            counted(self.train.features.len(), "feature"),
            self.eval.dataset.len(),
            counted(self.eval.features.len(), "feature"),
            self.info.name
        );
        let metric = config.eval.metric;
        if let Some(warning) = metric_warning(&self.eval.dataset, metric) {
            tracing::warn!("{warning}: set eval.metric");
        }
        if let Some(warning) = self.plan.early_stopping_warning() {
            tracing::warn!("{warning}");
        }
        warn_without_gpu(&self.info);
    }
}

/// Checks that weights, gradients and moments fit into host memory, if they are there.
fn check_memory(
    model: &BertForQuestionAnswering,
    config: &Config,
    info: &DeviceInfo,
) -> Result<(), Error> {
    if info.gpu().is_some() || config.distributed.strategy == Strategy::Fsdp {
        return Ok(());
    }
    // In f32: the weight, and for a trained one its gradient and two moments.
    let needed = parameters::parameters(model).iter().fold(0, |sum, p| {
        let bytes = if p.is_trained { 16 } else { 4 };
        sum + bytes * p.shape.num_elements() as u64
    });
    match squad_data::memory_limit() {
        Some(limit) if needed > limit => Err(Error::config(format!(
            "training {} needs {} for weights, gradients and moments; this process can have {} of memory",
            config.model.source,
            squad_data::readable_size(needed),
            squad_data::readable_size(limit)
        ))),
        _ => Ok(()),
    }
}

/// The metrics of an evaluation with logits that are all zero.
fn untrained_metrics(
    eval: &FeaturizedDataset,
    config: &Config,
) -> Result<serde_json::Value, Error> {
    let flat = |feature: &Feature| [vec![0.0; feature.len()], vec![0.0; feature.len()]];
    let logits: Vec<_> = eval.features.iter().map(flat).collect();
    Ok(evaluate_logits(eval, &logits, &config.answers, config.eval.metric)?.metrics)
}
