use std::path::{Path, PathBuf};
use std::time::Instant;

use squad_data::Prediction;

use crate::callbacks::{OnEpoch, OnEvaluation, OnStep};
use crate::checkpoint::Checkpoints;
use crate::config::Config;
use crate::curves::Curves;
use crate::data::Questions;
use crate::ending::Ending;
use crate::fit::Fit;
use crate::observer::{EpochReport, EvaluationReport, Observer, StepReport};
use crate::prepared::Prepared;
use crate::run_dir::RunDir;
use crate::schedule::Schedule;
use crate::state::{EpochTotals, RunState};
use crate::stop::StopFlag;
use crate::tensorboard::TensorBoard;
use crate::{Error, machine};

/// A run that is to be made: its configuration, its folder, and who is told how it goes.
pub struct Trainer<'a> {
    config: Config,
    run_dir: Option<PathBuf>,
    resume: bool,
    allow_changes: bool,
    stop: StopFlag,
    observers: Vec<Box<dyn Observer + 'a>>,
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// It is done.
    Finished(Box<Trained>),
    /// It was asked to stop, and can go on.
    Stopped(Stopped),
}

/// A finished run.
#[derive(Debug)]
pub struct Trained {
    /// The run's folder.
    pub run_dir: PathBuf,
    /// Where the model was saved, in Hugging Face layout.
    pub model_folder: PathBuf,
    /// `metrics.json` of the run.
    pub metrics: serde_json::Value,
    /// The dev questions with their windows.
    pub dev: Questions,
    /// The answers, in the questions' order.
    pub predictions: Vec<Prediction>,
}

/// A run that was stopped before its end.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// The run's folder, to be given to [`Trainer::resume`].
    pub run_dir: PathBuf,
    /// The checkpoint that was written.
    pub checkpoint: PathBuf,
    /// Optimizer steps made.
    pub step: u32,
}

impl Outcome {
    /// The finished run, if it was not stopped.
    pub fn finished(self) -> Option<Trained> {
        match self {
            Self::Finished(trained) => Some(*trained),
            Self::Stopped(_) => None,
        }
    }
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
            allow_changes: false,
            stop: StopFlag::default(),
            observers: Vec::new(),
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
    pub fn allow_changes(mut self, allow: bool) -> Self {
        self.allow_changes = allow;
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

    /// The whole run: checks, data, model, training with evaluation, and what is saved.
    ///
    /// # Errors
    /// Whatever is wrong with the configuration's files is found before the first step. An error
    /// later leaves the last checkpoint as it was.
    pub fn fit(self) -> Result<Outcome, Error> {
        machine::with_threads(self.config.run.threads, || self.run())?
    }

    fn run(mut self) -> Result<Outcome, Error> {
        let started = Instant::now();
        let run_dir = self.open_folder()?;
        let checkpoints = Checkpoints::new(run_dir.path(), self.config.checkpoints.keep);
        let from = match self.resume {
            true => Some(checkpoints.latest()?),
            false => None,
        };
        let run = Prepared::new(&self.config, from, &mut self.observers)?;
        // Nothing is left that the user could mend: from here on the folder is a run's.
        run_dir.write("config.toml", &self.config.to_toml())?;
        tracing::info!("results go to {}", run_dir.path().display());
        run.describe(&self.config);
        let observers = &mut self.observers;
        let mut told = open_curves(&run_dir, &run.state, self.resume, observers)?;
        let fit = Fit {
            config: &self.config,
            train: &run.train,
            dev: &run.dev,
            data: run.data,
            companions: &run.companions,
            run_dir: &run_dir,
            device: run.device.clone(),
            optimizer: run.optimizer,
            totals: EpochTotals::restore(&run.state.totals, &run.device),
            schedule: Schedule::new(&self.config.train, run.plan.total_steps),
            plan: run.plan,
            state: run.state,
            checkpoints,
            stop: self.stop,
            started,
            evaluation: None,
        };
        let fitted = fit.run(run.model, &mut told)?;
        drop(told);
        if let Some(checkpoint) = fitted.stopped {
            return Ok(Outcome::Stopped(Stopped {
                run_dir: run_dir.path().into(),
                checkpoint,
                step: fitted.state.step,
            }));
        }
        let ending = Ending {
            config: &self.config,
            run_dir: &run_dir,
            companions: &run.companions,
            info: &run.info,
            device: &run.device,
            started,
        };
        let trained = ending.save(fitted, run.dev, run.card)?;
        Ok(Outcome::Finished(Box::new(trained)))
    }

    fn open_folder(&self) -> Result<RunDir, Error> {
        let path = match &self.run_dir {
            Some(path) => path.clone(),
            None => RunDir::next_free(Path::new("runs"), "run"),
        };
        if !self.resume {
            return RunDir::create(&path);
        }
        let run_dir = RunDir::resume(&path)?;
        let before = Config::resolve(&RunDir::config_in(&path)?, &[])?;
        let differences = before.differences(&self.config);
        if differences.is_empty() {
            return Ok(run_dir);
        }
        if !self.allow_changes {
            let mut lines = vec![format!(
                "{}: the run began with another configuration; to go on with this one give --allow-changes",
                path.display()
            )];
            lines.extend(differences);
            return Err(Error::Config(lines));
        }
        for difference in differences {
            tracing::warn!("changed: {difference}");
        }
        Ok(run_dir)
    }
}

/// Everyone who is told: the caller's observers, TensorBoard, `metrics.jsonl`.
fn open_curves<'a>(
    run_dir: &RunDir,
    state: &RunState,
    resume: bool,
    observers: &mut Vec<Box<dyn Observer + 'a>>,
) -> Result<Vec<Box<dyn Observer + 'a>>, Error> {
    let path = run_dir.join("metrics.jsonl");
    let (curves, past) = match resume {
        true => Curves::resume(&path, state)?,
        false => (Curves::create(&path)?, Vec::new()),
    };
    let mut told = std::mem::take(observers);
    let events = run_dir.join("tensorboard");
    told.push(Box::new(TensorBoard::new(&events, past, |line| {
        tracing::warn!("{line}");
    })));
    told.push(Box::new(curves));
    Ok(told)
}
