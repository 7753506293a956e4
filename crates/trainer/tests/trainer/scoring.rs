//! `trainer score`: forms of predictions, other metrics, and what does not match the dataset.

use serde_json::{Value, json};

use crate::support::{Finished, Sandbox};

/// Questions with ids from 1 and these gold answers; none where the text is empty.
fn dataset(sandbox: &Sandbox, golds: &[&str]) {
    let context = golds.join(" ");
    let mut questions = Vec::new();
    for (index, gold) in golds.iter().enumerate() {
        let before = &context[..context.find(gold).unwrap()];
        let answer = json!({"text": gold, "answer_start": before.chars().count()});
        let answers = if gold.is_empty() {
            json!([])
        } else {
            json!([answer])
        };
        questions.push(json!({
            "id": (index + 1).to_string(), "question": "?", "answers": answers, "is_impossible": gold.is_empty(),
        }));
    }
    let data = json!({"data": [{"paragraphs": [{"context": context, "qas": questions}]}]});
    sandbox.write("gold.json", &data.to_string());
}

fn score(sandbox: &Sandbox, predictions: &str, more: &[&str]) -> Finished {
    sandbox.write("predictions", predictions);
    let arguments = ["score", "--dataset=gold.json", "--predictions=predictions"];
    sandbox.command(&[&arguments, more].concat())
}

