//! Ranks that cannot work together: all end with the same exit code, and one prints the error.

use std::sync::Arc;

use process_group::{Collective, Collectives, Pending, ProcessGroup};
use trainer::{Error, Outcome, Trainer};

use crate::distributed::thread_group::ThreadGroup;
use crate::distributed::{DDP, EXACT, FSDP, run_all, run_ranks, sandbox, train};
use crate::support::Sandbox;

/// The errors of two ranks with different settings, which both must fail.
fn refused(sandbox: &Sandbox, settings: [&[&str]; 2], resume: bool) -> Vec<Error> {
    let run = |group: Arc<dyn ProcessGroup>| -> Result<Outcome, Error> {
        let trainer = Trainer::new(sandbox.config(&[EXACT, settings[group.rank()]].concat()))?;
        let run = sandbox.path("run");
        let trainer = if resume {
            trainer.resume(run).allow_config_changes(true)
        } else {
            trainer.run_dir(run)
        };
        trainer.group(group).fit()
    };
    let outcomes = run_ranks(2, run);
    // The folder that was made for the run is removed.
    assert!(resume || !sandbox.path("run").exists());
    outcomes.into_iter().map(Result::unwrap_err).collect()
}

/// Checks that `rank` has an error of one line with these parts, and that the other rank has none to print and the same
/// exit code.
fn check_one_error(errors: &[Error], rank: usize, parts: &[&str]) {
    let other = &errors[1 - rank];
    assert!(matches!(other, Error::PeerFailed { .. }), "{errors:?}");
    assert_eq!(other.exit_code(), errors[rank].exit_code());
    assert!(errors.iter().all(|error| !error.must_abort_group()));
    let line = errors[rank].to_string();
    let place = format!("rank {rank}");
    for part in parts.iter().chain([&&*place]) {
        assert!(line.contains(part), "no {part:?} in {line:?}");
    }
    assert_eq!(line.lines().count(), 1, "{line}");
}

#[test]
fn a_difference_between_configurations_is_named() {
    let sandbox = sandbox();
    let seed = [DDP, &["train.seed=1"]].concat();
    let errors = refused(&sandbox, [DDP, &seed], false);
    check_one_error(
        &errors,
        0,
        &["the configuration of rank 1 is not that of rank 0"],
    );
    assert_eq!(errors[0].exit_code(), 2);
}

/// A rank of another build: what names its program differs.
struct OtherBuild(Arc<dyn ProcessGroup>);

impl Collectives<Vec<f32>> for OtherBuild {
    fn start(&self, collective: Collective, buffer: Vec<f32>) -> Pending<Vec<f32>> {
        self.0.start(collective, buffer)
    }
}

impl ProcessGroup for OtherBuild {
    fn rank(&self) -> usize {
        self.0.rank()
    }

    fn world_size(&self) -> usize {
        self.0.world_size()
    }

    fn local_rank(&self) -> usize {
        self.0.local_rank()
    }

    fn barrier(&self) -> Result<(), process_group::Error> {
        self.0.barrier()
    }

    fn all_gather_bytes(&self, mine: Vec<u8>) -> Result<Vec<Vec<u8>>, process_group::Error> {
        self.0.all_gather_bytes(mine)
    }

    fn health(&self) -> Result<(), process_group::Error> {
        self.0.health()
    }

    fn abort(&self, exit_code: i32) -> ! {
        self.0.abort(exit_code)
    }

    fn check_equal(&self, what: &str, mine: &[u8]) -> Result<(), process_group::Error> {
        if what.contains("version") {
            self.0.check_equal(what, &[mine, b"+"].concat())
        } else {
            self.0.check_equal(what, mine)
        }
    }
}

#[test]
fn ranks_of_another_build_are_named_before_anything_else() {
    let sandbox = sandbox();
    // What else is wrong with the rank of another build is not looked at.
    let settings = [DDP, &["train.files=nowhere.json"]].concat();
    let run = |group: Arc<dyn ProcessGroup>| -> Result<Outcome, Error> {
        let is_other = group.rank() == 1;
        let settings = if is_other { &settings[..] } else { DDP };
        let trainer = Trainer::new(sandbox.config(settings))?.run_dir(sandbox.path("run"));
        if is_other {
            trainer.group(Arc::new(OtherBuild(group))).fit()
        } else {
            trainer.group(group).fit()
        }
    };
    let errors: Vec<_> = run_ranks(2, run)
        .into_iter()
        .map(Result::unwrap_err)
        .collect();
    let line = "the program (version and features) of rank 1 is not that of rank 0";
    check_one_error(&errors, 0, &[line]);
    assert_eq!(errors[0].exit_code(), 2);
}

#[test]
fn a_rank_that_cannot_start_reports_its_error() {
    let sandbox = sandbox();
    for strategy in [DDP, FSDP] {
        let device = [strategy, &["run.device=cuda:77"]].concat();
        let errors = refused(&sandbox, [strategy, &device], false);
        check_one_error(&errors, 1, &["device cuda:77"]);
    }
    // Rank 0 alone reports an error that both have.
    let missing = [DDP, &["train.files=nowhere.json"]].concat();
    check_one_error(
        &refused(&sandbox, [&missing, &missing], false),
        0,
        &["nowhere.json"],
    );
}

