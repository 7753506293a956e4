use std::path::PathBuf;
use std::sync::Arc;

use bert_qa::autocast;
use process_group::{ProcessGroup, SingleProcess};

use crate::Error;
use crate::config::Config;
use crate::device::with_threads;
use crate::distributed::with_rank;
use crate::logging::jsonl::JsonlLogger;
use crate::logging::observer::{
    EpochReport, EvaluationReport, Observer, OnEpoch, OnEvaluation, OnStep, StepReport,
};
#[cfg(feature = "tensorboard")]
use crate::logging::tensorboard::TensorBoard;
use crate::train::checkpointer::Checkpointer;
use crate::train::context::StopFlag;
use crate::train::epoch_totals::EpochTotals;
use crate::train::finalize::finalize;
use crate::train::outcome::Outcome;
use crate::train::setup::{RunOptions, RunSetup};
use crate::train::train_loop::TrainLoop;

/// A training run: its configuration, its folder and its observers.
pub struct Trainer<'a> {
    options: RunOptions,
    observers: Vec<Box<dyn Observer + 'a>>,
}

impl<'a> Trainer<'a> {
    /// A run of this configuration in a new folder: [`Trainer::run_dir`], or else the first free one of `runs/NAME`,
    /// `runs/NAME-2`, … with the name of [`Trainer::run_name`].
    ///
    /// # Errors
    /// If the configuration is not valid; lists all complaints.
    pub fn new(config: Config) -> Result<Self, Error> {
        config.check()?;
        let options = RunOptions {
            config,
            run_dir: None,
            run_name: "run".into(),
            resume: false,
            allow_config_changes: false,
            stop: StopFlag::default(),
            group: Arc::new(SingleProcess),
        };
        Ok(Self {
            options,
            observers: Vec::new(),
        })
    }

    /// Sets the run folder.
    pub fn run_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.options.run_dir = Some(folder.into());
        self
    }

    /// Sets the name of the folder in `runs/` of a run without [`Trainer::run_dir`]; `run` by default.
    pub fn run_name(mut self, name: impl Into<String>) -> Self {
        self.options.run_name = name.into();
        self
    }

    /// Resumes the run in this folder from its last checkpoint. The result is that of an uninterrupted run.
    pub fn resume(mut self, folder: impl Into<PathBuf>) -> Self {
        self.options.run_dir = Some(folder.into());
        self.options.resume = true;
        self
    }

    /// Whether a resumed run may have another configuration than it began with.
    pub fn allow_config_changes(mut self, allow: bool) -> Self {
        self.options.allow_config_changes = allow;
        self
    }

    /// Calls `callback` after each optimizer step.
    pub fn on_step(self, callback: impl FnMut(&StepReport) + Send + 'a) -> Self {
        self.observer(OnStep(callback))
    }

    /// Calls `callback` after each evaluation.
    pub fn on_evaluation(self, callback: impl FnMut(&EvaluationReport) + Send + 'a) -> Self {
        self.observer(OnEvaluation(callback))
    }

    /// Calls `callback` after each epoch.
    pub fn on_epoch(self, callback: impl FnMut(&EpochReport) + Send + 'a) -> Self {
        self.observer(OnEpoch(callback))
    }

    /// Adds an observer.
    pub fn observer(mut self, observer: impl Observer + 'a) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// A flag that stops this run.
    pub fn stop_flag(&self) -> StopFlag {
        self.options.stop.clone()
    }

    /// The processes of this run, each with a `Trainer` of the same configuration. The default is a single process.
    /// Rank 0 has the run folder and calls the observers.
    pub fn group(mut self, group: Arc<dyn ProcessGroup>) -> Self {
        self.options.group = group;
        self
    }

    /// Trains: checks and loads everything, runs the training loop with its evaluations, and saves the results.
    ///
    /// # Errors
    /// Mistakes in the configuration and its files are found before the first step. A later error leaves the last
    /// checkpoint intact. With several processes, see [`Error::must_abort_group`].
    pub fn fit(self) -> Result<Outcome, Error> {
        let group = Arc::clone(&self.options.group);
        with_threads(self.options.config.run.threads, || self.run())
            .and_then(|outcome| outcome)
            .map_err(|error| with_rank(error.in_training(), &*group))
    }

    fn run(mut self) -> Result<Outcome, Error> {
        if self.options.group.rank() != 0 {
            self.observers.clear();
        }
        let setup = self.options.set_up(&mut self.observers)?;
        let mut observers = self.open_loggers(&setup)?;
        let RunSetup {
            run,
            train,
            eval,
            card,
            ..
        } = setup;
        let train_loop = TrainLoop {
            run: &run,
            train: &train,
            eval: &eval,
            checkpointer: Checkpointer::new(&run, setup.data),
            engine: setup.engine,
            plan: setup.plan,
            totals: EpochTotals::restore(&setup.state.totals, &run),
            state: setup.state,
            evaluation: None,
            pending: None,
            last_read: None,
        };
        let result = autocast(run.precision, || train_loop.run(&mut observers))?;
        drop(observers);
        autocast(run.precision, || {
            finalize(&run, result, &train.dataset.flaws, eval, card)
        })
    }

    /// The observers of the caller, TensorBoard and `metrics.jsonl`; none on ranks without a run folder.
    fn open_loggers(self, setup: &RunSetup) -> Result<Vec<Box<dyn Observer + 'a>>, Error> {
        let Some(run_dir) = &setup.run.run_dir else {
            return Ok(Vec::new());
        };
        let path = run_dir.join(run_log::METRICS_LOG);
        let (jsonl, past) = if self.options.resume {
            JsonlLogger::resume(&path, &setup.state)?
        } else {
            (JsonlLogger::create(&path)?, Vec::new())
        };
        let mut observers = self.observers;
        #[cfg(feature = "tensorboard")]
        observers.push(Box::new(TensorBoard::new(
            &run_dir.join(run_log::TENSORBOARD_DIR),
            past,
            |line| tracing::warn!("{line}"),
        )));
        #[cfg(not(feature = "tensorboard"))]
        drop(past);
        observers.push(Box::new(jsonl));
        Ok(observers)
    }
}
