//! Predictions of published systems on the real dev sets, whose official scores are known to the last digit.

use std::collections::HashMap;

use qa_metrics::{Metric, Question, SubsetScores, score_v1, score_v2};
use serde_json::Value;
use test_support::shared_data;

pub(crate) struct Reference {
    dataset: Value,
    pub(crate) predictions: HashMap<String, String>,
}

impl Reference {
    fn load(dataset: &str, predictions: &str) -> Self {
        let read = |path: String| std::fs::read_to_string(shared_data(path)).unwrap();
        let dataset = read(format!("squad/{dataset}"));
        let predictions = read(format!("reference-predictions/{predictions}"));
        Self {
            dataset: serde_json::from_str(&dataset).expect("a dataset"),
            predictions: serde_json::from_str(&predictions).expect("predictions"),
        }
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

/// ELECTRA-small on dev-v1.1.
pub(crate) fn electra() -> Reference {
    Reference::load("dev-v1.1.json", "electra-small-v1.1-dev.json")
}

/// BERT on dev-v2.0.
pub(crate) fn bert() -> Reference {
    Reference::load("dev-v2.0.json", "bert-single-google-v2.0-dev.json")
}

#[test]
#[ignore = "needs ../shared/data"]
fn electra_on_dev_v1_has_its_published_scores() {
    let reference = electra();
    let evaluation = score_v1(
        &reference.questions(),
        &reference.predictions,
        Metric::Squad,
    )
    .unwrap();
    assert_eq!(evaluation.scores.exact_match, 77.34153263954589);
    assert_eq!(evaluation.scores.f1, 85.41516355385885);
    assert_eq!(evaluation.scores.total, 10_570);
    assert!(evaluation.missing.is_empty());
    assert_eq!(evaluation.num_extra, 0);
}

#[test]
#[ignore = "needs ../shared/data"]
fn bert_on_dev_v2_has_its_published_scores() {
    let reference = bert();
    let evaluation = score_v2(
        &reference.questions(),
        &reference.predictions,
        Metric::Squad,
    )
    .unwrap();
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