#[test]
fn unsupported_configurations_are_errors() {
    let sandbox = sandbox();
    let errors = refused(&sandbox, [&[], &[]], false);
    check_one_error(
        &errors,
        0,
        &["distributed.strategy is none", "2 processes", "ddp"],
    );
    let bf16 = [DDP, &["distributed.bf16_compress=true"]].concat();
    check_one_error(
        &refused(&sandbox, [&bf16, &bf16], false),
        0,
        &["bf16_compress", "NCCL"],
    );
}

#[test]
fn a_nan_loss_ends_all_ranks() {
    let sandbox = sandbox();
    let wild = [DDP, &["train.learning_rate=1e30", "train.max_grad_norm=0"]].concat();
    let run = |group| {
        let trainer = Trainer::new(sandbox.config(&[EXACT, &wild[..]].concat()))?;
        trainer.run_dir(sandbox.path("run")).group(group).fit()
    };
    let errors: Vec<_> = run_ranks(2, run)
        .into_iter()
        .map(Result::unwrap_err)
        .collect();
    let mut lines = Vec::new();
    for error in &errors {
        assert_eq!(error.exit_code(), 1);
        assert!(!error.must_abort_group());
        match error {
            Error::Rank { source, .. } => {
                assert!(matches!(**source, Error::Diverged { .. }), "{error}");
                lines.push(error.to_string());
            }
            other => assert!(matches!(other, Error::PeerFailed { .. }), "{other}"),
        }
    }
    assert!(
        lines.iter().any(|line| line.contains("in step ")),
        "{lines:?}"
    );
}

/// The weights are not finite after the step, which the evaluation at the end finds.
#[test]
fn an_evaluation_that_is_not_finite_ends_all_ranks() {
    let sandbox = sandbox();
    let wild = [
        "train.learning_rate=1e300",
        "train.warmup_ratio=0",
        "train.max_steps=1",
    ];
    let run = |group| {
        let trainer = Trainer::new(sandbox.config(&[EXACT, DDP, &wild].concat()))?;
        trainer.run_dir(sandbox.path("run")).group(group).fit()
    };
    let outcomes = run_ranks(2, run).into_iter();
    let errors: Vec<_> = outcomes.map(Result::unwrap_err).collect();
    check_one_error(&errors, 0, &["logits are not finite", "learning_rate"]);
    assert_eq!(errors[0].exit_code(), 1);
}

/// The run's batches have four features in all: other numbers of ranks must keep that.
#[test]
fn resuming_with_another_global_batch_size_is_an_error() {
    let sandbox = sandbox();
    let stop_at = [
        "train.per_device_train_batch_size=2",
        "checkpoints.every_steps=3",
    ];
    train(&sandbox, "run", 2, &[EXACT, DDP, &stop_at]);
    let settings = [DDP, &["train.per_device_train_batch_size=4"]].concat();
    let errors = refused(&sandbox, [&settings, &settings], true);
    let parts = [
        "the run's batches had 4 features in all",
        "with 2 processes give train.per_device_train_batch_size=2 --allow-config-changes",
    ];
    check_one_error(&errors, 0, &parts);
    let trainer =
        Trainer::new(sandbox.config(&[EXACT, &["train.per_device_train_batch_size=8"]].concat()))
            .unwrap();
    let error = trainer
        .resume(sandbox.path("run"))
        .allow_config_changes(true)
        .fit()
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("give train.per_device_train_batch_size=4"),
        "{error}"
    );
    let three = run_ranks(3, |group| {
        let settings = [EXACT, DDP, &["train.per_device_train_batch_size=2"]].concat();
        let trainer = Trainer::new(sandbox.config(&settings))?.resume(sandbox.path("run"));
        trainer.allow_config_changes(true).group(group).fit()
    });
    let error = three[0].as_ref().unwrap_err().to_string();
    assert!(error.contains("3 processes cannot share evenly"), "{error}");
}

/// One rank gets wrong sums, so its parameters differ from the second step on: the learning rate of the first is 0.
#[test]
fn verify_params_every_steps_finds_ranks_that_differ() {
    let sandbox = sandbox();
    for (every, step) in [(1, 2), (3, 3)] {
        let check = format!("distributed.verify_params_every_steps={every}");
        let run = |group| {
            let settings = [EXACT, DDP, &["train.per_device_train_batch_size=2", &check]].concat();
            let trainer = Trainer::new(sandbox.config(&settings))?;
            let folder = format!("every-{every}");
            trainer.run_dir(sandbox.path(&folder)).group(group).fit()
        };
        let outcomes = run_all(ThreadGroup::with_fault(2, Some(1)), run);
        let errors: Vec<_> = outcomes.into_iter().map(Result::unwrap_err).collect();
        let line = format!("the model after step {step} of rank 1 is not that of rank 0");
        check_one_error(&errors, 0, &[&line]);
    }
}
