//! The files of a training run's folder, and the lines of its `metrics.jsonl`.
//!
//! `trainer` writes [`Record`]s; `report` and `notebook-kit` read them.
//!
//! ```
//! use run_log::{Record, RecordKind, read_records};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join(run_log::METRICS_LOG);
//! std::fs::write(&path, "{\"step\": 1, \"epoch\": 1, \"train/loss\": 5.9}\n")?;
//! for record in read_records(&path)? {
//!     let record = record?;
//!     assert_eq!(record.kind, RecordKind::Step);
//!     assert_eq!(record.scalar("train/loss"), Some(5.9));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(missing_docs)]

mod error;
mod files;
mod reader;
mod record;

pub use error::Error;
pub use files::{
    BEST_MODEL_DIR, CHECKPOINTS_DIR, CONFIG, EVAL_DIR, METRICS, METRICS_LOG, MODEL_DIR, NBEST,
    NULL_ODDS, PREDICTIONS, PREDICTIONS_AT_BEST_F1, REPORT, TENSORBOARD_DIR,
};
pub use reader::{Records, read_records};
pub use record::{Record, RecordKind};

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
