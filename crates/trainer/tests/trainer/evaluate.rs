//! `trainer evaluate`: its files agree with each other and with `trainer score`.

use serde_json::{Value, json};

use crate::pointer_model;
use crate::support::Sandbox;

/// Figures that differ from run to run, or are not the official script's.
const OURS: [&str; 11] = [
    "loss",
    "span_exact",
    "span_f1",
    "at_best_f1",
    "features",
    "features_per_second",
    "inference_seconds",
    "null_score_diff_threshold",
    "postprocess_seconds",
    "questions",
    "tokenization_seconds",
];

fn evaluate(sandbox: &Sandbox, more: &[&str]) -> Value {
    let arguments = [
        "evaluate",
        "--model=encoder",
        "--dataset=dev.json",
        "--json",
    ];
    sandbox.command(&[&arguments, more].concat()).json()
}

/// Only what the official script reports.
fn official(metrics: &Value) -> Value {
    let mut metrics = metrics.clone();
    metrics
        .as_object_mut()
        .unwrap()
        .retain(|key, _| !OURS.contains(&key.as_str()));
    metrics
}

fn score(sandbox: &Sandbox, more: &[&str]) -> Value {
    let arguments = ["score", "--dataset=dev.json", "--json"];
    sandbox.command(&[&arguments, more].concat()).json()
}

#[test]
fn the_official_script_gives_the_written_files_the_same_scores() {
    let sandbox = Sandbox::new();
    let metrics = evaluate(&sandbox, &["--out=out", "--threads=1"]);
    let files = [
        "metrics.json",
        "nbest.json",
        "null_odds.json",
        "predictions.json",
        "predictions_best.json",
    ];
    assert_eq!(sandbox.files("out"), files);
    assert_eq!(sandbox.json("out/metrics.json"), metrics);
    for key in OURS {
        assert!(
            metrics[key].is_number() || key == "at_best_f1",
            "{key} in {metrics}"
        );
    }
    assert_eq!(
        (&metrics["questions"], &metrics["features"]),
        (&json!(8), &json!(8))
    );

    // At the threshold that was used, and at the best one.
    let used = score(&sandbox, &["--predictions=out/predictions.json"]);
    let best = score(&sandbox, &["--predictions=out/predictions_best.json"]);
    for (key, value) in used.as_object().unwrap() {
        assert_eq!(&metrics[key], value, "{key}");
        assert_eq!(metrics["at_best_f1"][key], best[key], "{key}");
    }
    assert_eq!(
        metrics["at_best_f1"].as_object().unwrap().len(),
        1 + best.as_object().unwrap().len()
    );
    assert_eq!(metrics["at_best_f1"]["f1"], metrics["best_f1"]);

    // Where nothing is declined, the official script finds the same with the odds and a threshold.
    evaluate(&sandbox, &["--out=all", "--null-score-diff-threshold=1e9"]);
    let again = score(
        &sandbox,
        &[
            "--predictions=all/predictions.json",
            "--na-probs=all/null_odds.json",
            "--na-prob-thresh=0",
        ],
    );
    assert_eq!(again, official(&metrics));
}

#[test]
fn nbest_has_the_keys_of_run_qa() {
    let sandbox = Sandbox::new();
    evaluate(&sandbox, &["--out=out"]);
    let dev = sandbox.json("dev.json");
    let context = dev["data"][0]["paragraphs"][0]["context"].as_str().unwrap();
    let (n_best, predictions) = (
        sandbox.json("out/nbest.json"),
        sandbox.json("out/predictions.json"),
    );
    let null_odds = sandbox.json("out/null_odds.json");
    for (id, entries) in n_best.as_object().unwrap() {
        let entries = entries.as_array().unwrap();
        assert!(entries.len() >= 20, "{id}");
        let total: f64 = entries
            .iter()
            .map(|entry| entry["probability"].as_f64().unwrap())
            .sum();
        // Up to 21 probabilities, each rounded to f32.
        assert!((total - 1.0).abs() < 1e-5, "{id}: {total}");
        let score = |entry: &Value| {
            entry["start_logit"].as_f64().unwrap() + entry["end_logit"].as_f64().unwrap()
        };
        for entry in entries {
            assert_eq!(entry.as_object().unwrap().len(), 5, "{entry}");
            let [start, end] = [0, 1].map(|side| entry["offsets"][side].as_u64().unwrap() as usize);
            let text: String = context.chars().skip(start).take(end - start).collect();
            assert_eq!(entry["text"], text);
        }
        let best = entries.iter().find(|entry| entry["text"] != "").unwrap();
        let null = entries.iter().find(|entry| entry["text"] == "").unwrap();
        let odds = null_odds[id].as_f64().unwrap();
        // Sums of f32 in another order.
        assert!((score(null) - score(best) - odds).abs() < 1e-5, "{id}");
        let answer = if odds > 0.0 {
            ""
        } else {
            best["text"].as_str().unwrap()
        };
        assert_eq!(predictions[id], answer, "{id}");
    }
}

