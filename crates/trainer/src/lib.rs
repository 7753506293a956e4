//! Fine-tunes BERT-family encoders on SQuAD: the library behind the `trainer` command.
//!
//! [`train`] is a whole run from a [`Config`]; [`Fit`] is its loop, told through [`Observer`]s.
#![deny(missing_docs)]

mod card;
mod config;
mod data;
mod device;
mod error;
mod evaluate;
mod fit;
mod machine;
mod observer;
mod optimizer;
mod progress;
mod run_dir;
mod schedule;
mod tensorboard;
mod train;

pub use bert_qa::model_cache;
pub use config::{
    AnswerConfig, Config, DevConfig, ModelConfig, RunConfig, TrainConfig, WindowConfig,
};
pub use data::{Questions, read_dev, read_train};
pub use device::{DeviceInfo, device, devices};
pub use error::Error;
pub use evaluate::{Evaluation, evaluate, score};
pub use fit::{Fit, Fitted};
pub use machine::{keep_freed_memory, peak_memory_bytes, set_threads};
pub use observer::{EpochReport, Observer, RunStart, StepReport};
pub use optimizer::Optimizer;
pub use progress::Progress;
pub use run_dir::{Lines, RunDir};
pub use schedule::LinearSchedule;
pub use tensorboard::TensorBoard;
pub use train::{Trained, train};
