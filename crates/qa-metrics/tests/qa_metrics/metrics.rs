//! The metrics of other languages against `fixtures/metrics.json`, which scripts/reference/make_metrics_fixture.py computes.
//! Every score must be the same `f64`.

use std::collections::HashMap;

use proptest::prelude::*;
use qa_metrics::{Error, Metric, MlqaLanguage, Question, score_v1, score_v2};
use serde_json::Value;

use crate::fixture::{float, rows, text};

fn fixture() -> Value {
    serde_json::from_str(include_str!("../fixtures/metrics.json")).expect("the fixture is JSON")
}

fn question<'a>(id: &'a str, answers: Vec<&'a str>) -> Question<'a> {
    Question { id, answers }
}

/// The normalized text, exact match and F1 of one prediction as the script without unanswerable questions gives them.
fn scored(metric: Metric, prediction: &str, gold: &str) -> (String, bool, f64) {
    let predictions = HashMap::from([("q".to_owned(), prediction.to_owned())]);
    let score = score_v1(&[question("q", vec![gold])], &predictions, metric)
        .unwrap()
        .questions[0];
    assert_eq!(score.exact == 1.0, metric.exact_match(prediction, gold));
    (metric.normalize(prediction), score.exact == 1.0, score.f1)
}

#[test]
fn normalization_and_scores_equal_the_official_scripts() {
    let fixture = fixture();
    let mut partly_right = HashMap::<&str, usize>::new();
    let mut as_squad = HashMap::<&str, usize>::new();
    for row in rows(&fixture, "pairs") {
        let (name, prediction, gold) = (text(&row[0]), text(&row[1]), text(&row[2]));
        let expected = (
            text(&row[3]).to_owned(),
            row[4].as_bool().unwrap(),
            float(&row[5]),
        );
        let metric = name.parse().unwrap();
        assert_eq!(scored(metric, prediction, gold), expected, "{row}");
        if name == "cmrc" {
            assert_eq!(scored(Metric::Drcd, prediction, gold), expected, "{row}");
        }
        *partly_right.entry(name).or_default() += usize::from(expected.2 > 0.0 && expected.2 < 1.0);
        // The control: SQuAD's metric gives other texts or scores.
        let squad = scored(Metric::Squad, prediction, gold);
        *as_squad.entry(name).or_default() += usize::from(squad == expected);
    }
    for (name, count) in partly_right {
        assert!(count >= 3, "{name}: {count} partly right answers");
        let in_all = rows(&fixture, "pairs")
            .iter()
            .filter(|row| row[0] == name)
            .count();
        assert!(4 * as_squad[name] < 3 * in_all, "{name} is not tested");
    }
}

#[test]
fn averages_of_datasets_equal_the_official_scripts() {
    let fixture = fixture();
    let mut missing = 0;
    for case in rows(&fixture, "datasets") {
        let metric: Metric = text(&case["metric"]).parse().unwrap();
        let questions: Vec<Question<'_>> = rows(case, "questions")
            .iter()
            .map(|row| {
                question(
                    text(&row["id"]),
                    rows(row, "answers").iter().map(text).collect(),
                )
            })
            .collect();
        let predictions = serde_json::from_value(case["predictions"].clone()).unwrap();
        let scored = score_v1(&questions, &predictions, metric).unwrap();
        assert_eq!(scored.scores.exact_match, float(&case["exact_match"]));
        assert_eq!(scored.scores.f1, float(&case["f1"]));
        missing += scored.missing.len();
    }
    assert!(missing > 0, "no question without a prediction is tested");
}

#[test]
fn questions_without_an_answer_are_scored_by_the_rules_of_squad_2() {
    let questions = [question("q", vec!["물레방아"]), question("r", vec![])];
    let predictions = [("q", "물레방아의"), ("r", "")].map(|(id, text)| (id.into(), text.into()));
    let scores = score_v2(&questions, &predictions.into(), Metric::Korquad)
        .unwrap()
        .scores;
    assert_eq!(scores.no_ans.unwrap().f1, 100.0);
    // Precision 4/5, recall 1.
    let (precision, recall) = (4.0 / 5.0, 1.0);
    let f1 = (2.0 * precision * recall) / (precision + recall);
    assert_eq!(scores.has_ans.unwrap().f1, 100.0 * f1);
}

#[test]
fn names_are_read_and_written_alike() {
    for metric in Metric::all() {
        let json = serde_json::to_string(&metric).unwrap();
        assert_eq!(json, format!("\"{metric}\""));
        assert_eq!(serde_json::from_str::<Metric>(&json).unwrap(), metric);
    }
    for name in ["mlqa", "mlqa:", "mlqa:fr", "SQuAD", ""] {
        let error = name.parse::<Metric>().unwrap_err();
        assert_eq!(
            error,
            Error::UnknownMetric {
                name: name.to_owned()
            }
        );
        assert!(
            error.to_string().contains("ar, de, en, es, hi, vi, zh"),
            "{error}"
        );
    }
}

#[test]
fn texts_without_spaces_get_a_metric_that_fits() {
    let chinese = [Metric::Cmrc, Metric::Drcd, Metric::Mlqa(MlqaLanguage::Zh)];
    for (texts, expected) in [
        (&["1871年", "安妮·霍尔姆", "Elmford"][..], &chinese[..]),
        (&["水車", "1871年に", "アン・ホルム"], &[Metric::Korquad]),
        (&["โรงสี", "พ.ศ. 2414"], &[Metric::Korquad]),
        (&["안네 홀름", "1871년"], &[Metric::Korquad]),
        (&["Ane Holm", "1871", "磨"], &[]),
        (&["الطاحونة", "мельница", "चक्की"], &[]),
        (&["1871", ""], &[]),
        (&[], &[]),
    ] {
        assert_eq!(
            Metric::for_unspaced(texts.iter().copied()),
            expected,
            "{texts:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Marks and spaces at every place, for which the rules of NLTK look around.
    #[test]
    fn no_text_makes_a_metric_panic(
        prediction in "[a-bt.,'\"?!()\\[ \t\n\u{1c}\u{300}龥¼-]{0,24}",
        gold in any::<String>(),
    ) {
        for metric in Metric::all() {
            for (prediction, gold) in [(&prediction, &gold), (&gold, &prediction), (&gold, &gold)] {
                let f1 = metric.f1(prediction, gold);
                prop_assert!((0.0..=1.0).contains(&f1));
                prop_assert!(prediction != gold || f1 == 1.0);
            }
        }
    }
}
