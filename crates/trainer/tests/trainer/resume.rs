//! Resumed runs equal uninterrupted ones, bit for bit: on the best device of this build, which is ndarray in
//! `cargo test --workspace`, and flex or libtorch with their features. Runs that cannot be resumed are errors.

use std::process::Command;

use serde_json::Value;
use trainer::{Error, Observer, Outcome, StepReport, StopFlag, Trainer};

use crate::checkpoints::stopped;
use crate::support::{Finished, Sandbox, signal, wait_for};

/// Two epochs of five batches in three steps each: accumulation with a tail, dropout, everything
/// that a checkpoint has to bring back.
pub(crate) const SETTINGS: &[&str] = &[
    "train.num_train_epochs=2",
    "train.learning_rate=1e-3",
    "train.per_device_train_batch_size=5",
    "train.gradient_accumulation_steps=2",
    "eval.max_eval_samples=4",
    "eval.metric_for_best_model=f1",
    "run.threads=1",
];

/// What must be equal: the weights, and every figure that is not a time.
fn result(sandbox: &Sandbox, run: &str) -> (Vec<u8>, Vec<Value>, Value) {
    let weights = sandbox.weights(run);
    let mut lines = sandbox.json_lines(&format!("{run}/metrics.jsonl"));
    for line in &mut lines {
        let object = line.as_object_mut().unwrap();
        object.retain(|key, _| !key.ends_with("per_second") && !key.ends_with("_seconds"));
    }
    let mut metrics = sandbox.json(&format!("{run}/metrics.json"));
    assert_eq!(metrics["device"], trainer::devices()[0].name);
    let kept = ["train_loss", "steps", "best"];
    metrics
        .as_object_mut()
        .unwrap()
        .retain(|key, _| kept.contains(&key.as_str()));
    (weights, lines, metrics)
}

pub(crate) fn assert_equal(sandbox: &Sandbox, run: &str, other: &str) {
    let ((weights, lines, metrics), (other_weights, other_lines, other_metrics)) =
        (result(sandbox, run), result(sandbox, other));
    assert_eq!(lines, other_lines);
    assert_eq!(metrics, other_metrics);
    assert!(weights == other_weights, "the weights differ");
}

#[test]
fn a_run_stopped_after_any_step_resumes_bit_identically() {
    let sandbox = Sandbox::new();
    sandbox.train("whole", SETTINGS);
    assert_eq!(sandbox.json("whole/metrics.json")["steps"], 6);
    for stop_at in 1..=5 {
        let run = format!("stopped-{stop_at}");
        let trainer = Trainer::new(sandbox.config(SETTINGS)).unwrap();
        let stop = trainer.stop_flag();
        let outcome = trainer
            .run_dir(sandbox.path(&run))
            .on_step(|step| {
                if step.step == stop_at {
                    stop.stop();
                }
            })
            .fit()
            .unwrap();
        let Outcome::Stopped(stopped) = outcome else {
            panic!("the run was asked to stop");
        };
        assert_eq!(stopped.step, stop_at);
        assert!(stopped.checkpoint.join("state.json").is_file());
        assert!(!sandbox.path(&run).join("model").exists());
        sandbox.resume(&run, SETTINGS);
        assert_equal(&sandbox, "whole", &run);
    }
    // The comparison sees a difference.
    sandbox.train("other", &[SETTINGS, &["train.seed=1"]].concat());
    assert!(result(&sandbox, "whole").0 != result(&sandbox, "other").0);
}

/// Stops the run while the evaluation set is being answered after a step.
pub(crate) struct StopInEvaluation {
    stop: StopFlag,
    after: u32,
    step: u32,
}

impl StopInEvaluation {
    pub(crate) fn new(stop: StopFlag, after: u32) -> Self {
        let step = 0;
        Self { stop, after, step }
    }
}

impl Observer for StopInEvaluation {
    fn step(&mut self, report: &StepReport) -> Result<(), Error> {
        self.step = report.step;
        Ok(())
    }

    fn evaluating(&mut self, _: usize, _: usize) {
        if self.step == self.after {
            self.stop.stop();
        }
    }
}

