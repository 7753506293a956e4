use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use process_group::{ProcessGroup, SingleProcess};
use squad_data::Shard;

use crate::Error;
use crate::artifacts::checkpoint::{Checkpoint, Checkpoints};
use crate::artifacts::model_folder::model_folder;
use crate::artifacts::run_dir::RunDir;
use crate::config::Config;
use crate::device::with_threads;
use crate::distributed::{self, assert_same_on_all_ranks, check_all_ranks, engine, with_rank};
use crate::logging::callbacks::{OnEpoch, OnEvaluation, OnStep};
use crate::logging::jsonl::JsonlLogger;
use crate::logging::observer::{EpochReport, EvaluationReport, Observer, StepReport};
use crate::logging::tensorboard::TensorBoard;
use crate::optim::lr_scheduler::Schedule;
use crate::train::finalize::Ending;
use crate::train::outcome::{Outcome, Stopped};
use crate::train::setup::RunSetup;
use crate::train::state::{EpochTotals, RunState};
use crate::train::stop::StopFlag;
use crate::train::{checkpointer::Checkpointer, train_loop::TrainLoop};

/// A run that is to be made: its configuration, its folder, and who is told how it goes.
pub struct Trainer<'a> {
    config: Config,
    run_dir: Option<PathBuf>,
    resume: bool,
    allow_config_changes: bool,
    stop: StopFlag,
    observers: Vec<Box<dyn Observer + 'a>>,
    group: Arc<dyn ProcessGroup>,
}

impl<'a> Trainer<'a> {
    /// A run of this configuration in a new folder: [`Trainer::run_dir`], else the first free one
    /// of `runs/run`, `runs/run-2`, ….
    ///
    /// # Errors
    /// All complaints about the configuration at once.
    pub fn new(config: Config) -> Result<Self, Error> {
        config.check()?;
        Ok(Self {
            config,
            run_dir: None,
            resume: false,
            allow_config_changes: false,
            stop: StopFlag::default(),
            observers: Vec::new(),
            group: Arc::new(SingleProcess),
        })
    }

