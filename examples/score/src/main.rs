//! Scores answers with SQuAD's official metric: `cargo run -- GOLD PREDICTIONS`.
//!
//! GOLD and PREDICTIONS are JSON objects: question ids to lists of right answers (empty: there is none), and to answers.

use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;

use qa_metrics::{Metric, Question, score_v2};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [gold, predictions] = arguments.as_slice() else {
        eprintln!("usage: score GOLD PREDICTIONS");
        return ExitCode::from(2);
    };
    match score(gold, predictions) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn score(gold: &str, predictions: &str) -> Result<(), Box<dyn std::error::Error>> {
    let gold: BTreeMap<String, Vec<String>> = read(gold)?;
    let predictions: HashMap<String, String> = read(predictions)?;
    let questions: Vec<Question> = gold
        .iter()
        .map(|(id, answers)| Question {
            id,
            answers: answers.iter().map(String::as_str).collect(),
        })
        .collect();
    let result = score_v2(&questions, &predictions, Metric::Squad)?;
    println!("{}", serde_json::to_string_pretty(&result.scores)?);
    Ok(())
}

fn read<T: serde::de::DeserializeOwned>(path: &str) -> Result<T, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("{path}: {error}").into())
}
