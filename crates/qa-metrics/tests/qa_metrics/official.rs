//! Published systems' predictions on the real dev sets, whose official figures are known to the last digit. The data is
//! not in the repository: it is looked for in `$SQUAD_DATA`, then beside the checkout.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use qa_metrics::{
    DEFAULT_NA_PROB_THRESH, NaProbs, Question, SubsetScores, score_v1, score_v2,
    score_v2_with_na_probs,
};
use serde_json::Value;

pub(crate) struct Reference {
    dataset: Value,
    pub(crate) predictions: HashMap<String, String>,
}

impl Reference {
    pub(crate) fn load(dataset: &str, predictions: &str) -> Option<Self> {
        let folder = std::env::var_os("SQUAD_DATA").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
            PathBuf::from,
        );
        let dataset = read(&folder.join("squad").join(dataset))?;
        let predictions = read(&folder.join("reference-predictions").join(predictions))?;
        Some(Self {
            dataset: serde_json::from_str(&dataset).expect("a data set"),
            predictions: serde_json::from_str(&predictions).expect("predictions"),
        })
    }

    pub(crate) fn questions(&self) -> Vec<Question<'_>> {
        let mut questions = Vec::new();
        for article in items(&self.dataset, "data") {
            for paragraph in items(article, "paragraphs") {
                for question in items(paragraph, "qas") {
                    let answers = items(question, "answers");
                    questions.push(Question {
                        id: question["id"].as_str().unwrap(),
                        answers: answers
                            .iter()
                            .map(|answer| answer["text"].as_str().unwrap())
                            .collect(),
                    });
                }
            }
        }
        questions
    }
}

fn items<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().expect("a list")
}

fn read(path: &Path) -> Option<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) => {
            eprintln!(
                "SKIPPED: {}: {error}; set SQUAD_DATA to the folder that has it",
                path.display()
            );
            assert!(
                std::env::var_os("SQUAD_BURN_NO_SKIP").is_none(),
                "SQUAD_BURN_NO_SKIP is set: nothing may be skipped"
            );
            None
        }
    }
}

#[test]
fn electra_on_dev_v1() {
    let Some(reference) = Reference::load("dev-v1.1.json", "electra-small-v1.1-dev.json") else {
        return;
    };
    let evaluation = score_v1(&reference.questions(), &reference.predictions).unwrap();
    assert_eq!(evaluation.scores.exact_match, 77.34153263954589);
    assert_eq!(evaluation.scores.f1, 85.41516355385885);
    assert_eq!(evaluation.scores.total, 10_570);
    assert!(evaluation.missing.is_empty());
    assert_eq!(evaluation.num_extra, 0);
}

#[test]
fn bert_on_dev_v2() {
    let Some(reference) = Reference::load("dev-v2.0.json", "bert-single-google-v2.0-dev.json")
    else {
        return;
    };
    let evaluation = score_v2(&reference.questions(), &reference.predictions).unwrap();
    let scores = evaluation.scores;
    assert_eq!(
        (scores.exact, scores.f1),
        (78.74168280973637, 81.77528052374723)
    );
    assert_eq!(scores.total, 11_873);
    let has_ans = SubsetScores {
        exact: 74.10593792172739,
        f1: 80.18183293833508,
        total: 5_928,
    };
    let no_ans = SubsetScores {
        exact: 83.36417157275021,
        f1: 83.36417157275021,
        total: 5_945,
    };
    assert_eq!(
        (scores.has_ans, scores.no_ans),
        (Some(has_ans), Some(no_ans))
    );
    assert_eq!(evaluation.questions.len(), 11_873);
}

#[test]
fn dev_v2_is_scored_in_half_a_second() {
    let Some(reference) = Reference::load("dev-v2.0.json", "bert-single-google-v2.0-dev.json")
    else {
        return;
    };
    let questions = reference.questions();
    // Any values do: the search for thresholds takes as long whatever they are.
    let rank = |position: usize| (position * 7_919 % questions.len()) as f64;
    let na_probs: NaProbs = questions
        .iter()
        .enumerate()
        .map(|(i, question)| (question.id, rank(i)))
        .collect();

    let score = || {
        let start = Instant::now();
        score_v2_with_na_probs(
            &questions,
            &reference.predictions,
            &na_probs,
            DEFAULT_NA_PROB_THRESH,
        )
        .unwrap();
        start.elapsed()
    };
    // The best of a few, since other tests run beside this one.
    let elapsed = (0..5).map(|_| score()).min().unwrap();
    eprintln!("dev-v2.0 with thresholds scored in {elapsed:?}");
    assert!(elapsed < Duration::from_millis(500), "{elapsed:?}");
}
