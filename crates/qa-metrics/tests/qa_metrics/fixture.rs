//! Difficult strings and small datasets, made with the Python script beside `fixtures/official.json`. Every score must be
//! the same `f64`.

use std::collections::HashMap;

use qa_metrics::{
    DatasetScores, Metric, NaProbs, Question, ScoresV2, exact_match, f1, normalize_answer,
    score_v1, score_v2, score_v2_with_na_probs,
};
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("../fixtures/official.json")).expect("the fixture is JSON")
}

pub(crate) fn rows<'v>(value: &'v Value, key: &str) -> &'v Vec<Value> {
    value[key].as_array().expect("a list")
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

/// Floats are strings in the fixture, because Rust's parser reads them exactly.
pub(crate) fn float(value: &Value) -> f64 {
    text(value).parse().expect("a float")
}

#[test]
fn normalization_equals_pythons() {
    for row in rows(&fixture(), "normalize") {
        assert_eq!(normalize_answer(text(&row[0])), text(&row[1]), "{row}");
    }
}

#[test]
fn scores_of_one_answer_equal_pythons() {
    let question = |gold| {
        [Question {
            id: "q",
            answers: vec![gold],
        }]
    };
    for row in rows(&fixture(), "pairs") {
        let (prediction, gold) = (text(&row[0]), text(&row[1]));
        assert_eq!(
            exact_match(prediction, gold),
            row[2].as_bool().unwrap(),
            "{row}"
        );
        assert_eq!(f1(prediction, gold), float(&row[4]), "{row}");

        let predictions = HashMap::from([("q".to_owned(), prediction.to_owned())]);
        let v1 = score_v1(&question(gold), &predictions, Metric::Squad).unwrap();
        assert_eq!(v1.questions[0].f1, float(&row[3]), "{row}");
    }
}

#[test]
fn scores_of_datasets_equal_pythons() {
    let fixture = fixture();
    let cases = rows(&fixture, "cases");
    assert!(cases.len() > 20);
    for case in cases {
        let questions = questions(case);
        let predictions = predictions(case);
        if let Some(expected) = case["v1"].as_object() {
            let scores = score_v1(&questions, &predictions, Metric::Squad)
                .unwrap()
                .scores;
            assert_eq!(
                scores.exact_match,
                float(&expected["exact_match"]),
                "{}",
                case["name"]
            );
            assert_eq!(scores.f1, float(&expected["f1"]), "{}", case["name"]);
        }
        let scores = evaluate_v2(case, &questions, &predictions).scores;
        assert_same_figures(
            &serde_json::to_value(scores).unwrap(),
            &case["v2"],
            &case["name"],
        );
    }
}

fn questions(case: &Value) -> Vec<Question<'_>> {
    let mut questions = Vec::new();
    for question in rows(case, "questions") {
        questions.push(Question {
            id: text(&question["id"]),
            answers: rows(question, "answers").iter().map(text).collect(),
        });
    }
    questions
}

fn predictions(case: &Value) -> HashMap<String, String> {
    serde_json::from_value(case["predictions"].clone()).expect("a map of strings")
}

fn evaluate_v2<'a>(
    case: &Value,
    questions: &[Question<'a>],
    predictions: &HashMap<String, String>,
) -> DatasetScores<'a, ScoresV2> {
    let Some(pairs) = case["na_probs"].as_array() else {
        return score_v2(questions, predictions, Metric::Squad).unwrap();
    };
    let na_probs: NaProbs = pairs
        .iter()
        .map(|pair| (text(&pair[0]), float(&pair[1])))
        .collect();
    let na_prob_thresh = float(&case["na_prob_thresh"]);
    let scored = |thresh| {
        score_v2_with_na_probs(questions, predictions, &na_probs, thresh, Metric::Squad).unwrap()
    };
    let evaluation = scored(na_prob_thresh);
    let afterwards = scored(f64::INFINITY).withhold_above(na_prob_thresh, &na_probs);
    assert_eq!(afterwards.unwrap(), evaluation, "{}", case["name"]);
    evaluation
}

/// Checks that both have the same keys and numbers.
pub(crate) fn assert_same_figures(actual: &Value, expected: &Value, name: &Value) {
    let (actual, expected) = (actual.as_object().unwrap(), expected.as_object().unwrap());
    let keys = |map: &serde_json::Map<String, Value>| {
        let mut keys: Vec<String> = map.keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(actual), keys(expected), "{name}");
    for (key, value) in expected {
        assert_eq!(actual[key].as_f64().unwrap(), float(value), "{name}: {key}");
    }
}
