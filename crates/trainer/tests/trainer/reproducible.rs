//! The same run again is the same run, bit for bit.

#[cfg(target_os = "linux")]
use std::{collections::BTreeMap, ffi::OsString};

use crate::support::{Sandbox, wait_for};

const SETTINGS: &[&str] = &[
    "train.num_train_epochs=1",
    "train.learning_rate=1e-3",
    "eval.max_eval_samples=2",
];

#[test]
fn equal_seeds_give_equal_runs() {
    let sandbox = Sandbox::new();
    sandbox.train("first", SETTINGS);
    sandbox.train("again", SETTINGS);
    sandbox.train("other", &[SETTINGS, &["train.seed=1"]].concat());
    assert!(sandbox.weights("first") == sandbox.weights("again"));
    assert!(sandbox.weights("first") != sandbox.weights("other"));
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
    assert!(sandbox.weights("one") == sandbox.weights("two"));
    assert!(sandbox.weights("one") == sandbox.weights("three"));
}

/// The library keeps nothing outside a run.
#[test]
fn two_runs_in_one_process_equal_those_of_two_processes() {
    let sandbox = Sandbox::new();
    let seed = |seed| [SETTINGS, &["run.threads=2", seed]].concat();
    sandbox.train("in-1", &seed("train.seed=1"));
    sandbox.train("in-2", &seed("train.seed=2"));
    for (run, settings) in [
        ("out-1", seed("train.seed=1")),
        ("out-2", seed("train.seed=2")),
    ] {
        let arguments = ["--config=config.toml", "--run-dir", run];
        let finished = sandbox.command(&[&arguments, &settings[..]].concat());
        assert_eq!(finished.code, Some(0), "{finished:?}");
    }
    assert!(sandbox.weights("in-1") == sandbox.weights("out-1"));
    assert!(sandbox.weights("in-2") == sandbox.weights("out-2"));
    assert!(sandbox.weights("in-1") != sandbox.weights("in-2"));
}

/// Processor time of each thread of a process, in ticks, by the thread's number.
#[cfg(target_os = "linux")]
fn ticks(process: u32) -> BTreeMap<OsString, u64> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let times = tasks.filter_map(|task| {
        let task = task.ok()?;
        let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
        // The fields behind the name, which stands in parentheses; user and system time are 14 and 15.
        let fields = stat.rsplit(')').next().unwrap().split_whitespace();
        let fields: Vec<_> = fields.skip(11).take(2).collect();
        let time = |place: usize| fields[place].parse::<u64>().unwrap();
        Some((task.file_name(), time(0) + time(1)))
    });
    times.collect()
}

/// Counts the threads of a run that use at least 0.4 seconds of processor time while all of them use two seconds or more.
#[test]
#[cfg(target_os = "linux")]
fn a_run_uses_the_configured_number_of_threads() {
    let model = test_support::TinyModel {
        hidden_size: 256,
        num_hidden_layers: 2,
        ..Default::default()
    };
    let sandbox = Sandbox::with_model(&model);
    let busy = |threads: &str| {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_trainer"))
            .args([
                "--config=config.toml",
                "train.num_train_epochs=1000",
                "eval.every_epochs=0",
            ])
            .args([
                format!("--run-dir={threads}"),
                format!("run.threads={threads}"),
            ])
            .current_dir(sandbox.path("."))
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // What is loaded and read before the first step is the main thread's work.
        wait_for("line", || sandbox.reports(threads) > 0);
        let before = ticks(child.id());
        let since = |time: (&OsString, &u64)| time.1 - before.get(time.0).unwrap_or(&0);
        // A busy computer may let one thread wait for long, so up to a minute of processor time.
        let count = loop {
            std::thread::sleep(std::time::Duration::from_millis(20));
            let times: Vec<u64> = ticks(child.id()).iter().map(since).collect();
            let all: u64 = times.iter().sum();
            let count = times.iter().filter(|time| **time >= 40).count();
            if all > 6000 || all > 200 && count.to_string() == threads {
                break count;
            }
        };
        child.kill().unwrap();
        child.wait().unwrap();
        count
    };
    assert_eq!(busy("1"), 1);
    assert_eq!(busy("2"), 2);
}
