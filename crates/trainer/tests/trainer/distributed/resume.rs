//! Checkpoints do not depend on the number of ranks, and runs of several ranks are reproducible.

use std::sync::Mutex;

use trainer::{Error, Outcome, Trainer};

use crate::distributed::{DDP, EXACT, FSDP, GRAD_OP, difference, run_ranks, sandbox, train};
use crate::resume::StopInEvaluation;
use crate::support::Sandbox;

/// Steps of two micro-batches, so that checkpoints lie within and at the end of epochs.
const MORE: &[&str] = &["train.gradient_accumulation_steps=2", "eval.every_epochs=1"];

/// Starts a run of two ranks and stops it at a step by the flag of one rank. Returns the last step.
fn stopped(sandbox: &Sandbox, run: &str, settings: &[&[&str]], (rank, at): (usize, u32)) -> u32 {
    let flag = Mutex::new(None);
    let outcomes = run_ranks(2, |group| {
        let trainer = Trainer::new(sandbox.config(&settings.concat()))?.run_dir(sandbox.path(run));
        if group.rank() == rank {
            *flag.lock().unwrap() = Some(trainer.stop_flag());
        }
        let stop = |step: u32| {
            if step == at {
                flag.lock().unwrap().as_ref().unwrap().stop();
            }
        };
        trainer.on_step(|step| stop(step.step)).group(group).fit()
    });
    let mut outcomes = outcomes.into_iter();
    let Some(Ok(Outcome::Stopped(stopped))) = outcomes.next() else {
        panic!("not stopped");
    };
    let Some(Ok(Outcome::Worker { stopped: true })) = outcomes.next() else {
        panic!("not stopped");
    };
    stopped.step
}

fn resume(
    sandbox: &Sandbox,
    run: &str,
    ranks: usize,
    settings: &[&[&str]],
) -> Vec<Result<Outcome, Error>> {
    run_ranks(ranks, |group| {
        let trainer = Trainer::new(sandbox.config(&settings.concat()))?;
        let trainer = trainer.resume(sandbox.path(run)).allow_config_changes(true);
        trainer.group(group).fit()
    })
}

/// Saved by two ranks, resumed by one, two and four, also with another strategy.
#[test]
fn a_checkpoint_can_be_resumed_by_any_number_of_ranks() {
    let sandbox = sandbox();
    for (name, strategy, others) in [
        ("ddp", DDP, FSDP),
        ("fsdp", FSDP, GRAD_OP),
        ("grad_op", GRAD_OP, DDP),
    ] {
        let two = [
            EXACT,
            MORE,
            strategy,
            &["train.per_device_train_batch_size=2"],
        ];
        let whole = format!("{name}-whole");
        train(&sandbox, &whole, 2, &two);
        let run = format!("{name}-stopped");
        assert_eq!(stopped(&sandbox, &run, &two, (0, 7)), 7);
        for (ranks, batch_size, strategy) in [
            (1, "train.per_device_train_batch_size=4", strategy),
            (2, "train.per_device_train_batch_size=2", strategy),
            (4, "train.per_device_train_batch_size=1", strategy),
            (4, "train.per_device_train_batch_size=1", others),
        ] {
            let resumed = format!("{name}-{ranks}-{}", strategy.concat());
            sandbox.copy(&run, &resumed);
            for outcome in resume(
                &sandbox,
                &resumed,
                ranks,
                &[EXACT, MORE, strategy, &[batch_size]],
            ) {
                outcome.unwrap();
            }
            let error = difference(&sandbox, &whole, &resumed);
            assert!(error < 1e-6, "{resumed}: {error}");
            assert!(ranks != 2 || error == 0.0, "{resumed}: {error}");
            let f1 = |run: &str| sandbox.json(&format!("{run}/metrics.json"))["eval"]["f1"].clone();
            assert_eq!(f1(&whole), f1(&resumed), "{resumed}");
        }
        // Negative control: a run with another batch size.
        let other = format!("{name}-other");
        train(
            &sandbox,
            &other,
            2,
            &[
                EXACT,
                MORE,
                strategy,
                &["train.per_device_train_batch_size=3"],
            ],
        );
        assert!(difference(&sandbox, &whole, &other) > 1e-4);
    }
}

/// Only one rank receives the request to stop.
#[test]
fn a_run_with_dropout_is_reproducible_also_when_resumed() {
    let sandbox = sandbox();
    for (name, strategy) in [("ddp", DDP), ("fsdp", FSDP)] {
        let settings = [
            EXACT,
            MORE,
            strategy,
            &["train.per_device_train_batch_size=2", "train.dropout=true"],
        ];
        let [first, again, resumed, other] =
            ["first", "again", "resumed", "other"].map(|run| format!("{name}-{run}"));
        train(&sandbox, &first, 2, &settings);
        train(&sandbox, &again, 2, &settings);
        assert!(sandbox.weights(&first) == sandbox.weights(&again));
        // The other rank learns of it in this step or in the next.
        let step = stopped(&sandbox, &resumed, &settings, (1, 9));
        assert!((9..=10).contains(&step), "{step}");
        for outcome in resume(&sandbox, &resumed, 2, &settings) {
            outcome.unwrap();
        }
        assert!(sandbox.weights(&first) == sandbox.weights(&resumed));
        let seed: &[&str] = &["train.seed=1"];
        train(&sandbox, &other, 2, &[&settings[..], &[seed]].concat());
        assert!(sandbox.weights(&first) != sandbox.weights(&other));
    }
}

#[test]
fn a_run_that_was_stopped_during_an_evaluation_repeats_it_when_resumed() {
    let sandbox = sandbox();
    let settings = [EXACT, MORE, DDP, &["train.per_device_train_batch_size=2"]];
    train(&sandbox, "whole", 2, &settings);
    let outcomes = run_ranks(2, |group| {
        let trainer =
            Trainer::new(sandbox.config(&settings.concat()))?.run_dir(sandbox.path("run"));
        let stop = trainer.stop_flag();
        trainer
            .observer(StopInEvaluation::new(stop, 3))
            .group(group)
            .fit()
    });
    assert!(matches!(&outcomes[0], Ok(Outcome::Stopped(stopped)) if stopped.step == 3));
    let evaluations = |run: &str| -> Vec<_> {
        let lines = sandbox.json_lines(&format!("{run}/metrics.jsonl"));
        lines
            .iter()
            .filter_map(|line| line["evaluation"].as_u64())
            .collect()
    };
    assert_eq!(evaluations("run"), [0; 0]);
    for outcome in resume(&sandbox, "run", 2, &settings) {
        outcome.unwrap();
    }
    assert_eq!(evaluations("run"), evaluations("whole"));
    assert!(sandbox.weights("run") == sandbox.weights("whole"));
}
