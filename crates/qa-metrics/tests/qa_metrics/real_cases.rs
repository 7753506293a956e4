//! Published predictions on the real dev sets, changed in every way that a scorer may get wrong. The scores must equal
//! those in `fixtures/real.json` bit for bit.

use std::collections::HashMap;

use qa_metrics::{Metric, NaProbs, Question, score_v1, score_v2, score_v2_with_na_probs};
use serde_json::{Map, Value};

use crate::fixture::assert_same_figures;
use crate::official::{bert, electra};

/// As in `make_real_fixture.py`.
const COMPOSED: [(&str, &str); 8] = [
    ("é", "e\u{301}"),
    ("è", "e\u{300}"),
    ("ü", "u\u{308}"),
    ("ö", "o\u{308}"),
    ("á", "a\u{301}"),
    ("ó", "o\u{301}"),
    ("í", "i\u{301}"),
    ("ç", "c\u{327}"),
];
const ARTICLES: [&str; 4] = ["The", "a an", " the ", "AN"];

/// The changed prediction number `i`, as in `make_real_fixture.py`; `None` if it is left out.
fn changed(change: &str, i: usize, text: &str) -> Option<String> {
    Some(match change {
        "as published" => text.to_owned(),
        "every third missing" if i.is_multiple_of(3) => return None,
        "every fifth empty" if i.is_multiple_of(5) => String::new(),
        "every fourth an article" if i.is_multiple_of(4) => ARTICLES[i / 4 % 4].to_owned(),
        "every third missing" | "every fifth empty" | "every fourth an article" => text.to_owned(),
        "all empty" => String::new(),
        "in typographic quotes" => format!("\u{201c}{text}\u{201d}\u{2026}"),
        "in ASCII punctuation" => format!("<{}>!", text.replace(' ', " - ")),
        "articles and spaces added" => format!("the\u{a0} {}", text.replace(' ', "\u{2003}a\t")),
        "another normal form" => {
            let decompose = |text: String, (from, to): (&str, &str)| text.replace(from, to);
            COMPOSED.into_iter().fold(text.to_owned(), decompose)
        }
        "upper case" => text.to_uppercase(),
        other => panic!("the test does not know {other:?}"),
    })
}

fn predictions(
    change: &str,
    questions: &[Question<'_>],
    published: &HashMap<String, String>,
) -> HashMap<String, String> {
    let mut predictions = HashMap::from([("of no question".to_owned(), "x".to_owned())]);
    for (i, question) in questions.iter().enumerate() {
        let text = match change {
            "the neighbour's" => {
                let neighbour = &questions[(i + questions.len() - 1) % questions.len()];
                Some(published[neighbour.id].clone())
            }
            change => changed(change, i, &published[question.id]),
        };
        predictions.extend(text.map(|text| (question.id.to_owned(), text)));
    }
    predictions
}

/// Null odds in steps, so that many are equal.
fn odds(questions: &[Question<'_>], step: usize) -> NaProbs {
    let place = |i: usize| (i * 7919 % 10007 / step) as f64 - (2500 / step) as f64;
    questions
        .iter()
        .enumerate()
        .map(|(i, question)| (question.id, place(i) / 4096.0))
        .collect()
}

fn expected() -> Map<String, Value> {
    serde_json::from_str(include_str!("../fixtures/real.json")).expect("the fixture is JSON")
}

#[test]
#[ignore = "needs ../shared/data"]
fn v1_scores_of_changed_predictions_are_the_scripts() {
    let reference = electra();
    let questions = reference.questions();
    let mut count = 0;
    for (name, figures) in &expected() {
        let Some(change) = name.strip_prefix("v1, ") else {
            continue;
        };
        let predictions = predictions(change, &questions, &reference.predictions);
        let evaluation = score_v1(&questions, &predictions, Metric::Squad).unwrap();
        let scores = serde_json::to_value(evaluation.scores).unwrap();
        assert_same_figures(&scores, figures, &Value::from(name.as_str()));
        assert_eq!(evaluation.num_extra, 1, "{name}");
        count += 1;
    }
    assert_eq!(count, 11);
}

#[test]
#[ignore = "needs ../shared/data"]
fn v2_scores_of_changed_predictions_are_the_scripts() {
    let reference = bert();
    let questions = reference.questions();
    let mut count = 0;
    for (name, figures) in &expected() {
        let Some(rest) = name.strip_prefix("v2, ") else {
            continue;
        };
        let (change, setting) = match rest.split_once(", odds by ") {
            Some((change, setting)) => (change, setting.split_once(" over ")),
            None => (rest, None),
        };
        let predictions = predictions(change, &questions, &reference.predictions);
        let evaluation = match setting {
            None => score_v2(&questions, &predictions, Metric::Squad),
            Some((step, threshold)) => {
                let odds = odds(&questions, step.parse().unwrap());
                score_v2_with_na_probs(
                    &questions,
                    &predictions,
                    &odds,
                    threshold.parse().unwrap(),
                    Metric::Squad,
                )
            }
        };
        let scores = serde_json::to_value(evaluation.unwrap().scores).unwrap();
        assert_same_figures(&scores, figures, &Value::from(name.as_str()));
        count += 1;
    }
    assert_eq!(count, 33);
}