#[test]
fn a_run_stopped_in_an_evaluation_repeats_it_when_resumed() {
    let sandbox = Sandbox::new();
    let settings = [SETTINGS, &["eval.every_steps=2"]].concat();
    sandbox.train("whole", &settings);
    // In the middle of an epoch, at its end, and at the run's.
    for after in [2, 3, 6] {
        let run = format!("run-{after}");
        let trainer = Trainer::new(sandbox.config(&settings)).unwrap();
        let stop = trainer.stop_flag();
        let outcome = trainer
            .run_dir(sandbox.path(&run))
            .observer(StopInEvaluation::new(stop, after))
            .fit();
        let Ok(Outcome::Stopped(stopped)) = outcome else {
            panic!("the run was asked to stop");
        };
        assert_eq!(stopped.step, after);
        let lines = sandbox.json_lines(&format!("{run}/metrics.jsonl"));
        let evaluations = lines.iter().filter_map(|line| line.get("evaluation"));
        assert!(evaluations.into_iter().all(|step| step != after));
        sandbox.resume(&run, &settings);
        assert_equal(&sandbox, "whole", &run);
    }
}

/// Long enough to be hit, with a checkpoint after every second step.
const LONG: &[&str] = &["train.num_train_epochs=6", "checkpoints.every_steps=2"];

