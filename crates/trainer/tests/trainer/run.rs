//! A whole run, small: what it leaves, and what stands in it.

use serde_json::Value;
use trainer::Config;

use crate::support::Sandbox;

const SETTINGS: &[&str] = &[
    "train.num_train_epochs=2",
    "train.learning_rate=1e-3",
    "train.warmup_ratio=0.25",
    "train.per_device_train_batch_size=5",
    "features.max_seq_length=256",
    "features.doc_stride=64",
];

#[test]
fn a_run_writes_exactly_these_files() {
    let sandbox = Sandbox::new();
    let trained = sandbox.train("run", SETTINGS);
    let files: Vec<_> = sandbox
        .files("run")
        .into_iter()
        .map(|name| match name.split_once("events.out.tfevents.") {
            Some((folder, _)) => format!("{folder}events"),
            None => name,
        })
        .collect();
    let expected = [
        ".lock",
        "checkpoints/step-00000010-epoch-0003/model/config.json",
        "checkpoints/step-00000010-epoch-0003/model/model.safetensors",
        "checkpoints/step-00000010-epoch-0003/model/qa_config.json",
        "checkpoints/step-00000010-epoch-0003/model/tokenizer.json",
        "checkpoints/step-00000010-epoch-0003/model/tokenizer_config.json",
        "checkpoints/step-00000010-epoch-0003/optimizer.safetensors",
        "checkpoints/step-00000010-epoch-0003/state.json",
        "config.toml",
        "eval/metrics.json",
        "eval/nbest.json",
        "eval/null_odds.json",
        "eval/predictions.json",
        "eval/predictions_best.json",
        "metrics.json",
        "metrics.jsonl",
        "model/README.md",
        "model/config.json",
        "model/model.safetensors",
        "model/qa_config.json",
        "model/tokenizer.json",
        "model/tokenizer_config.json",
        "tensorboard/events",
    ];
    assert_eq!(files, expected);

    // What was resolved is what is written, and it reads back the same.
    let written = Config::resolve(&sandbox.path("run/config.toml"), &[]).unwrap();
    assert_eq!(written, sandbox.config(SETTINGS));

    let metrics = sandbox.json("run/metrics.json");
    assert_eq!(metrics, trained.metrics);
    assert!(
        metrics["features_per_second"].as_f64().unwrap() > 0.0,
        "{metrics}"
    );
    assert!(metrics["seconds"].as_f64().unwrap() > 0.0, "{metrics}");
    if cfg!(target_os = "linux") {
        assert!(
            metrics["peak_memory_bytes"].as_u64().unwrap() > 1 << 20,
            "{metrics}"
        );
    }
    for key in [
        "exact",
        "f1",
        "total",
        "HasAns_exact",
        "NoAns_f1",
        "best_f1",
        "best_f1_thresh",
    ] {
        assert!(metrics["eval"][key].is_number(), "{key} in {metrics}");
    }
    assert_eq!(metrics["eval"], sandbox.json("run/eval/metrics.json"));
    assert_eq!(
        sandbox
            .json("run/eval/predictions.json")
            .as_object()
            .unwrap()
            .len(),
        8
    );

    steps_and_epochs(&sandbox.json_lines("run/metrics.jsonl"), &metrics);
    model_card(&sandbox.text("run/model/README.md"), &written, &metrics);
}

/// The model card has the settings, data and scores of the run.
fn model_card(card: &str, config: &Config, metrics: &Value) {
    assert!(
        card.starts_with("---\nlibrary_name: transformers\n"),
        "{card}"
    );
    // The settings with names in place of absolute paths.
    let folder = config.train.files[0].parent().unwrap();
    let folder = format!("{}/", folder.display());
    let settings = config.to_toml().replace(&folder, "");
    assert!(
        card.contains(&settings) && !card.contains(&folder),
        "{card}"
    );
    let f1 = metrics["eval"]["f1"].as_f64().unwrap();
    for row in [
        format!("| f1 | {f1:.2} |"),
        "| total | 8 |".into(),
        "| scores | 8 | dev.json | ".into(),
        "| Burn | 0.22.1 |".into(),
    ] {
        assert_eq!(card.matches(&row).count(), 1, "{row} in {card}");
    }
    let versions = card.to_lowercase().matches("| burn |").count();
    assert_eq!(versions, 1, "{card}");
    assert_eq!(metrics["versions"]["burn"], "0.22.1");
}

