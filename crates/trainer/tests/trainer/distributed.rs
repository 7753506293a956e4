//! Several ranks do what one does with their batches together.

use std::collections::BTreeMap;
use std::sync::Arc;

use process_group::ProcessGroup;
use safetensors::SafeTensors;
use trainer::{Config, Error, Outcome, Trainer};

use crate::support::Sandbox;
use crate::thread_group::ThreadGroup;
use crate::tiny_model::TinyModel;

/// Without dropout, and with an epsilon that does not make much of rounding: see `docs/distributed.md`.
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
    "run.device=ndarray",
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

/// What each rank's run gave, by rank.
pub(crate) fn run_ranks(
    world_size: usize,
    run: impl Fn(Arc<dyn ProcessGroup>) -> Result<Outcome, Error> + Sync,
) -> Vec<Result<Outcome, Error>> {
    run_all(ThreadGroup::of(world_size), run)
}

/// The same of ranks that are there.
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

/// A whole run of several ranks into the folder `run`.
pub(crate) fn train(sandbox: &Sandbox, run: &str, world_size: usize, settings: &[&[&str]]) {
    let config = || -> Config { sandbox.config(&settings.concat()) };
    for outcome in run_ranks(world_size, |group| {
        let trainer = Trainer::new(config())?.run_dir(sandbox.path(run));
        trainer.group(group).fit()
    }) {
        match outcome.unwrap() {
            Outcome::Finished(_) | Outcome::Worker { stopped: false } => {}
            other => panic!("nobody asked it to stop: {other:?}"),
        }
    }
}

/// A run's parameters by name.
pub(crate) fn parameters(sandbox: &Sandbox, run: &str) -> BTreeMap<String, Vec<f32>> {
    let bytes = sandbox.weights(run);
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let values = |data: &[u8]| {
        let (numbers, _) = data.as_chunks();
        numbers
            .iter()
            .map(|number| f32::from_le_bytes(*number))
            .collect()
    };
    let tensors = file.tensors().into_iter();
    tensors
        .map(|(name, tensor)| (name, values(tensor.data())))
        .collect()
}

/// The largest difference of two runs' parameters.
pub(crate) fn difference(sandbox: &Sandbox, run: &str, other: &str) -> f32 {
    let (run, other) = (parameters(sandbox, run), parameters(sandbox, other));
    assert!(run.keys().eq(other.keys()));
    let pairs = run.values().flatten().zip(other.values().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Windows of the steps of an epoch: five batches of four and one of one, which leaves most ranks none.
fn has_an_uneven_tail(sandbox: &Sandbox) {
    let config = sandbox.config(
        &[
            EXACT,
            &["train.per_device_train_batch_size=4", "train.max_steps=6"],
        ]
        .concat(),
    );
    let mut windows = Vec::new();
    let trainer = Trainer::new(config).unwrap().run_dir(sandbox.path("tail"));
    let outcome = trainer.on_step(|step| windows.push(step.features)).fit();
    outcome.unwrap();
    assert_eq!(windows, [4, 4, 4, 4, 4, 1]);
}

/// Twenty steps by ranks with a share of each batch of four are those of one rank.
fn equals_one_rank(strategy: &[&str]) {
    let sandbox = sandbox();
    has_an_uneven_tail(&sandbox);
    for accumulation in [
        "train.gradient_accumulation_steps=1",
        "train.gradient_accumulation_steps=3",
    ] {
        let one = format!("one-{accumulation}");
        let more = [accumulation];
        train(
            &sandbox,
            &one,
            1,
            &[EXACT, &more, &["train.per_device_train_batch_size=4"]],
        );
        for (ranks, batch_size) in [
            (2, "train.per_device_train_batch_size=2"),
            (4, "train.per_device_train_batch_size=1"),
        ] {
            let run = format!("{ranks}-{accumulation}");
            train(
                &sandbox,
                &run,
                ranks,
                &[EXACT, &more, &[batch_size], strategy],
            );
            let error = difference(&sandbox, &one, &run);
            assert!(error < 1e-6, "{run}: {error}");
            let losses = |run: &str| -> Vec<f64> {
                let lines = sandbox.json_lines(&format!("{run}/metrics.jsonl"));
                lines
                    .iter()
                    .filter_map(|line| line["train/loss"].as_f64())
                    .collect()
            };
            let (expected, found) = (losses(&one), losses(&run));
            assert_eq!(expected.len(), 20);
            for (expected, found) in expected.iter().zip(&found) {
                assert!((expected - found).abs() < 1e-5, "{expected} {found}");
            }
        }
        // Negative control: other batches are told apart by far more.
        let other = format!("other-{accumulation}");
        train(
            &sandbox,
            &other,
            2,
            &[
                EXACT,
                &more,
                &["train.per_device_train_batch_size=3"],
                strategy,
            ],
        );
        let error = difference(&sandbox, &one, &other);
        assert!(error > 1e-4, "{error}");
    }
}

#[test]
fn data_parallel_ranks_equal_one() {
    equals_one_rank(&[DDP, &["distributed.bucket_cap_mb=0.02"]].concat());
}

#[test]
fn sharded_ranks_equal_one() {
    equals_one_rank(FSDP);
}

#[test]
fn ranks_with_sharded_gradients_equal_one() {
    equals_one_rank(GRAD_OP);
}
