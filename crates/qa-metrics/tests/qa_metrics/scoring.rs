//! Errors, missing and extra predictions, and the order of no-answer probabilities.

use std::collections::HashMap;

use qa_metrics::{
    DEFAULT_NA_PROB_THRESH, Error, Metric, NaProbs, Question, score_v1, score_v2,
    score_v2_with_na_probs,
};

fn question<'a>(id: &'a str, answers: &[&'a str]) -> Question<'a> {
    Question {
        id,
        answers: answers.to_vec(),
    }
}

fn predictions(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs
        .iter()
        .map(|(id, text)| (id.to_string(), text.to_string()))
        .collect()
}

#[test]
fn nothing_to_average_is_an_error() {
    let one = [question("q", &["France"])];
    assert_eq!(
        score_v1(&[], &predictions(&[]), Metric::Squad).unwrap_err(),
        Error::NoQuestions
    );
    assert_eq!(
        score_v2(&[], &predictions(&[]), Metric::Squad).unwrap_err(),
        Error::NoQuestions
    );
    assert_eq!(
        score_v2(&one, &predictions(&[("r", "x")]), Metric::Squad).unwrap_err(),
        Error::NoPredictions
    );
    // v1.1 counts it as wrong.
    assert_eq!(
        score_v1(&one, &predictions(&[("r", "x")]), Metric::Squad)
            .unwrap()
            .scores
            .exact_match,
        0.0
    );
}

#[test]
fn v1_rejects_unanswerable_questions() {
    let questions = [question("q", &["France"]), question("r", &[])];
    let error = score_v1(&questions, &predictions(&[("r", "")]), Metric::Squad).unwrap_err();
    assert_eq!(error, Error::NoGoldAnswers { id: "r".to_owned() });
}

#[test]
fn na_probs_must_cover_the_predictions_and_be_numbers() {
    let questions = [question("q", &["France"]), question("r", &[])];
    let predictions = predictions(&[("q", "France"), ("r", "")]);
    let score = |na_probs: NaProbs| {
        score_v2_with_na_probs(
            &questions,
            &predictions,
            &na_probs,
            DEFAULT_NA_PROB_THRESH,
            Metric::Squad,
        )
        .unwrap_err()
    };
    let missing = score(NaProbs::from_iter([("q", 0.5)]));
    assert_eq!(missing, Error::MissingNaProb { id: "r".to_owned() });
    let nan = score(NaProbs::from_iter([("q", 0.5), ("r", f64::NAN)]));
    assert_eq!(nan, Error::NanNaProb { id: "r".to_owned() });
    for error in [missing, nan] {
        assert!(error.to_string().contains("question r"));
    }
}

#[test]
fn missing_and_extra_predictions_are_reported() {
    let questions = [
        question("p", &["x"]),
        question("q", &["x"]),
        question("r", &["x"]),
    ];
    let predictions = predictions(&[("q", "x"), ("s", "x"), ("t", "x")]);

    let v1 = score_v1(&questions, &predictions, Metric::Squad).unwrap();
    assert_eq!((v1.missing, v1.num_extra), (vec!["p", "r"], 2));
    assert_eq!((v1.scores.exact_match, v1.scores.total), (100.0 / 3.0, 3));

    let v2 = score_v2(&questions, &predictions, Metric::Squad).unwrap();
    assert_eq!((v2.missing, v2.num_extra), (vec!["p", "r"], 2));
    assert_eq!((v2.scores.exact, v2.scores.total), (100.0, 1));
}

#[test]
fn question_scores_are_those_after_the_threshold() {
    let questions = [question("q", &["France"]), question("r", &[])];
    let predictions = predictions(&[("q", "France"), ("r", "wrong")]);
    let na_probs = NaProbs::from_iter([("q", 0.25), ("r", 0.75)]);
    let exact = |thresh| {
        let evaluation =
            score_v2_with_na_probs(&questions, &predictions, &na_probs, thresh, Metric::Squad)
                .unwrap();
        let exact: Vec<f64> = evaluation
            .questions
            .iter()
            .map(|score| score.exact)
            .collect();
        exact
    };
    assert_eq!(exact(1.0), [1.0, 0.0]);
    assert_eq!(exact(0.75), [1.0, 0.0]); // at the threshold is not above it
    assert_eq!(exact(0.5), [1.0, 1.0]);
    assert_eq!(exact(0.0), [0.0, 1.0]);
}

#[test]
fn na_probs_keep_the_order_of_their_file() {
    let na_probs: NaProbs =
        serde_json::from_str(r#"{"z": 1, "a": 0.5, "m": -2e0, "z": 0.25}"#).unwrap();
    let entries: Vec<_> = na_probs.iter().collect();
    assert_eq!(entries, [("z", 0.25), ("a", 0.5), ("m", -2.0)]);
    let error = serde_json::from_str::<NaProbs>("[0.5]")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("a map from question ids to no-answer probabilities"),
        "{error}"
    );
}