#[test]
#[cfg(unix)]
fn a_killed_run_resumes_bit_identically() {
    let sandbox = Sandbox::new();
    let settings = [SETTINGS, LONG].concat();
    sandbox.train("whole", &settings);
    let all = sandbox.reports("whole");
    // Several kills in one run, at moments that depend on the speed of the computer.
    let arguments = [&["--config=config.toml", "--run-dir=run"], &settings[..]].concat();
    let mut child = sandbox.start(&arguments);
    for kill_at in [4, 9, 10, 17] {
        wait_for("line", || sandbox.reports("run") >= kill_at);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(
            sandbox.reports("run") < all,
            "killed too late to say anything"
        );
        child = sandbox.start(&["--resume=run"]);
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_equal(&sandbox, "whole", "run");
    let leftovers = sandbox.files("run/checkpoints");
    assert!(
        leftovers.iter().all(|name| !name.contains("writing")),
        "{leftovers:?}"
    );
}

#[test]
#[cfg(unix)]
fn a_signal_writes_a_checkpoint_and_exits_with_75() {
    let sandbox = Sandbox::new();
    let settings = [SETTINGS, &["train.num_train_epochs=200"]].concat();
    for name in ["TERM", "INT", "USR1", "HUP"] {
        let run = format!("run-{name}");
        let folder = format!("--run-dir={run}");
        let arguments = [&["--config=config.toml", &folder], &settings[..]].concat();
        let child = sandbox.start(&arguments);
        wait_for("line", || sandbox.reports(&run) >= 2);
        signal(child.id(), name);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(75), "{output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(&format!("--resume {run}")), "{stderr}");
        assert!(!sandbox.files(&format!("{run}/checkpoints")).is_empty());
    }
}

/// The run waits for its training file, a pipe without a writer.
#[test]
#[cfg(unix)]
fn a_signal_before_the_first_step_ends_the_process_at_once() {
    let sandbox = Sandbox::new();
    let made = Command::new("mkfifo").arg(sandbox.path("pipe")).status();
    assert!(made.unwrap().success());
    let arguments = ["--config=config.toml", "--run-dir=run", "train.files=pipe"];
    for (name, code) in [("INT", 130), ("TERM", 75), ("USR1", 75), ("HUP", 75)] {
        let child = sandbox.start(&arguments);
        wait_for("lock", || sandbox.path("run/.lock").exists());
        signal(child.id(), name);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{name}: {output:?}");
        std::fs::remove_file(sandbox.path("run/.lock")).unwrap();
    }
    // Nothing is in the way of the next try.
    let again = ["--config=config.toml", "--run-dir=run", "train.max_steps=1"];
    sandbox.command(&again).success();
}

#[test]
fn settings_that_a_checkpoint_depends_on_must_stay() {
    let sandbox = Sandbox::new();
    let settings = [SETTINGS, &["train.max_steps=1"]].concat();
    sandbox.train("run", &settings);
    for (changes, part) in [
        (
            &["train.gradient_accumulation_steps=1"][..],
            "train.gradient_accumulation_steps must stay 2 ",
        ),
        (&["train.seed=3"], "train.seed must stay 0 "),
        (
            &["train.freeze_layers=1"],
            "train.freeze_layers must stay 0 ",
        ),
        (
            &["train.freeze_embeddings=true"],
            "train.freeze_embeddings must stay false ",
        ),
        (
            &["train.per_device_train_batch_size=3"],
            "5 features in all; give train.per_device_train_batch_size=5 ",
        ),
        (
            &["train.max_tokens_per_batch=100"],
            "give train.max_tokens_per_batch=0 train.per_device_train_batch_size=5 ",
        ),
    ] {
        let trainer = Trainer::new(sandbox.config(&[&settings, changes].concat())).unwrap();
        let resumed = trainer.resume(sandbox.path("run"));
        let error = resumed.allow_config_changes(true).fit().unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}

/// Six steps in two epochs. A run that ends after one or four, by `max_steps` or early stopping, has the rest of its epoch
/// before it.
#[test]
fn a_run_that_ended_within_an_epoch_goes_on_in_it() {
    let sandbox = Sandbox::new();
    let settings = [
        SETTINGS,
        &["train.lr_scheduler_type=constant", "train.warmup_ratio=0"],
    ];
    let settings = settings.concat();
    sandbox.train("whole", &settings);
    for ends in [1, 4] {
        let run = format!("run-{ends}");
        let limit = format!("train.max_steps={ends}");
        sandbox.train(&run, &[&settings[..], &[&limit]].concat());
        let longer = Trainer::new(sandbox.config(&settings)).unwrap();
        let resumed = longer.resume(sandbox.path(&run)).allow_config_changes(true);
        let trained = resumed.fit().unwrap().finished().unwrap();
        assert_eq!(trained.metrics["steps"], 6);
        assert!(sandbox.weights("whole") == sandbox.weights(&run));
        let lines = sandbox.json_lines(&format!("{run}/metrics.jsonl"));
        let epochs = lines.iter().filter_map(|line| line["epoch_end"].as_u64());
        assert_eq!(epochs.collect::<Vec<_>>(), [1, 2]);
    }
    let stops = ["train.early_stopping_patience=1", "eval.every_steps=1"];
    let stops = [&settings[..], &stops, &["train.learning_rate=1e-30"]].concat();
    assert_eq!(sandbox.train("stops", &stops).metrics["steps"], 2);
    let patient = [&stops[..], &["train.early_stopping_patience=9"]].concat();
    let longer = Trainer::new(sandbox.config(&patient)).unwrap();
    let resumed = longer
        .resume(sandbox.path("stops"))
        .allow_config_changes(true);
    let trained = resumed.fit().unwrap().finished().unwrap();
    assert_eq!(trained.metrics["steps"], 6);
    let lines = sandbox.json_lines("stops/metrics.jsonl");
    let last = lines.iter().rfind(|line| line.get("train/loss").is_some());
    assert_eq!(last.unwrap()["epoch"], 2);
}

#[test]
fn a_run_resumed_in_another_folder_says_where_its_paths_start() {
    let sandbox = Sandbox::new();
    let settings = [SETTINGS, &["train.files=train.json", "train.max_steps=1"]].concat();
    let arguments = [&["--config=config.toml", "--run-dir=run"], &settings[..]].concat();
    sandbox.command(&arguments).success();
    std::fs::create_dir(sandbox.path("other")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    let command = command
        .args(["--resume", "../run"])
        .current_dir(sandbox.path("other"));
    let resumed = Finished::from(command.output().unwrap());
    resumed.mistake(&["train.json", "relative paths", "resume it there"]);
    sandbox.command(&["--resume=run"]).success();
}

/// As `nohup` and the background of a script start it.
#[test]
#[cfg(target_os = "linux")]
fn signals_that_are_ignored_stay_ignored() {
    let sandbox = Sandbox::new();
    let settings = [SETTINGS, &["train.num_train_epochs=200"]].concat();
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "trap '' HUP INT; exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_trainer"),
    ]);
    command.args(["--config=config.toml", "--run-dir=run"]);
    command.args(&settings).current_dir(sandbox.path("."));
    let child = command
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("line", || sandbox.reports("run") >= 2);
    signal(child.id(), "HUP");
    signal(child.id(), "INT");
    signal(child.id(), "INT");
    let before = sandbox.reports("run");
    wait_for("further line", || sandbox.reports("run") > before + 5);
    signal(child.id(), "TERM");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{output:?}");
}

