//! Fine-tunes BERT-family encoders on SQuAD: the library behind the `trainer` command.
//!
//! [`Trainer`] is a whole run from a [`Config`]; [`Observer`]s and callbacks are told how it goes.
//! It keeps nothing outside the run: two runs in one process give what two processes give.
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
//!     println!("{}", trained.metrics["dev"]);
//! }
//! # Ok::<(), trainer::Error>(())
//! ```
#![deny(missing_docs)]

mod ahead;
mod callbacks;
mod card;
mod checkpoint;
mod config;
mod curves;
mod data;
mod device;
mod digest;
mod distributed;
mod ending;
mod engine;
mod error;
mod evaluate;
mod fetch;
mod fit;
mod gradients;
mod machine;
mod model_folder;
mod observer;
mod optimizer;
mod optimizer_state;
mod outcome;
mod parameters;
mod plan;
mod prediction_files;
mod prepared;
mod progress;
mod report;
mod run_dir;
mod schedule;
mod state;
mod stop;
mod tensorboard;
mod train;
mod window_scores;

pub use bert_qa::model_cache;
pub use config::{
    AnswerConfig, CheckpointConfig, Config, DistributedConfig, EvalConfig, FeatureConfig,
    Float32MatmulPrecision, Init, LrSchedulerType, ModelConfig, RunConfig, ShardingStrategy,
    Strategy, TrainConfig,
};
pub use data::{Questions, read_questions};
pub use device::{DeviceInfo, absent_devices, device, devices, warn_without_gpu};
pub use distributed::check_all_ranks;
pub use error::Error;
pub use evaluate::{Evaluation, Timings, evaluate, evaluate_logits, gold_answers, score};
pub use fetch::{DatasetFile, FetchEvent, FetchOptions, Manifest, fetch_file};
pub use gradients::ParameterGradients;
#[cfg(feature = "parquet")]
pub use machine::quiet_parquet_panics;
pub use machine::{keep_freed_memory, peak_memory_bytes, with_threads};
pub use model_folder::model_folder;
pub use observer::{EpochReport, EvaluationReport, Observer, RunStart, StepReport};
pub use optimizer::Optimizer;
pub use outcome::{Outcome, Stopped, Trained};
pub use progress::Progress;
pub use report::{
    Group, ScoredExample, by_answer_length, by_context_length, by_question_word, report, thinned,
};
pub use run_dir::RunDir;
pub use schedule::Schedule;
pub use state::Best;
pub use stop::StopFlag;
pub use train::Trainer;
