//! Runs that succeed, and runs that are refused.

use process_group::mpirun;

use super::{Ended, Launched, trainer};
use crate::distributed::{DDP, EXACT, FSDP, sandbox, train};
use crate::support::{HOST_DEVICE, Sandbox, wait_for};

/// A run with dropout that is long enough to be interrupted, with a checkpoint after every second step.
pub(crate) const LONG: &[&str] = &[
    "train.num_train_epochs=8",
    "train.per_device_train_batch_size=2",
    "train.max_train_samples=21",
    "train.learning_rate=3e-4",
    "eval.max_eval_samples=5",
    "eval.every_epochs=2",
    "checkpoints.every_steps=2",
    "run.threads=1",
    HOST_DEVICE,
];

pub(crate) fn launch(sandbox: &Sandbox, ranks: usize, arguments: &[&str]) -> Launched {
    let mut command = mpirun(ranks);
    command.args(trainer(arguments));
    Launched::start(sandbox, command)
}

pub(crate) fn arguments<'a>(run: &'a str, settings: &[&[&'a str]]) -> Vec<&'a str> {
    [&["--config=config.toml", run], &settings.concat()[..]].concat()
}

/// An uninterrupted run of two ranks, to the folder `whole`.
pub(crate) fn train_whole(sandbox: &Sandbox, strategy: &[&str]) {
    let ended = launch(sandbox, 2, &arguments("--run-dir=whole", &[LONG, strategy])).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// Resumes a run from its last checkpoint; it must end with the weights of the uninterrupted one.
pub(crate) fn check_resumed(sandbox: &Sandbox, run: &str) {
    let ended = launch(sandbox, 2, &["--resume", run]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        sandbox.weights(run) == sandbox.weights("whole"),
        "other weights"
    );
}

#[test]
fn processes_train_the_same_bits_as_threads() {
    let sandbox = sandbox();
    for strategy in [DDP, FSDP] {
        let (threads, run) = (
            format!("threads-{}", strategy[0]),
            format!("mpi-{}", strategy[0]),
        );
        let settings = [
            EXACT,
            strategy,
            &["train.dropout=true", "train.per_device_train_batch_size=2"],
        ];
        train(&sandbox, &threads, 2, &settings);
        let folder = format!("--run-dir={run}");
        let ended = launch(&sandbox, 2, &arguments(&folder, &settings)).end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(sandbox.weights(&threads) == sandbox.weights(&run));
        // Rank 0 alone prints.
        assert_eq!(ended.text.matches("Try next:").count(), 1, "{ended:?}");
        assert_eq!(ended.text.matches("results go to").count(), 1, "{ended:?}");
        let metrics = sandbox.json(&format!("{run}/metrics.json"));
        assert_eq!(metrics["processes"], 2);
        let waited = metrics["communication_seconds"].as_f64().unwrap();
        let seconds = metrics["seconds"].as_f64().unwrap();
        assert!(waited > 0.0 && waited < seconds, "{metrics}");
    }
}

/// Schedulers send such a signal before they end a job.
#[test]
fn a_signal_to_the_launcher_makes_the_run_save_and_stop() {
    let sandbox = sandbox();
    train_whole(&sandbox, DDP);
    let launched = launch(&sandbox, 2, &arguments("--run-dir=run", &[LONG, DDP]));
    wait_for("line", || sandbox.reports("run") >= 7);
    launched.signal("USR1");
    let ended = launched.end();
    assert_eq!(ended.code, Some(75), "{ended:?}");
    ended.check_output(&["to go on: ", " --resume run"]);
    check_resumed(&sandbox, "run");
}

/// Two ranks in different folders, with relative paths to the data.
fn in_two_folders(sandbox: &Sandbox) -> Ended {
    let files = [
        "--config=../config.toml",
        "--run-dir=../run",
        "train.files=train.json",
    ];
    let words = trainer(&[&files, LONG, DDP].concat());
    let mut command = mpirun(1);
    command.args(["--wdir", "first"]).args(&words);
    command
        .args([":", "-n", "1", "--wdir", "second"])
        .args(&words);
    let ended = Launched::start(sandbox, command).end();
    assert!(!sandbox.path("run").exists());
    ended
}

#[test]
fn different_or_missing_data_of_a_rank_is_an_error() {
    let sandbox = sandbox();
    for folder in ["first", "second"] {
        std::fs::create_dir(sandbox.path(folder)).unwrap();
    }
    let train = sandbox.text("train.json");
    sandbox.write("first/train.json", &train);
    in_two_folders(&sandbox).check_one_error(&["error: rank 1 (", "train.json", "No such file"]);
    sandbox.write("second/train.json", &train.replacen("What", "Which", 1));
    let line = "the training data of rank 1 is not that of rank 0";
    in_two_folders(&sandbox).check_one_error(&["error: rank 0 (", line]);
}

#[test]
fn resuming_with_more_ranks_needs_a_smaller_batch_per_rank() {
    let sandbox = sandbox();
    train_whole(&sandbox, DDP);
    let ended = launch(&sandbox, 4, &["--resume=whole"]).end();
    ended.check_one_error(&[
        "with 4 processes give train.per_device_train_batch_size=1 --allow-config-changes",
    ]);
    let ended = launch(
        &sandbox,
        4,
        &[
            "--resume=whole",
            "train.per_device_train_batch_size=1",
            "--allow-config-changes",
        ],
    )
    .end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn an_error_of_all_ranks_is_printed_once() {
    let sandbox = sandbox();
    let ended = launch(
        &sandbox,
        4,
        &arguments("--run-dir=run", &[DDP, &["train.learning_rat=1"]]),
    )
    .end();
    ended.check_one_error(&["rank 0 (", "train.learning_rat", "train.learning_rate"]);
    let ended = launch(&sandbox, 2, &["--config=nowhere.toml", DDP[0]]).end();
    ended.check_one_error(&["rank 0 (", "nowhere.toml"]);
    let ended = launch(&sandbox, 2, &arguments("--run-dir=run", &[LONG])).end();
    ended.check_one_error(&["distributed.strategy is none"]);
    assert!(!sandbox.path("run").exists());
}
