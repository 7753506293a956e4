//! Fine-tunes BERT-family encoders on SQuAD: the library behind the `trainer` command.
//!
//! A [`Trainer`] makes a run from a [`Config`]; [`Observer`]s and callbacks receive its events. Runs share no state: two
//! runs in one process compute what two processes compute.
//!
//! ```no_run
//! use trainer::{Config, Trainer};
//!
//! let config = Config::resolve("configs/quickstart.toml".as_ref(), &["train.num_train_epochs=1".to_owned()])?;
//! let outcome = Trainer::new(config)?
//!     .run_dir("runs/mine")
//!     .on_step(|step| println!("{} {:.3}", step.step, step.loss))
//!     .fit()?;
//! if let Some(trained) = outcome.finished() {
//!     println!("{}", trained.metrics["eval"]);
//! }
//! # Ok::<(), trainer::Error>(())
//! ```
#![deny(missing_docs)]

mod artifacts;
mod build_info;
mod config;
mod data;
mod device;
mod distributed;
mod error;
mod eval;
mod fetch;
mod logging;
mod optim;
mod predict;
#[cfg(feature = "serve")]
mod serve;
mod train;

#[doc(hidden)]
pub use artifacts::checkpoint::check_run_state;
pub use artifacts::digest::model_digest;
pub use artifacts::model_folder::model_folder;
pub use artifacts::predictions::PredictionFormat;
pub use artifacts::run_dir::RunDir;
pub use bert_qa::model_cache;
pub use config::{
    AnswerConfig, CheckpointConfig, Config, DistributedConfig, EvalConfig, FeatureConfig,
    Float32MatmulPrecision, Init, LrSchedulerType, ModelConfig, RunConfig, ShardingStrategy,
    Strategy, TrainConfig,
};
pub use data::{
    FeaturizedDataset, read_eval_questions, read_questions, read_scorable,
    read_scorable_and_unlabelled,
};
pub use device::process::{keep_freed_memory, peak_memory_bytes, quiet_handled_panics};
pub use device::{
    DeviceInfo, DeviceMemory, absent_devices, available_precision, device, devices,
    warn_without_gpu, with_threads,
};
pub use distributed::{check_all_ranks, connect};
pub use download::{DownloadEvent, DownloadOptions};
pub use error::Error;
pub use eval::{Evaluation, Timings, evaluate, evaluate_logits, metric_warning, score};
pub use fetch::{DatasetFile, FetchOptions, Manifest, fetch_file};
pub use logging::observer::{EpochReport, EvaluationReport, Observer, RunStart, StepReport};
pub use logging::output::{LogWriter, ResultWriter, escape_controls, print_log, print_result};
pub use logging::progress::Progress;
pub use optim::adamw::Optimizer;
pub use optim::lr_scheduler::Schedule;
#[doc(hidden)]
pub use optim::state_file::check_optimizer_state;
pub use predict::{
    DatasetShard, PredictDataset, PredictedDataset, Predictor, answer_object, predict_pipeline,
};
#[doc(hidden)]
pub use predict::{check_prediction_journal, check_question_lines};
#[cfg(feature = "serve")]
#[doc(hidden)]
pub use serve::check_serve_request;
#[cfg(feature = "serve")]
pub use serve::{ServeLimits, Server};
pub use train::Trainer;
pub use train::context::StopFlag;
pub use train::outcome::{Outcome, Stopped, Trained};
pub use train::state::Best;

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