#[test]
fn evaluate_takes_feature_and_answer_options() {
    let sandbox = Sandbox::new();
    let more = [
        "--out=out",
        "--max-eval-samples=3",
        "--n-best-size=6",
        "--max-answer-length=1",
        "--max-seq-length=64",
        "--doc-stride=16",
    ];
    let metrics = evaluate(&sandbox, &more);
    assert_eq!(
        (&metrics["questions"], &metrics["total"]),
        (&json!(3), &json!(3))
    );
    assert!(metrics["features"].as_u64().unwrap() > 3, "{metrics}");
    let n_best = sandbox.json("out/nbest.json");
    let lists = n_best.as_object().unwrap().values();
    let lists: Vec<_> = lists.map(|list| list.as_array().unwrap()).collect();
    assert!(lists.iter().all(|list| list.len() <= 7), "{n_best}");
    let texts = lists
        .into_iter()
        .flatten()
        .map(|entry| entry["text"].as_str().unwrap());
    let spans: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
    assert!(!spans.is_empty(), "{n_best}");
    // One token each: a word or a piece of one.
    assert!(spans.iter().all(|text| !text.contains(' ')), "{spans:?}");
    for (threshold, key) in [("-1e9", "NoAns_exact"), ("1e9", "HasAns_total")] {
        let metrics = evaluate(&sandbox, &["--null-score-diff-threshold", threshold]);
        assert_eq!(
            metrics["null_score_diff_threshold"].as_f64(),
            threshold.parse().ok()
        );
        assert!(metrics[key].as_f64().unwrap() > 0.0, "{metrics}");
    }
    let arguments = ["evaluate", "--model=encoder", "--dataset=dev.json"];
    let plain = sandbox.command(&arguments).stdout;
    for line in ["exact: ", "at_best_f1.f1: ", "features_per_second: "] {
        assert!(
            plain.lines().any(|found| found.starts_with(line)),
            "{line} is not in {plain}"
        );
    }
    let first = sandbox.command(&[&arguments[..], &["--max-eval-samples=0"]].concat());
    assert_eq!(
        (first.code, first.stdout.as_str()),
        (Some(2), ""),
        "{first:?}"
    );
}

#[test]
fn a_dataset_without_unanswerable_questions_is_scored_as_squad_1() {
    let sandbox = Sandbox::new();
    let arguments = [
        "evaluate",
        "--model=encoder",
        "--dataset=eight.json",
        "--json",
        "--out=out",
    ];
    let metrics = sandbox.command(&arguments).json();
    let keys: Vec<_> = official(&metrics)
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(keys, ["exact_match", "f1"]);
    assert!(metrics.get("at_best_f1").is_none());
    let files = [
        "metrics.json",
        "nbest.json",
        "null_odds.json",
        "predictions.json",
    ];
    assert_eq!(sandbox.files("out"), files);
}

/// The official search calls the threshold that answers nothing 0; odds may all be below that.
#[test]
fn the_best_threshold_may_answer_nothing() {
    let sandbox = Sandbox::new();
    pointer_model::write(&sandbox.path("pointer"));
    let context = format!("A {} and {}.", pointer_model::START, pointer_model::END);
    let qas: Vec<_> = ["a", "b"]
        .map(|id| json!({"id": id, "question": "What?", "answers": [], "is_impossible": true}))
        .into();
    let dataset = json!({"data": [{"paragraphs": [{"context": context, "qas": qas}]}]});
    sandbox.write("none.json", &dataset.to_string());
    let arguments = [
        "evaluate",
        "--model=pointer",
        "--dataset=none.json",
        "--json",
        "--out=out",
    ];
    let metrics = sandbox.command(&arguments).json();
    assert_eq!(
        (&metrics["f1"], &metrics["best_f1"]),
        (&json!(0.0), &json!(100.0))
    );
    assert_eq!(metrics["best_f1_thresh"], 0.0);
    assert_eq!(metrics["at_best_f1"]["f1"], 100.0);
    let threshold = metrics["at_best_f1"]["null_score_diff_threshold"]
        .as_f64()
        .unwrap();
    assert!(threshold < -2.3, "{metrics}");
    assert_eq!(
        sandbox.json("out/predictions_best.json"),
        json!({"a": "", "b": ""})
    );
    assert_ne!(
        sandbox.json("out/predictions.json"),
        json!({"a": "", "b": ""})
    );
}

#[test]
fn evaluate_does_not_overwrite_a_run() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("run")).unwrap();
    sandbox.write("run/config.toml", "");
    let arguments = ["evaluate", "--model=encoder", "--dataset=dev.json", "--out"];
    let run = sandbox.command(&[&arguments[..], &["run"]].concat());
    run.mistake(&["run", "metrics.json"]);
    assert_eq!(sandbox.files("run"), ["config.toml"]);
    sandbox.write("file", "");
    sandbox
        .command(&[&arguments[..], &["file/out"]].concat())
        .mistake(&["file/out"]);
}
