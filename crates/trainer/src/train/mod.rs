//! A run: set-up, training loop, end.

mod checkpointer;
pub(crate) mod engine;
mod evaluate;
mod finalize;
pub(crate) mod outcome;
mod plan;
mod prefetcher;
mod setup;
pub(crate) mod state;
mod step;
pub(crate) mod stop;
mod train_loop;
mod trainer;

pub use trainer::Trainer;
