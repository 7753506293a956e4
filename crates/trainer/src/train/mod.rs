//! A run: set-up, training loop, results.

mod checkpointer;
pub(crate) mod context;
pub(crate) mod engine;
mod epoch_totals;
mod finalize;
pub(crate) mod outcome;
mod plan;
mod prefetcher;
mod setup;
pub(crate) mod state;
mod step;
mod train_loop;
mod trainer;

pub use trainer::Trainer;
