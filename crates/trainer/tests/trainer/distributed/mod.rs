//! Ranks that are threads of this process.

mod equivalence;
mod errors;
mod resume;
mod thread_group;

use std::collections::BTreeMap;
use std::sync::Arc;

use process_group::ProcessGroup;
use trainer::{Config, Error, Outcome, Trainer};

use self::thread_group::ThreadGroup;
use crate::support::{HOST_DEVICE, Sandbox};
use test_support::TinyModel;

/// Twenty steps without dropout. With AdamW's usual epsilon of 1e-8, rounding in a gradient near zero moves its parameter by
/// as much as the learning rate, so that runs could not be compared.
pub(crate) const EXACT: &[&str] = &[
    "train.num_train_epochs=20",
    "train.max_steps=20",
    "train.learning_rate=3e-4",
    "train.max_train_samples=21",
    "train.adam_epsilon=1e-4",
    "train.dropout=false",
    "train.weight_decay=0.1",
    "eval.max_eval_samples=5",
    "eval.every_epochs=0",
    "run.threads=1",
    HOST_DEVICE,
];

pub(crate) const DDP: &[&str] = &[
    "distributed.strategy=ddp",
    "distributed.verify_params_every_steps=1",
];
pub(crate) const FSDP: &[&str] = &["distributed.strategy=fsdp"];
pub(crate) const GRAD_OP: &[&str] = &[
    "distributed.strategy=fsdp",
    "distributed.sharding_strategy=shard_grad_op",
    "distributed.verify_params_every_steps=1",
];

pub(crate) fn sandbox() -> Sandbox {
    Sandbox::with_model(&TinyModel {
        num_hidden_layers: 2,
        ..TinyModel::default()
    })
}

/// The outcomes of ranks that are threads, in the order of ranks.
pub(crate) fn run_ranks(
    world_size: usize,
    run: impl Fn(Arc<dyn ProcessGroup>) -> Result<Outcome, Error> + Sync,
) -> Vec<Result<Outcome, Error>> {
    run_all(ThreadGroup::of(world_size), run)
}

/// The outcomes of the ranks of a group.
pub(crate) fn run_all(
    ranks: Vec<Arc<dyn ProcessGroup>>,
    run: impl Fn(Arc<dyn ProcessGroup>) -> Result<Outcome, Error> + Sync,
) -> Vec<Result<Outcome, Error>> {
    std::thread::scope(|scope| {
        let run = &run;
        let ranks = ranks.into_iter();
        let threads: Vec<_> = ranks.map(|group| scope.spawn(move || run(group))).collect();
        let threads = threads.into_iter();
        threads.map(|thread| thread.join().unwrap()).collect()
    })
}

/// A whole run of several ranks, to the folder `run`.
pub(crate) fn train(sandbox: &Sandbox, run: &str, world_size: usize, settings: &[&[&str]]) {
    let config = || -> Config { sandbox.config(&settings.concat()) };
    for outcome in run_ranks(world_size, |group| {
        let trainer = Trainer::new(config())?.run_dir(sandbox.path(run));
        trainer.group(group).fit()
    }) {
        match outcome.unwrap() {
            Outcome::Finished(_) | Outcome::Worker { stopped: false } => {}
            other => panic!("the run has not finished: {other:?}"),
        }
    }
}

/// The parameters of a run's model, by name.
pub(crate) fn parameters(sandbox: &Sandbox, run: &str) -> BTreeMap<String, Vec<f32>> {
    crate::support::parameters(&sandbox.path(run).join("model"))
}

/// The largest difference between the parameters of two runs.
pub(crate) fn difference(sandbox: &Sandbox, run: &str, other: &str) -> f32 {
    let (run, other) = (parameters(sandbox, run), parameters(sandbox, other));
    assert!(run.keys().eq(other.keys()));
    let pairs = run.values().flatten().zip(other.values().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}
