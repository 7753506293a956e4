//! Checkpoints, and the best model, that are damaged, edited, exchanged or left by another run.

use std::path::Path;

use trainer::Trainer;

use crate::resume::SETTINGS;
use crate::support::Sandbox;

/// Trains until a step and returns the folder of the checkpoint, relative to the sandbox.
pub(crate) fn stopped(sandbox: &Sandbox, run: &str, settings: &[&str], at: u32) -> String {
    let trainer = Trainer::new(sandbox.config(settings)).unwrap();
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
    let names = folders(&sandbox.path(run).join("checkpoints"));
    format!("{run}/checkpoints/{}", names.last().unwrap())
}

fn folders(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn damaged_checkpoints_are_set_aside_and_never_counted() {
    let sandbox = Sandbox::new();
    let settings = [SETTINGS, &["checkpoints.every_steps=1"]].concat();
    sandbox.train("whole", &settings);
    let checkpoint = stopped(&sandbox, "run", &settings, 2);
    let checkpoints = sandbox.path("run/checkpoints");
    // Later than every checkpoint of the run, also where names are compared as text.
    for name in ["step-00000009-epoch-0002", "step-100000000-epoch-0002"] {
        sandbox.copy(&checkpoint, &format!("run/checkpoints/{name}"));
        std::fs::write(checkpoints.join(name).join("state.json"), "{").unwrap();
    }
    std::fs::create_dir(checkpoints.join("step-of-mine")).unwrap();
    let resumed = sandbox.command(&["--resume=run"]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    for part in [
        "is damaged",
        "step-00000009-epoch-0002 is now damaged-step-00000009-epoch-0002",
    ] {
        assert!(resumed.stderr.contains(part), "{part}: {resumed:?}");
    }
    assert_eq!(
        folders(&checkpoints),
        [
            "damaged-step-00000009-epoch-0002",
            "damaged-step-100000000-epoch-0002",
            "step-00000006-epoch-0003",
            "step-of-mine"
        ]
    );
    assert!(sandbox.weights("whole") == sandbox.weights("run"));
    // The checkpoint that is kept is whole.
    assert_eq!(sandbox.command(&["--resume=run"]).code, Some(0));
}

#[test]
fn every_file_of_a_checkpoint_is_checked() {
    let sandbox = Sandbox::new();
    let checkpoint = stopped(&sandbox, "run", SETTINGS, 2);
    let files = sandbox.files(&checkpoint);
    assert_eq!(files.len(), 7, "{files:?}");
    for name in files {
        let path = sandbox.path(&checkpoint).join(&name);
        let whole = std::fs::read(&path).unwrap();
        // White space changes no JSON file's meaning, but each file's digest.
        let edited = match &*name {
            "state.json" => {
                let text = String::from_utf8(whole.clone()).unwrap();
                assert!(text.contains("\"step\": 2"), "{text}");
                text.replacen("\"step\": 2", "\"step\": 3", 1).into_bytes()
            }
            _ => [&whole[..], b" "].concat(),
        };
        std::fs::write(&path, edited).unwrap();
        let file = name.rsplit('/').next().unwrap();
        sandbox
            .command(&["--resume=run"])
            .mistake(&[file, "is damaged", "checksum"]);
        std::fs::remove_file(&path).unwrap();
        sandbox.command(&["--resume=run"]).mistake(&[file]);
        std::fs::write(&path, whole).unwrap();
    }
    assert_eq!(sandbox.command(&["--resume=run"]).code, Some(0));
}

#[test]
fn a_changed_evaluation_set_is_reported() {
    let sandbox = Sandbox::new();
    stopped(&sandbox, "run", SETTINGS, 2);
    let whole = sandbox.text("dev.json");
    let dataset = sandbox.json("dev.json");
    let paragraphs = &dataset["data"][0]["paragraphs"];
    let qas = paragraphs[0]["qas"].as_array().unwrap();
    // Within the first four questions, of which the run evaluates all: a gold text in another case.
    let answered = qas.iter().find(|qa| qa["answers"][0]["text"].is_string());
    let mut shorter = dataset.clone();
    let few = shorter["data"][0]["paragraphs"][0]["qas"].as_array_mut();
    few.unwrap().remove(0);
    let id = answered.unwrap()["id"].as_str().unwrap();
    for changed in [shorter.to_string(), whole.replace(id, "another id")] {
        sandbox.write("dev.json", &changed);
        let resumed = sandbox.command(&["--resume=run"]);
        resumed.mistake(&["evaluation set", "--allow-config-changes"]);
    }
    let allowed = sandbox.command(&["--resume=run", "--allow-config-changes"]);
    assert_eq!(allowed.code, Some(0), "{allowed:?}");
    let warning = "warning: ";
    let warnings = allowed.stderr.lines().filter(|l| l.starts_with(warning));
    assert!(
        warnings
            .into_iter()
            .any(|line| line.contains("evaluation set")),
        "{allowed:?}"
    );
}

/// The first evaluation is the best, because no later one has a higher share of exact answers.
const BEST: &[&str] = &[
    "eval.metric_for_best_model=HasAns_exact",
    "eval.load_best_model_at_end=true",
    "eval.every_steps=2",
];

#[test]
fn a_best_model_that_is_not_the_runs_is_not_its_result() {
    let sandbox = Sandbox::new();
    let settings = [SETTINGS, BEST].concat();
    let whole = sandbox.train("whole", &settings);
    assert_eq!(whole.metrics["best"]["step"], 2);
    assert_eq!(whole.metrics["steps"], 6);
    sandbox.train("last", SETTINGS);
    let (best, last) = (sandbox.weights("whole"), sandbox.weights("last"));
    assert!(best != last);

    for (run, what) in [
        ("kept", None),
        ("gone", Some("gone")),
        ("other", Some("other")),
    ] {
        stopped(&sandbox, run, &settings, 3);
        let best_model = format!("{run}/best");
        if what.is_some() {
            std::fs::remove_dir_all(sandbox.path(&best_model)).unwrap();
        }
        if what == Some("other") {
            sandbox.copy("last/model", &best_model);
        }
        let resume = format!("--resume={run}");
        let resumed = sandbox.command(&[&resume]);
        assert_eq!(resumed.code, Some(0), "{resumed:?}");
        let has_warning = resumed.stderr.contains("the result is the last model");
        assert_eq!(has_warning, what.is_some(), "{resumed:?}");
        let expected = if what.is_some() { &last } else { &best };
        assert!(&sandbox.weights(run) == expected, "{run}");
    }
}
