//! Event files, read back by TensorBoard itself.

use std::collections::BTreeMap;
use std::process::Command;

use crate::support::{Sandbox, workspace};

/// What TensorBoard reads in a folder: for each tag its points, x and value.
fn read(python: &str, folder: &std::path::Path) -> BTreeMap<String, Vec<(u64, f64)>> {
    let script = workspace("scripts/reference/read_events.py");
    let output = Command::new(python)
        .arg(script)
        .arg(folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A Python with the package `tensorboard`: `$TENSORBOARD_PYTHON`, else `python3`.
fn python() -> String {
    std::env::var("TENSORBOARD_PYTHON").unwrap_or_else(|_| "python3".into())
}

#[test]
#[ignore = "needs Python with the package tensorboard: $TENSORBOARD_PYTHON or python3"]
fn tensorboard_reads_every_point() {
    let sandbox = Sandbox::new();
    sandbox.train("run", &["train.num_train_epochs=2"]);
    let python = python();
    let read = read(&python, &sandbox.path("run/tensorboard"));

    let mut expected: BTreeMap<String, Vec<(u64, f64)>> = BTreeMap::new();
    for line in sandbox.json_lines("run/metrics.jsonl") {
        // The optimizer step for tags of a step, the epoch for tags of an epoch.
        let x = line
            .get("epoch_end")
            .unwrap_or(&line["step"])
            .as_u64()
            .unwrap();
        for (tag, value) in line
            .as_object()
            .unwrap()
            .iter()
            .filter(|(tag, _)| tag.contains('/'))
        {
            expected
                .entry(tag.clone())
                .or_default()
                .push((x, value.as_f64().unwrap()));
        }
    }
    assert_eq!(
        read.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    for (tag, points) in &expected {
        let xs: Vec<u64> = read[tag].iter().map(|point| point.0).collect();
        // Three steps an epoch, and an evaluation after each.
        let distance = if tag.starts_with("eval/") { 3 } else { 1 };
        let expected: Vec<u64> = (1..=points.len() as u64).map(|x| distance * x).collect();
        assert_eq!(xs, expected, "{tag}");
        for (read, point) in read[tag].iter().zip(points) {
            // Event files hold f32.
            assert_eq!(*read, (point.0, f64::from(point.1 as f32)), "{tag}");
        }
    }
    assert_eq!(read["epoch/eval_f1"].len(), 2);
    assert_eq!(read["eval/f1"].len(), 2);
    assert_eq!(read["eval/loss"].len(), 2);
    assert_eq!(read["train/loss"].len(), 6);
}

#[test]
fn events_that_cannot_be_written_are_one_warning() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("run")).unwrap();
    sandbox.write("run/tensorboard", "in the way");
    let finished = sandbox.command(&[
        "--config=config.toml",
        "--run-dir=run",
        "train.num_train_epochs=1",
        "eval.max_eval_samples=2",
    ]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let warnings: Vec<_> = finished
        .stderr
        .lines()
        .filter(|line| line.starts_with("warning: "))
        .collect();
    assert_eq!(warnings.len(), 1, "{}", finished.stderr);
    assert!(warnings[0].contains("run/tensorboard: TensorBoard events cannot be written"));
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
    assert_eq!(sandbox.text("run/tensorboard"), "in the way");
    assert!(sandbox.path("run/model/model.safetensors").is_file());
}