#[test]
fn a_damaged_checkpoint_is_skipped_for_the_one_before() {
    let sandbox = Sandbox::new();
    let keep = [
        "checkpoints.every_steps=1",
        "checkpoints.save_total_limit=2",
    ];
    let settings = [SETTINGS, &keep[..]].concat();
    sandbox.train("run", &settings);
    let names: Vec<String> = sandbox
        .files("run/checkpoints")
        .into_iter()
        .filter(|name| name.ends_with("state.json"))
        .collect();
    assert_eq!(names.len(), 2, "the last two are kept: {names:?}");
    let before = result(&sandbox, "run");
    std::fs::write(sandbox.path("run/checkpoints").join(&names[1]), "{").unwrap();
    let resumed = sandbox.command(&["--resume=run"]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    assert!(resumed.stderr.contains("warning: "), "{resumed:?}");
    assert!(resumed.stderr.contains("earlier checkpoint"), "{resumed:?}");
    let after = result(&sandbox, "run");
    assert!(before.0 == after.0, "the weights differ");
    assert_eq!(before.1, after.1);
}

/// As after SIGKILL between writing the last checkpoint and removing the one before.
#[test]
fn a_resumed_run_removes_checkpoints_beyond_the_limit() {
    let sandbox = Sandbox::new();
    sandbox.train("run", SETTINGS);
    let before = sandbox.files("run/checkpoints");
    let older = sandbox.path("run/checkpoints/step-00000001-epoch-0001");
    std::fs::create_dir(&older).unwrap();
    std::fs::write(older.join("state.json"), "{}").unwrap();
    let resumed = sandbox.command(&["--resume=run"]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    assert_eq!(sandbox.files("run/checkpoints"), before);
}

#[test]
fn changed_settings_are_listed() {
    let sandbox = Sandbox::new();
    stopped(&sandbox, "run", SETTINGS, 1);
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
fn an_edited_configuration_is_a_change() {
    let sandbox = Sandbox::new();
    stopped(&sandbox, "run", SETTINGS, 1);
    let config = sandbox.text("run/config.toml");
    let edited = config.replace("learning_rate = 0.001", "learning_rate = 0.5");
    assert_ne!(edited, config);
    sandbox.write("run/config.toml", &edited);
    let refused = sandbox.command(&["--resume=run"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    for part in ["--allow-config-changes", "learning_rate: 0.001 -> 0.5"] {
        assert!(refused.stderr.contains(part), "{refused:?}");
    }
    assert_eq!(sandbox.text("run/config.toml"), edited);
    let allowed = sandbox.command(&["--resume=run", "--allow-config-changes"]);
    assert_eq!(allowed.code, Some(0), "{allowed:?}");
    assert!(
        allowed.stderr.contains("changed: train.learning_rate"),
        "{allowed:?}"
    );
}

#[test]
fn a_run_that_cannot_be_resumed_is_one_line() {
    let sandbox = Sandbox::new();
    let resume = |run: &str| -> Finished { sandbox.command(&["--resume", run]) };
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    resume("empty").mistake(&["empty", "holds no run", "config.toml"]);
    // Stopped before its first checkpoint.
    stopped(&sandbox, "run", SETTINGS, 2);
    std::fs::rename(sandbox.path("run/checkpoints"), sandbox.path("kept")).unwrap();
    resume("run").mistake(&["run/checkpoints", "no checkpoint"]);
    std::fs::rename(sandbox.path("kept"), sandbox.path("run/checkpoints")).unwrap();

    // Data that changed since.
    let train = sandbox.text("train.json");
    sandbox.write("train.json", &train.replacen("What", "Which", 1));
    resume("run").mistake(&["checkpoints", "does not match the training set"]);
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
