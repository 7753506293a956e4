//! What the settings of `[train]` do to the weights.

use std::collections::BTreeMap;

use safetensors::SafeTensors;
use trainer::{Error, Trainer};

use crate::support::{Sandbox, parameters};
use test_support::TinyModel;

type Weights = BTreeMap<String, Vec<f32>>;

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

fn largest_of_all(a: &Weights, b: &Weights) -> f32 {
    let all = a.iter().map(|(name, a)| largest_difference(a, &b[name]));
    all.fold(0.0, f32::max)
}

/// A run's weights; the settings come after the common ones.
fn trained(sandbox: &Sandbox, run: &str, settings: &[&str]) -> Weights {
    const COMMON: &[&str] = &[
        "train.num_train_epochs=1",
        "train.learning_rate=1e-2",
        "train.dropout=false",
        "eval.max_eval_samples=1",
    ];
    sandbox.train(run, &[COMMON, settings].concat());
    parameters(&sandbox.path(run).join("model"))
}

fn two_layers() -> TinyModel {
    TinyModel {
        num_hidden_layers: 2,
        ..TinyModel::default()
    }
}

/// Sums of gradients are added up in another order, which AdamW's small epsilon would blow up where
/// a gradient is zero in mathematics; so epsilon is large, and what is left is rounding.
#[test]
fn accumulated_batches_equal_one_batch() {
    let sandbox = Sandbox::new();
    let run = |name: &str, settings: &[&str]| {
        trained(
            &sandbox,
            name,
            &[settings, &["train.adam_epsilon=1e-2"]].concat(),
        )
    };
    // 24 features: the last step of an epoch has 4 of them.
    let whole = run("whole", &["train.per_device_train_batch_size=10"]);
    let accumulated = run(
        "accumulated",
        &[
            "train.per_device_train_batch_size=5",
            "train.gradient_accumulation_steps=2",
        ],
    );
    let difference = largest_of_all(&whole, &accumulated);
    assert!(difference < 1e-6, "{difference}");
    let steps = |run: &str| sandbox.json(&format!("{run}/metrics.json"))["steps"].clone();
    assert_eq!((steps("whole"), steps("accumulated")), (3.into(), 3.into()));
    // Smaller batches without accumulation are another training.
    let difference = largest_of_all(
        &whole,
        &run("other", &["train.per_device_train_batch_size=5"]),
    );
    assert!(difference > 1e-4, "{difference}");
}

#[test]
fn frozen_parameters_do_not_change() {
    let sandbox = Sandbox::with_model(&two_layers());
    let before = trained(&sandbox, "before", &["train.learning_rate=1e-30"]);
    let after = trained(
        &sandbox,
        "after",
        &["train.freeze_embeddings=true", "train.freeze_layers=1"],
    );
    for (name, before) in &before {
        let is_frozen = name.contains("embeddings.") || name.contains(".layer.0.");
        let difference = largest_difference(before, &after[name]);
        // Key biases have no slope: see the test of gradients.
        if !name.ends_with("key.bias") {
            // The run before moved by its rate, which is less than any weight's last digit.
            let is_same = difference < 1e-20;
            assert_eq!(is_same, is_frozen, "{name} moved by {difference}");
        }
    }
    // A run with frozen layers can be resumed: the optimizer has no state for them.
    let optimizer = sandbox.files("after/checkpoints");
    let optimizer = optimizer.iter().find(|name| name.contains("optimizer"));
    let bytes = std::fs::read(sandbox.path("after/checkpoints").join(optimizer.unwrap())).unwrap();
    let state = SafeTensors::deserialize(&bytes).unwrap();
    assert!(
        state
            .names()
            .iter()
            .all(|name| !name.contains("embeddings."))
    );
}

/// The first step of Adam moves every element by the learning rate, whatever the gradient's size.
#[test]
fn layerwise_lr_decay_slows_lower_layers() {
    let sandbox = Sandbox::with_model(&two_layers());
    let one_step = [
        "train.max_steps=1",
        "train.warmup_ratio=0",
        "train.weight_decay=0",
        "train.lr_scheduler_type=constant",
        "train.max_grad_norm=0",
    ];
    let run = |name: &str, more: &[&str]| trained(&sandbox, name, &[&one_step, more].concat());
    let before = run("before", &["train.learning_rate=1e-30"]);
    let after = run("after", &["train.layerwise_lr_decay=0.5"]);
    assert_eq!(sandbox.json("after/metrics.json")["steps"], 1);
    for (name, scale) in [
        ("qa_outputs.weight", 1.0),
        ("bert.encoder.layer.1.output.dense.weight", 0.5),
        ("bert.encoder.layer.0.output.dense.weight", 0.25),
        ("bert.embeddings.word_embeddings.weight", 0.125),
    ] {
        let moved = largest_difference(&before[name], &after[name]);
        // 1e-2 up to epsilon and the rounding of weights near 1.
        assert!((moved - 1e-2 * scale).abs() < 1e-5, "{name}: {moved}");
    }
}