/// One line per step and per epoch, in order; the rate follows the schedule.
fn steps_and_epochs(lines: &[Value], metrics: &Value) {
    let total = metrics["steps"].as_u64().unwrap();
    let (steps, epochs): (Vec<_>, Vec<_>) = lines
        .iter()
        .filter(|line| line.get("evaluation").is_none())
        .partition(|line| line.get("train/loss").is_some());
    let number = |line: &Value, key: &str| line[key].as_f64().unwrap();
    let count: Vec<_> = steps
        .iter()
        .map(|line| line["step"].as_u64().unwrap())
        .collect();
    assert_eq!(count, (1..=total).collect::<Vec<_>>());
    let ends: Vec<_> = epochs
        .iter()
        .map(|line| {
            (
                line["epoch_end"].as_u64().unwrap(),
                line["step"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(ends, [(1, total / 2), (2, total)]);

    // Hugging Face's linear schedule, written out: a quarter up from 0, then down to 0.
    assert_eq!(total, 10);
    let warmup = (0.25 * total as f64).floor();
    for (before, line) in steps.iter().enumerate() {
        let before = before as f64;
        let factor = if before < warmup {
            before / warmup
        } else {
            (total as f64 - before) / (total as f64 - warmup)
        };
        // The rate is computed in f64 from the same few operations.
        let rate = number(line, "train/learning_rate");
        assert!(
            (rate - 1e-3 * factor).abs() < 1e-15,
            "{rate} after {before} steps"
        );
        assert!(number(line, "train/grad_norm") > 0.0);
    }

    // The epoch's loss is the mean over its 24 features; the last batch has 4 of them, not 5.
    let features = [5.0, 5.0, 5.0, 5.0, 4.0];
    let losses: Vec<f64> = steps
        .iter()
        .map(|line| number(line, "train/loss"))
        .collect();
    let last = &losses[losses.len() - features.len()..];
    let sum: f64 = last
        .iter()
        .zip(features)
        .map(|(loss, features)| loss * features)
        .sum();
    let logged = number(epochs[1], "epoch/train_loss");
    assert!(
        (logged - sum / 24.0).abs() < 1e-12,
        "{logged} is not the mean of {last:?}"
    );
    assert!(
        (logged - last.iter().sum::<f64>() / 5.0).abs() > 1e-9,
        "the weighted and the plain mean must differ"
    );
    assert_eq!(logged, number(metrics, "train_loss"));
    assert_eq!(epochs[1]["epoch/eval_f1"], metrics["eval"]["f1"]);
}

#[test]
fn a_loaded_model_has_the_scores_of_the_run() {
    let sandbox = Sandbox::new();
    let trained = sandbox.train("run", SETTINGS);
    let evaluated = sandbox.command(&[
        "evaluate",
        "--model=run/model",
        "--dataset=dev.json",
        "--max-seq-length=256",
        "--doc-stride=64",
        "--out=again",
        "--json",
    ]);
    let metrics = evaluated.json();
    for (key, value) in trained.metrics["eval"].as_object().unwrap() {
        assert_eq!(&metrics[key], value, "{key}");
    }
    for file in [
        "predictions.json",
        "predictions_best.json",
        "nbest.json",
        "null_odds.json",
    ] {
        assert_eq!(
            sandbox.text(&format!("again/{file}")),
            sandbox.text(&format!("run/eval/{file}"))
        );
    }
    assert_eq!(sandbox.files("again").len(), 5);
    assert!(
        !evaluated.stderr.contains("no trained span head"),
        "{}",
        evaluated.stderr
    );
    let untrained = sandbox.command(&["evaluate", "--model=encoder", "--dataset=dev.json"]);
    assert!(
        untrained.stderr.contains("no trained span head"),
        "{}",
        untrained.stderr
    );
}

#[test]
fn a_model_overfits_eight_questions() {
    let sandbox = Sandbox::new();
    let eight = sandbox.path("eight.json");
    let trained = sandbox.train(
        "run",
        &[
            &format!("train.files={}", eight.display()),
            &format!("eval.file={}", eight.display()),
            "train.num_train_epochs=150",
            "train.learning_rate=3e-3",
            "train.weight_decay=0",
            "train.dropout=false",
        ],
    );
    let scores = &trained.metrics["eval"];
    assert_eq!(scores["exact_match"], 100.0, "{}", trained.metrics);
    assert_eq!(scores["f1"], 100.0, "{}", trained.metrics);
}

/// The best thresholds are a property of the answers, whatever threshold the run used.
#[test]
fn the_best_thresholds_do_not_depend_on_the_configured_threshold() {
    let sandbox = Sandbox::new();
    let run = |name: &str, threshold: &str| {
        let threshold = format!("answers.null_score_diff_threshold={threshold}");
        sandbox
            .train(name, &[SETTINGS, &[&threshold]].concat())
            .metrics
    };
    let (never, always) = (run("never", "-1e9"), run("always", "1e9"));
    assert_eq!(never["eval"]["NoAns_exact"], 100.0, "nothing was answered");
    assert_eq!(never["eval"]["HasAns_exact"], 0.0, "nothing was answered");
    assert_eq!(
        always["eval"]["NoAns_exact"], 0.0,
        "everything was answered"
    );
    for key in [
        "best_exact",
        "best_exact_thresh",
        "best_f1",
        "best_f1_thresh",
    ] {
        assert!(never["eval"][key].is_f64(), "{never}");
        assert_eq!(never["eval"][key], always["eval"][key], "{key}");
    }
}
