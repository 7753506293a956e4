//! What a run has written is on the disk before the run relies on it, as the system calls of a run show.

use std::collections::{HashMap, HashSet};
use std::process::Command;

use crate::support::Sandbox;

/// A system call that succeeded, with paths as they were then.
#[derive(Debug, PartialEq)]
enum Call {
    Sync(String),
    Rename(String, String),
}

/// The calls of a trace that `strace -f -y` has written, in the order of their ends.
fn calls(trace: &str) -> Vec<Call> {
    // What of a call stands before another thread's call.
    let mut begun: HashMap<&str, String> = HashMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let (thread, rest) = line.split_once(' ').unwrap();
        let mut call = rest.trim_start().to_owned();
        if let Some((before, _)) = call.split_once(" <unfinished ...>") {
            begun.insert(thread, before.to_owned());
            continue;
        }
        if call.starts_with("<... ") {
            let after = call.split_once("resumed>").unwrap().1;
            call = begun.remove(thread).unwrap() + after;
        }
        if !call.ends_with(" = 0") {
            continue;
        }
        if call.starts_with("fsync(") || call.starts_with("fdatasync(") {
            let path = call.split_once('<').unwrap().1.split_once('>').unwrap().0;
            calls.push(Call::Sync(path.to_owned()));
        } else if call.starts_with("rename") {
            let names: Vec<&str> = call.split('"').skip(1).step_by(2).take(2).collect();
            calls.push(Call::Rename(names[0].into(), names[1].into()));
        }
    }
    calls
}

/// Files of the run that a power failure may lose or cut: `written` are the paths of its files.
fn not_durable(calls: &[Call], run: &str, written: &[String]) -> Vec<String> {
    let mut lost = Vec::new();
    let mut synced: HashSet<&str> = HashSet::new();
    // Files whose names and contents are on the disk, by the folder whose entry is still to be synced.
    let mut durable: HashSet<String> = HashSet::new();
    let mut renamed: Vec<(&str, &str)> = Vec::new();
    for call in calls {
        match call {
            Call::Sync(path) => {
                synced.insert(path);
                renamed.retain(|(_, to)| {
                    let is_parent = to
                        .rsplit_once('/')
                        .is_some_and(|(parent, _)| parent == path);
                    if is_parent {
                        durable.insert((*to).to_owned());
                    }
                    !is_parent
                });
            }
            Call::Rename(from, to) => {
                if !to.starts_with(run) || to.contains("/.writing-") {
                    continue;
                }
                if !synced.contains(&**from) {
                    lost.push(format!("{to} is renamed before it is synced"));
                }
                for file in written
                    .iter()
                    .filter_map(|file| file.strip_prefix(&format!("{to}/")))
                {
                    if !synced.contains(&*format!("{from}/{file}")) {
                        lost.push(format!("{to}/{file} is not synced before the rename"));
                    }
                }
                renamed.push((from, to));
            }
        }
    }
    for file in written {
        let mut places = std::iter::successors(Some(&**file), |place| {
            place.rsplit_once('/').map(|(parent, _)| parent)
        });
        if !places.any(|place| durable.contains(place)) {
            lost.push(format!("the name of {file} is not synced"));
        }
    }
    lost
}

/// Whether `metrics.jsonl` is synced before each checkpoint appears.
fn log_is_synced(calls: &[Call], run: &str) -> bool {
    let log = format!("{run}/metrics.jsonl");
    let mut is_synced = false;
    for call in calls {
        match call {
            Call::Sync(path) => is_synced |= *path == log,
            Call::Rename(_, to) if to.starts_with(&format!("{run}/checkpoints/step-")) => {
                if !std::mem::take(&mut is_synced) {
                    return false;
                }
            }
            Call::Rename(..) => {}
        }
    }
    true
}

#[test]
#[ignore = "needs strace"]
fn files_and_folders_are_synced_before_and_after_they_are_renamed() {
    let sandbox = Sandbox::new();
    let trace = sandbox.path("trace");
    let folder = sandbox.path(".").canonicalize().unwrap();
    let run = folder.join("run").display().to_string();
    let mut command = Command::new("strace");
    command
        .args([
            "-f",
            "-y",
            "-qqq",
            "-e",
            "trace=fsync,fdatasync,rename,renameat,renameat2",
            "-o",
        ])
        .arg(&trace)
        .args([env!("CARGO_BIN_EXE_trainer"), "--config=config.toml"])
        .arg(format!("--run-dir={run}"))
        .args([
            "train.max_steps=4",
            "eval.max_eval_samples=2",
            "eval.every_epochs=1",
        ])
        .args([
            "train.per_device_train_batch_size=12",
            "train.num_train_epochs=2",
        ])
        .args([
            "eval.metric_for_best_model=f1",
            "eval.load_best_model_at_end=true",
        ])
        .args([
            "checkpoints.every_steps=1",
            "checkpoints.export_every_epochs=1",
        ]);
    let finished = sandbox.finish(&mut command);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let grow = ["metrics.jsonl", ".lock"];
    let files = sandbox.files("run").into_iter();
    let files = files.filter(|name| !name.starts_with("tensorboard/") && !grow.contains(&&**name));
    let written: Vec<String> = files.map(|name| format!("{run}/{name}")).collect();
    for name in [
        "config.toml",
        "metrics.json",
        "model/model.safetensors",
        "best/config.json",
        "eval/predictions.json",
    ] {
        assert!(written.contains(&format!("{run}/{name}")), "{written:?}");
    }
    assert!(written.iter().any(|name| name.ends_with("/state.json")));
    let calls = calls(&sandbox.text("trace"));
    assert_eq!(not_durable(&calls, &run, &written), [""; 0]);
    assert!(log_is_synced(&calls, &run));

    // Without the calls for a file, for a folder, or for its parent, the check fails.
    let without = |missing: &dyn Fn(&str) -> bool| -> Vec<Call> {
        let kept = sandbox.text("trace");
        let kept = self::calls(&kept).into_iter();
        kept.filter(|call| !matches!(call, Call::Sync(path) if missing(path)))
            .collect()
    };
    for missing in [
        &(|path: &str| path.ends_with("/model.safetensors")) as &dyn Fn(&str) -> bool,
        &|path| path.ends_with("/new"),
        &|path| path == run,
    ] {
        assert!(!not_durable(&without(missing), &run, &written).is_empty());
    }
    assert!(!log_is_synced(
        &without(&|path| path.ends_with("/metrics.jsonl")),
        &run
    ));
}