    /// The folder for what the run leaves.
    pub fn run_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.run_dir = Some(folder.into());
        self
    }

    /// Goes on with the run in this folder from its last checkpoint. The result is that of a run
    /// that was never interrupted.
    pub fn resume(mut self, folder: impl Into<PathBuf>) -> Self {
        self.run_dir = Some(folder.into());
        self.resume = true;
        self
    }

    /// Whether a resumed run may have another configuration than it began with.
    pub fn allow_config_changes(mut self, allow: bool) -> Self {
        self.allow_config_changes = allow;
        self
    }

    /// Calls `told` after each optimizer step.
    pub fn on_step(self, told: impl FnMut(&StepReport) + Send + 'a) -> Self {
        self.observer(OnStep(told))
    }

    /// Calls `told` after each evaluation.
    pub fn on_evaluation(self, told: impl FnMut(&EvaluationReport) + Send + 'a) -> Self {
        self.observer(OnEvaluation(told))
    }

    /// Calls `told` after each epoch.
    pub fn on_epoch(self, told: impl FnMut(&EpochReport) + Send + 'a) -> Self {
        self.observer(OnEpoch(told))
    }

    /// Adds someone who is told everything.
    pub fn observer(mut self, observer: impl Observer + 'a) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// What stops this run: it then finishes its step and writes a checkpoint.
    pub fn stop_flag(&self) -> StopFlag {
        self.stop.clone()
    }

    /// The processes that make this run together, each with a `Trainer` of the same configuration;
    /// otherwise this one alone. Rank 0 has the folder and tells the observers.
    pub fn group(mut self, group: Arc<dyn ProcessGroup>) -> Self {
        self.group = group;
        self
    }

    /// The whole run: checks, data, model, training with evaluation, and what is saved.
    ///
    /// # Errors
    /// Whatever is wrong with the configuration's files is found before the first step. An error
    /// later leaves the last checkpoint as it was. Where there are several processes, see
    /// [`Error::must_abort_group`].
    pub fn fit(self) -> Result<Outcome, Error> {
        let group = Arc::clone(&self.group);
        with_threads(self.config.run.threads, || self.run())
            .and_then(|outcome| outcome)
            .map_err(|error| with_rank(error, &*group))
    }

    fn run(mut self) -> Result<Outcome, Error> {
        let started = Instant::now();
        let group = Arc::clone(&self.group);
        let (rank, world_size) = (group.rank(), group.world_size());
        if rank != 0 {
            self.observers.clear();
        }
        let (run_dir, from) = check_all_ranks(&*group, self.open())?;
        let digest = from.as_ref().map(Checkpoint::digest).transpose();
        let digest = check_all_ranks(&*group, digest)?.unwrap_or_default();
        assert_same_on_all_ranks(
            &*group,
            "the configuration",
            self.config.shared().as_bytes(),
        )?;
        assert_same_on_all_ranks(&*group, "the checkpoint to go on from", digest.as_bytes())?;
        let folder = self.model_folder(from.as_ref());
        let folder = check_all_ranks(&*group, folder)?;
        let place = (Shard::new(rank, world_size)?, group.local_rank());
        let observers = &mut self.observers;
        let run = RunSetup::new(&self.config, &folder, from, place, observers);
        let run = check_all_ranks(&*group, run)?;
        if world_size > 1 {
            run.assert_same_on_all_ranks(&*group)?;
        }
        let distributed = &self.config.distributed;
        let on = (&run.info, &run.device);
        let collectives = distributed::collectives(distributed, on, &group)?;
        // Nothing is left that the user could mend: from here on the folder is a run's.
        if let Some(run_dir) = &run_dir {
            run_dir.write(run_log::CONFIG, &self.config.to_toml())?;
            tracing::info!("results go to {}", run_dir.path().display());
        }
        run.describe(&self.config, world_size);
        let mut told = match &run_dir {
            Some(run_dir) => open_curves(run_dir, &run.state, self.resume, &mut self.observers)?,
            None => Vec::new(),
        };
        let device = run.device.clone().autodiff();
        let (model, optimizer) = (run.model, run.optimizer);
        let engine = engine(distributed, model, optimizer, device, &group, collectives);
        let checkpointer = run_dir.as_ref().map(|run_dir| Checkpointer {
            run_dir,
            checkpoints: Checkpoints::new(run_dir.path(), self.config.checkpoints.save_total_limit),
            assets: &run.assets,
            data: run.data,
        });
        let fit = TrainLoop {
            config: &self.config,
            train: &run.train,
            eval: &run.eval,
            group,
            checkpointer,
            device: run.device.clone(),
            engine,
            totals: EpochTotals::restore(&run.state.totals, rank, &run.device),
            schedule: Schedule::new(&self.config.train, run.plan.total_steps),
            plan: run.plan,
            state: run.state,
            stop: self.stop,
            started,
            evaluation: None,
        };
        let result = fit.run(&mut told)?;
        drop(told);
        let Some(run_dir) = run_dir else {
            return Ok(Outcome::Worker {
                stopped: result.stopped,
            });
        };
        if let (true, Some(checkpoint)) = (result.stopped, &result.checkpoint) {
            return Ok(Outcome::Stopped(Stopped {
                run_dir: run_dir.path().into(),
                checkpoint: checkpoint.clone(),
                step: result.state.step,
            }));
        }
        let ending = Ending {
            config: &self.config,
            run_dir: &run_dir,
            assets: &run.assets,
            info: &run.info,
            device: &run.device,
            started,
            world_size,
        };
        let trained = ending.save(result, run.eval, run.card)?;
        Ok(Outcome::Finished(Box::new(trained)))
    }

    /// The run's folder, which rank 0 alone works in, and the checkpoint to go on from.
    fn open(&self) -> Result<(Option<RunDir>, Option<Checkpoint>), Error> {
        distributed::check(&self.config.distributed, self.group.world_size())?;
        let is_first = self.group.rank() == 0;
        let path = match &self.run_dir {
            Some(path) => path.clone(),
            None => RunDir::next_free(Path::new("runs"), "run"),
        };
        if !self.resume {
            let run_dir = is_first.then(|| RunDir::create(&path)).transpose()?;
            return Ok((run_dir, None));
        }
        let run_dir = is_first.then(|| RunDir::resume(&path)).transpose()?;
        self.compare_with(&path)?;
        let checkpoints = Checkpoints::new(&path, self.config.checkpoints.save_total_limit);
        if is_first {
            checkpoints.clean();
        }
        Ok((run_dir, Some(checkpoints.latest()?)))
    }

    /// Whether the run in a folder may go on with this configuration.
    fn compare_with(&self, run_dir: &Path) -> Result<(), Error> {
        let before = Config::resolve(&RunDir::config_in(run_dir)?, &[])?;
        let differences = before.differences(&self.config);
        if !self.allow_config_changes && !differences.is_empty() {
            let mut lines = vec![format!(
                "{}: the run began with another configuration; to go on with this one give --allow-config-changes",
                run_dir.display()
            )];
            lines.extend(differences);
            return Err(Error::Config(lines));
        }
        for difference in differences {
            tracing::warn!("changed: {difference}");
        }
        Ok(())
    }

    /// Where the model is. The first process of each machine fetches it, and the others then find it.
    fn model_folder(&self, from: Option<&Checkpoint>) -> Result<PathBuf, Error> {
        if let Some(checkpoint) = from {
            return Ok(checkpoint.model_folder());
        }
        let find = || model_folder(&self.config.model.source, &|line| tracing::info!("{line}"));
        let first = (self.group.local_rank() == 0).then(find).transpose();
        match check_all_ranks(&*self.group, first)? {
            Some(folder) => Ok(folder),
            None => find(),
        }
    }
}

/// Everyone who is told: the caller's observers, TensorBoard, `metrics.jsonl`.
fn open_curves<'a>(
    run_dir: &RunDir,
    state: &RunState,
    resume: bool,
    observers: &mut Vec<Box<dyn Observer + 'a>>,
) -> Result<Vec<Box<dyn Observer + 'a>>, Error> {
    let path = run_dir.join(run_log::METRICS_LOG);
    let (curves, past) = if resume {
        JsonlLogger::resume(&path, state)?
    } else {
        (JsonlLogger::create(&path)?, Vec::new())
    };
    let mut told = std::mem::take(observers);
    let events = run_dir.join(run_log::TENSORBOARD_DIR);
    told.push(Box::new(TensorBoard::new(&events, past, |line| {
        tracing::warn!("{line}");
    })));
    told.push(Box::new(curves));
    Ok(told)
}