/// With a rate that changes nothing, no evaluation is better than the first.
#[test]
fn early_stopping_keeps_the_best_model() {
    let sandbox = Sandbox::new();
    let settings = [
        "train.num_train_epochs=9",
        "train.learning_rate=1e-30",
        "train.early_stopping_patience=2",
        "eval.metric_for_best_model=f1",
        "eval.load_best_model_at_end=true",
        "checkpoints.export_every_epochs=2",
    ];
    let trained = sandbox.train("run", &settings);
    assert_eq!(trained.metrics["steps"], 3 * 3);
    assert_eq!(trained.metrics["best"]["step"], 3);
    let best = parameters(&sandbox.path("run/best"));
    let saved = parameters(&trained.model_folder);
    assert!(best == saved, "the best is saved");
    let kept = sandbox.files("run/checkpoints");
    let alone: Vec<_> = kept
        .iter()
        .filter(|name| name.starts_with("checkpoint-") && name.ends_with("model.safetensors"))
        .collect();
    let [name] = alone[..] else {
        panic!("{kept:?}");
    };
    let lines = sandbox.json_lines("run/metrics.jsonl");
    let second = lines.iter().find(|line| line["epoch_end"] == 2).unwrap();
    let loss = second["epoch/eval_loss"].as_f64().unwrap();
    assert_eq!(*name, format!("checkpoint-02-{loss:.4}/model.safetensors"));
}

/// Three epochs of three steps.
#[test]
fn early_stopping_says_when_it_stops_and_when_it_cannot() {
    let sandbox = Sandbox::new();
    let log = |run: &str, settings: &[&str]| {
        let run = format!("--run-dir={run}");
        let fixed = [
            "--config=config.toml",
            &run,
            "train.num_train_epochs=3",
            "train.learning_rate=1e-30",
            "eval.metric_for_best_model=eval_f1",
        ];
        let finished = sandbox.command(&[&fixed[..], settings].concat());
        finished.success();
        finished.stderr
    };
    let no_effect = "has no effect: the run has";
    for (run, settings, evaluations) in [
        ("end", &["eval.every_epochs=0"][..], "1 evaluation;"),
        ("epochs", &["eval.every_epochs=2"], "2 evaluations;"),
        (
            "steps",
            &["eval.every_epochs=0", "eval.every_steps=8"],
            "2 evaluations;",
        ),
        (
            "last",
            &[
                "eval.every_epochs=0",
                "eval.every_steps=3",
                "train.max_steps=6",
            ],
            "2 evaluations;",
        ),
    ] {
        let settings = [settings, &["train.early_stopping_patience=1"]].concat();
        let log = log(run, &settings);
        assert!(log.contains(&format!("{no_effect} {evaluations}")), "{log}");
    }
    let log = log("stops", &["train.early_stopping_patience=1"]);
    assert!(!log.contains(no_effect), "{log}");
    let note = "stopped early after step 6 of 9: eval_f1 was best after step 3";
    assert!(log.contains(note), "{log}");
}

/// The model that is kept is the best one even where later ones are worse.
#[test]
fn load_best_model_at_end_loads_the_best_model() {
    let sandbox = Sandbox::new();
    let settings = [
        "train.num_train_epochs=4",
        "train.learning_rate=2e2",
        "train.lr_scheduler_type=constant",
        "train.max_grad_norm=0",
        "eval.metric_for_best_model=loss",
        "eval.load_best_model_at_end=true",
    ];
    let trained = sandbox.train("run", &settings);
    let best = &trained.metrics["best"];
    assert!(
        best["step"].as_u64() < trained.metrics["steps"].as_u64(),
        "{best}"
    );
    assert_eq!(best["value"], trained.metrics["eval"]["loss"]);
    assert!(parameters(&sandbox.path("run/best")) == parameters(&trained.model_folder));
}

#[test]
fn a_nan_loss_stops_the_run_before_the_update() {
    let sandbox = Sandbox::new();
    let settings = [
        "train.learning_rate=1e30",
        "train.warmup_ratio=0",
        "train.per_device_train_batch_size=4",
        "checkpoints.every_steps=1",
    ];
    let config = sandbox.config(&settings);
    let error = Trainer::new(config)
        .unwrap()
        .run_dir(sandbox.path("run"))
        .fit();
    let error = error.unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let Error::Diverged {
        step, questions, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!((*step, questions.len()), (2, 4));
    let text = sandbox.text("train.json");
    for id in questions {
        assert!(text.contains(&format!("{id:?}")), "{id} is no question");
        assert!(error.to_string().contains(id), "{error}");
    }
    assert!(!sandbox.path("run/model").exists());
    let kept = sandbox.files("run/checkpoints");
    assert!(
        kept.iter().all(|name| name.starts_with("step-00000001-")),
        "{kept:?}"
    );
}

#[test]
fn metric_for_best_model_must_be_a_metric() {
    let sandbox = Sandbox::new();
    let run = sandbox.command(&[
        "--config=config.toml",
        "--run-dir=run",
        "train.max_steps=1",
        "eval.max_eval_samples=1",
        "eval.metric_for_best_model=f2",
    ]);
    run.mistake(&["no such figure", "exact_match", "f1", "loss"]);
    assert!(!sandbox.path("run").exists());
}