#[test]
fn the_list_of_evaluate_is_scored_with_its_probabilities() {
    let sandbox = Sandbox::new();
    dataset(&sandbox, &["Ane Holm", "1871", ""]);
    let list = json!([
        {"id": 1, "prediction_text": "Ane Holm", "no_answer_probability": 0.125},
        {"id": "2", "prediction_text": "1871", "no_answer_probability": 0.0},
        {"id": "3", "prediction_text": "1871", "no_answer_probability": 0.75},
    ]);
    let scores = score(&sandbox, &list.to_string(), &["--json"]).json();
    assert_eq!(scores["HasAns_exact"], 100.0);
    assert_eq!(scores["NoAns_exact"], 0.0);
    assert_eq!(
        (&scores["best_exact"], &scores["best_exact_thresh"]),
        (&json!(100.0), &json!(0.125))
    );
    let withheld = score(
        &sandbox,
        &list.to_string(),
        &["--json", "--na-prob-thresh=0.5"],
    )
    .json();
    assert_eq!(withheld["exact"], 100.0);
    score(&sandbox, r#"{"1": "x"}"#, &["--na-prob-thresh=0.5"])
        .mistake(&["--na-prob-thresh", "--na-probs"]);
    sandbox.write("odds", r#"{"1": 0.5}"#);
    score(&sandbox, &list.to_string(), &["--na-probs=odds"]).mistake(&["odds", "question 2"]);
}

#[test]
fn a_dataset_and_predictions_that_are_exchanged_are_named() {
    let sandbox = Sandbox::new();
    dataset(&sandbox, &["Ane Holm"]);
    sandbox.write("predictions", r#"{"1": "Ane Holm"}"#);
    let exchanged = ["score", "--dataset=predictions", "--predictions=gold.json"];
    sandbox
        .command(&exchanged)
        .mistake(&["predictions", "exchange the two"]);
    let both = [
        "score",
        "--dataset=predictions",
        "--predictions=predictions",
    ];
    sandbox
        .command(&both)
        .mistake(&["predictions", "no question"]);
}

#[test]
fn null_odds_given_as_predictions_are_a_warning() {
    let sandbox = Sandbox::new();
    let odds = r#"{"1": -5.25, "2": 0.5, "3": 1e-1}"#;
    let is_warned = |odds: &str| {
        let finished = score(&sandbox, odds, &[]);
        finished.success();
        finished.stderr.contains("--na-probs?")
    };
    dataset(&sandbox, &["Ane Holm", "1871", "mill"]);
    assert!(is_warned(&odds.replace("1e-1", "0.125")));
    assert!(!is_warned(r#"{"1": -5.25, "2": 1871, "3": 0.5}"#));
    dataset(&sandbox, &["Ane Holm", "18.71", "mill"]);
    assert!(!is_warned(odds));
}

#[test]
fn missing_extra_and_doubled_ids_are_counted() {
    let sandbox = Sandbox::new();
    dataset(&sandbox, &["Ane Holm", "1871", "mill"]);
    let finished = score(
        &sandbox,
        r#"{"1": "x", "1": "Ane Holm", "4": "y", "5": "z"}"#,
        &["--json"],
    );
    let scores = finished.json();
    let counts = ["num_missing", "num_extra", "num_duplicates"].map(|key| scores[key].as_u64());
    assert_eq!(counts, [Some(2), Some(2), Some(1)]);
    for part in [
        "2 questions have no prediction",
        "2 predictions are of no",
        "1 id occurs again",
    ] {
        assert!(finished.stderr.contains(part), "{}", finished.stderr);
    }
    let all = score(
        &sandbox,
        r#"{"1": "Ane Holm", "2": "1871", "3": "mill"}"#,
        &["--json"],
    );
    assert_eq!(all.json(), json!({"exact_match": 100.0, "f1": 100.0}));
    assert_eq!(all.stderr, "");
}

#[test]
fn predictions_of_questions_without_gold_answers_are_counted() {
    let sandbox = Sandbox::new();
    let answers = json!([{"text": "Ane Holm", "answer_start": 0}]);
    let qas = json!([
        {"id": "1", "question": "?", "answers": answers},
        {"id": "2", "question": "?"},
    ]);
    let data = json!({"data": [{"paragraphs": [{"context": "Ane Holm", "qas": qas}]}]});
    sandbox.write("gold.json", &data.to_string());
    let predictions = r#"{"1": "Ane Holm", "2": "Ane", "3": "Ane"}"#;
    let finished = score(&sandbox, predictions, &["--json"]);
    let scores = finished.json();
    let counts = ["exact_match", "num_unlabelled", "num_extra"].map(|key| scores[key].as_f64());
    assert_eq!(counts, [Some(100.0), Some(1.0), Some(1.0)]);
    for part in [
        "1 prediction is not scored, for want of gold answers",
        "1 prediction is of no question of the dataset",
    ] {
        assert!(finished.stderr.contains(part), "{}", finished.stderr);
    }
}

#[test]
fn metrics_of_other_languages_and_what_squad_says_there() {
    let sandbox = Sandbox::new();
    dataset(&sandbox, &["물레방아", "안네 홀름"]);
    let predictions = r#"{"1": "물레방아는", "2": "안네 홀름"}"#;
    let scores = score(&sandbox, predictions, &["--json", "--metric=korquad"]).json();
    // Precision 4/5 and recall 1 of the first.
    let f1 = (2.0 * 0.8 * 1.0) / (0.8 + 1.0);
    assert_eq!(
        scores,
        json!({"exact_match": 50.0, "f1": 100.0 * (f1 + 1.0) / 2.0, "metric": "korquad"})
    );
    let squad = score(&sandbox, predictions, &["--json"]);
    assert_eq!(squad.json()["f1"], 50.0);
    assert!(
        squad.stderr.contains("the metric korquad does"),
        "{}",
        squad.stderr
    );
    let wrong = score(&sandbox, predictions, &["--metric=mlqa:xx"]);
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.stderr.contains("ar, de, en, es, hi, vi, zh"),
        "{wrong:?}"
    );

    dataset(&sandbox, &["埃尔姆福德磨坊", "一八七一年"]);
    let predictions = r#"{"1": "磨坊", "3": "x"}"#;
    let finished = score(&sandbox, predictions, &["--json"]);
    assert!(
        finished
            .stderr
            .contains("the metric cmrc, drcd or mlqa:zh does"),
        "{}",
        finished.stderr
    );
    for metric in ["--metric=cmrc", "--metric=drcd"] {
        let scores = score(&sandbox, predictions, &["--json", metric]).json();
        // The script's keys: 2 of 7 characters of the one, nothing of the other.
        let figures = ["AVERAGE", "F1", "EM"].map(|key| scores[key].as_str().unwrap().to_owned());
        assert_eq!(figures, ["11.111", "22.222", "0.000"]);
        assert_eq!((&scores["TOTAL"], &scores["SKIP"]), (&json!(2), &json!(1)));
        assert!((scores["f1"].as_f64().unwrap() - 22.222).abs() < 5e-4);
    }
}

#[test]
fn a_file_without_gold_answers_is_not_scored() {
    let sandbox = Sandbox::new();
    let data = json!({"data": [{"paragraphs": [{"context": "x y", "qas": [{"id": "1", "question": "?"}]}]}]});
    sandbox.write("gold.json", &data.to_string());
    score(&sandbox, r#"{"1": "x"}"#, &["--json"]).mistake(&["gold.json", "nothing to score"]);
}

#[test]
fn evaluate_and_training_score_by_the_chosen_metric() {
    let sandbox = Sandbox::new();
    let settings = [
        "eval.metric=\"korquad\"",
        "train.max_steps=1",
        "eval.max_eval_samples=3",
    ];
    let trained = sandbox.train("run", &settings);
    assert_eq!(trained.metrics["eval"]["metric"], "korquad");
    let arguments = [
        "--model=run/model",
        "--dataset=dev.json",
        "--max-eval-samples=3",
        "--json",
    ];
    let evaluate = |metric| -> Value {
        sandbox
            .command(&[&["evaluate", metric], &arguments[..]].concat())
            .json()
    };
    let metrics = evaluate("--metric=korquad");
    assert!(metrics["f1"].is_number());
    assert_eq!(metrics["f1"], trained.metrics["eval"]["f1"]);
    assert_eq!(metrics["metric"], "korquad");
    assert_eq!(evaluate("--metric=squad").get("metric"), None);
    // Where every question has an answer too, and a report scores by it again.
    dataset(&sandbox, &["물레방아", "안네 홀름"]);
    let of_answerable = [
        "evaluate",
        "--metric=korquad",
        "--model=run/model",
        "--dataset=gold.json",
        "--json",
    ];
    assert_eq!(sandbox.command(&of_answerable).json()["metric"], "korquad");
    let eval = format!("eval.file={}", sandbox.path("gold.json").display());
    sandbox.train(
        "answerable",
        &["eval.metric=korquad", "train.max_steps=1", &eval],
    );
    let page = sandbox.command(&["report", "answerable"]);
    assert_eq!((page.code, page.stderr.as_str()), (Some(0), ""));
    let wrong = sandbox.write("wrong.toml", "eval.metric = \"bleu\"\n");
    let config = wrong.to_str().unwrap();
    sandbox
        .command(&["--config", config])
        .mistake(&["eval.metric", "bleu", "korquad"]);
}
