//! The same run again is the same run, bit for bit.

use crate::support::Sandbox;

/// The file of saved weights.
fn weights(sandbox: &Sandbox, run: &str) -> Vec<u8> {
    std::fs::read(sandbox.path(run).join("model/model.safetensors")).unwrap()
}

const SETTINGS: &[&str] = &["train.epochs=1", "train.learning_rate=1e-3", "dev.first=2"];

#[test]
fn the_seed_and_nothing_else_decides() {
    let sandbox = Sandbox::new();
    sandbox.train("first", SETTINGS);
    sandbox.train("again", SETTINGS);
    sandbox.train("other", &[SETTINGS, &["train.seed=1"]].concat());
    assert!(weights(&sandbox, "first") == weights(&sandbox, "again"));
    assert!(weights(&sandbox, "first") != weights(&sandbox, "other"));
}

#[test]
fn the_number_of_threads_does_not_change_the_result() {
    let sandbox = Sandbox::new();
    for (run, threads) in [("one", "1"), ("two", "2"), ("three", "3")] {
        let threads = format!("run.threads={threads}");
        let arguments = ["--config=config.toml", "--run-dir", run, &threads];
        let finished = sandbox.command(&[&arguments, SETTINGS].concat());
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let metrics = sandbox.json(&format!("{run}/metrics.json"));
        assert_eq!(format!("run.threads={}", metrics["threads"]), threads);
    }
    assert!(weights(&sandbox, "one") == weights(&sandbox, "two"));
    assert!(weights(&sandbox, "one") == weights(&sandbox, "three"));
}
