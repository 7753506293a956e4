//! Several processes under `mpirun`: what they do, and what they do not go on with.

use process_group::mpirun;

use crate::distributed::{DDP, EXACT, FSDP, sandbox, train};
use crate::launched::{Ended, Launched, has_mpirun, trainer};
use crate::support::{Sandbox, wait_for};

/// A run that is long enough to be hit, with a checkpoint after every second step, and dropout.
pub(crate) const LONG: &[&str] = &[
    "train.num_train_epochs=8",
    "train.per_device_train_batch_size=2",
    "train.max_train_samples=21",
    "train.learning_rate=3e-4",
    "eval.max_eval_samples=5",
    "eval.every_epochs=2",
    "checkpoints.every_steps=2",
    "run.threads=1",
    "run.device=ndarray",
];

pub(crate) fn launch(sandbox: &Sandbox, ranks: usize, arguments: &[&str]) -> Launched {
    let mut command = mpirun(ranks);
    command.args(trainer(arguments));
    Launched::start(sandbox, command)
}

pub(crate) fn arguments<'a>(run: &'a str, settings: &[&[&'a str]]) -> Vec<&'a str> {
    [&["--config=config.toml", run], &settings.concat()[..]].concat()
}

/// A run of two ranks that is whole, to compare with.
pub(crate) fn whole(sandbox: &Sandbox, strategy: &[&str]) {
    let ended = launch(sandbox, 2, &arguments("--run-dir=whole", &[LONG, strategy])).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// The run goes on from its last checkpoint, to where the whole one came.
pub(crate) fn goes_on(sandbox: &Sandbox, run: &str) {
    let ended = launch(sandbox, 2, &["--resume", run]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        sandbox.weights(run) == sandbox.weights("whole"),
        "the weights differ"
    );
}

#[test]
fn processes_do_what_threads_do() {
    if !has_mpirun() {
        return;
    }
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
        // One process alone speaks.
        assert_eq!(ended.text.matches("Try next:").count(), 1, "{ended:?}");
        assert_eq!(ended.text.matches("results go to").count(), 1, "{ended:?}");
        let metrics = sandbox.json(&format!("{run}/metrics.json"));
        assert_eq!(metrics["processes"], 2);
        let waited = metrics["communication_seconds"].as_f64().unwrap();
        let seconds = metrics["seconds"].as_f64().unwrap();
        assert!(waited > 0.0 && waited < seconds, "{metrics}");
    }
}

/// As a scheduler does before it takes the machine.
#[test]
fn a_signal_to_the_launcher_is_a_checkpoint() {
    if !has_mpirun() {
        return;
    }
    let sandbox = sandbox();
    whole(&sandbox, DDP);
    let launched = launch(&sandbox, 2, &arguments("--run-dir=run", &[LONG, DDP]));
    wait_for("line", || sandbox.reports("run") >= 7);
    launched.signal("USR1");
    let ended = launched.end();
    assert_eq!(ended.code, Some(75), "{ended:?}");
    ended.has(&["to go on: trainer --resume run"]);
    goes_on(&sandbox, "run");
}

/// Two ranks in folders of their own, with relative paths to the data.
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
fn other_data_and_none_are_told() {
    if !has_mpirun() {
        return;
    }
    let sandbox = sandbox();
    for folder in ["first", "second"] {
        std::fs::create_dir(sandbox.path(folder)).unwrap();
    }
    let train = sandbox.text("train.json");
    sandbox.write("first/train.json", &train);
    in_two_folders(&sandbox).mistake(&["error: rank 1 (", "train.json", "No such file"]);
    sandbox.write("second/train.json", &train.replacen("What", "Which", 1));
    let line = "the training data of rank 1 is not that of rank 0";
    in_two_folders(&sandbox).mistake(&["error: rank 0 (", line]);
}

#[test]
fn another_number_of_ranks_needs_another_batch_size() {
    if !has_mpirun() {
        return;
    }
    let sandbox = sandbox();
    whole(&sandbox, DDP);
    let ended = launch(&sandbox, 4, &["--resume=whole"]).end();
    ended.mistake(&[
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
fn one_configuration_that_is_wrong_is_told_once() {
    if !has_mpirun() {
        return;
    }
    let sandbox = sandbox();
    let ended = launch(
        &sandbox,
        4,
        &arguments("--run-dir=run", &[DDP, &["train.batch_sise=1"]]),
    )
    .end();
    ended.mistake(&["rank 0 (", "train.batch_sise", "batch_size"]);
    let ended = launch(&sandbox, 2, &["--config=nowhere.toml", DDP[0]]).end();
    ended.mistake(&["rank 0 (", "nowhere.toml"]);
    let ended = launch(&sandbox, 2, &arguments("--run-dir=run", &[LONG])).end();
    ended.mistake(&["distributed.strategy is none"]);
    assert!(!sandbox.path("run").exists());
}
