use std::path::PathBuf;
use std::sync::LazyLock;

use squad_data::Dataset;
use trainer::{Config, Manifest};

use crate::{model, sandbox};

fn round_trip(config: &Config) {
    let text = config.to_toml();
    let again = Config::resolve(&sandbox::write("again.toml", text.as_bytes()), &[]);
    assert_eq!(again.expect("what is written can be read").to_toml(), text);
}

pub(crate) fn config_toml(bytes: &[u8]) {
    if let Ok(config) = Config::resolve(&sandbox::write("config.toml", bytes), &[]) {
        round_trip(&config);
    }
}

/// Each line is a setting `key=value`.
pub(crate) fn config_settings(bytes: &[u8]) {
    static FILE: LazyLock<PathBuf> = LazyLock::new(|| sandbox::write("empty.toml", b""));
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let settings: Vec<String> = text.lines().map(String::from).collect();
    if let Ok(config) = Config::resolve(&FILE, &settings) {
        round_trip(&config);
    }
}

pub(crate) fn run_state(bytes: &[u8]) {
    let _ = trainer::check_run_state(bytes);
}

pub(crate) fn optimizer_state(bytes: &[u8]) {
    let path = sandbox::write("optimizer.safetensors", bytes);
    let _ = trainer::check_optimizer_state(&path, &model::tiny_bert());
}

pub(crate) fn metrics_log(bytes: &[u8]) {
    let path = sandbox::write("metrics.jsonl", bytes);
    let records = run_log::read_records(&path).expect("the file is there");
    for record in records.flatten() {
        // Infinity stands as null, which is NaN.
        let text = record.to_json();
        let again: run_log::Record =
            serde_json::from_str(&text).expect("what is written can be read");
        assert_eq!(again.to_json(), text);
    }
}

pub(crate) fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::read(&sandbox::write("manifest.toml", bytes)) {
        for file in &manifest.files {
            assert!(manifest.find(&file.name).is_ok());
        }
    }
}

/// Questions as they come on standard input.
pub(crate) fn question_lines(bytes: &[u8]) {
    let _ = trainer::check_question_lines(bytes);
}

/// A request to `trainer serve`.
pub(crate) fn serve_request(bytes: &[u8]) {
    let _ = trainer::check_serve_request(bytes);
}

/// What an earlier `predict --dataset` has left.
pub(crate) fn prediction_journal(bytes: &[u8]) {
    let folder = sandbox::folder("journal", &[]);
    let _ = trainer::check_prediction_journal(&folder.join("answers.json"), bytes);
    sandbox::remove(&folder);
}

/// The report of a run's folder whose files are parts of the input, which a byte 0xff separates.
pub(crate) fn report(bytes: &[u8]) {
    use run_log::{EVAL_DIR, METRICS, METRICS_LOG, NBEST, NULL_ODDS, PREDICTIONS};

    let of_run = [METRICS_LOG, METRICS].map(|name| format!("report/{name}"));
    let of_evaluation = [PREDICTIONS, NBEST, NULL_ODDS, METRICS];
    let files = of_run
        .into_iter()
        .chain(of_evaluation.map(|name| format!("report/{EVAL_DIR}/{name}")));
    let folder = sandbox::folder("report", &[]);
    sandbox::folder(&format!("report/{EVAL_DIR}"), &[]);
    for (name, part) in files.zip(bytes.split(|byte| *byte == 0xff)) {
        sandbox::write(&name, part);
    }
    let questions = || Dataset::from_json("eval.json", QUESTIONS.as_bytes());
    let _ = report::write_report(&folder, report::RunSettings::default(), questions, None);
    sandbox::remove(&folder);
}

const QUESTIONS: &str = r#"{"version": "v2.0", "data": [{"title": "Bees", "paragraphs": [{
    "context": "Bees collect nectar and pollen from flowers.", "qas": [
    {"id": "q1", "question": "What do bees collect?", "answers": [{"text": "nectar", "answer_start": 13}]},
    {"id": "q2", "question": "Why?", "answers": [], "is_impossible": true}]}]}]}"#;
