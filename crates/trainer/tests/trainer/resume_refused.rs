//! What a run does not go on with.

use trainer::Trainer;

use crate::resume::SETTINGS;
use crate::support::{Finished, Sandbox};

fn stopped(sandbox: &Sandbox, run: &str, at: u32) {
    let trainer = Trainer::new(sandbox.config(SETTINGS)).unwrap();
    let stop = trainer.stop_flag();
    let outcome = trainer
        .run_dir(sandbox.path(run))
        .on_step(|step| {
            if step.step == at {
                stop.stop();
            }
        })
        .fit();
    assert!(outcome.unwrap().finished().is_none());
}

#[test]
fn a_changed_configuration_is_told_setting_by_setting() {
    let sandbox = Sandbox::new();
    stopped(&sandbox, "run", 1);
    let resume = |more: &[&str]| sandbox.command(&[&["--resume=run"], more].concat());
    let changes = ["train.learning_rate=2e-3", "eval.max_eval_samples=2"];
    let refused = resume(&changes);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    for part in [
        "--allow-config-changes",
        "train.learning_rate: 0.001 -> 0.002",
        "eval.max_eval_samples: 4 -> 2",
    ] {
        assert!(refused.stderr.contains(part), "{refused:?}");
    }
    assert_eq!(refused.stderr.lines().count(), 3, "{refused:?}");
    let allowed = resume(&[&["--allow-config-changes"], &changes[..]].concat());
    assert_eq!(allowed.code, Some(0), "{allowed:?}");
    let config = sandbox.text("run/config.toml");
    assert!(config.contains("learning_rate = 0.002"), "{config}");
}

#[test]
fn what_cannot_go_on_is_told_in_one_line() {
    let sandbox = Sandbox::new();
    let resume = |run: &str| -> Finished { sandbox.command(&["--resume", run]) };
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    resume("empty").mistake(&["empty", "holds no run", "config.toml"]);
    // Stopped before its first checkpoint.
    stopped(&sandbox, "run", 2);
    std::fs::rename(sandbox.path("run/checkpoints"), sandbox.path("kept")).unwrap();
    resume("run").mistake(&["run/checkpoints", "no checkpoint"]);
    std::fs::rename(sandbox.path("kept"), sandbox.path("run/checkpoints")).unwrap();

    // Data that changed since.
    let train = sandbox.text("train.json");
    sandbox.write("train.json", &train.replacen("What", "Which", 1));
    resume("run").mistake(&["checkpoints", "does not match the training features"]);
    std::fs::remove_file(sandbox.path("train.json")).unwrap();
    resume("run").mistake(&["train.json"]);
    sandbox.write("train.json", &train);

    // The one checkpoint, damaged in each of its files.
    let files = sandbox.files("run/checkpoints");
    for file in files.iter().filter(|name| {
        ["state.json", "optimizer.safetensors", "model.safetensors"]
            .iter()
            .any(|end| name.ends_with(end))
    }) {
        let path = sandbox.path("run/checkpoints").join(file);
        let whole = std::fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x41;
        std::fs::write(&path, damaged).unwrap();
        let name = file.rsplit('/').next().unwrap();
        resume("run").mistake(&[name]);
        std::fs::write(&path, &whole[..middle]).unwrap();
        resume("run").mistake(&[name]);
        std::fs::write(&path, whole).unwrap();
    }
    assert_eq!(resume("run").code, Some(0));
}
