use std::path::PathBuf;
use std::sync::LazyLock;

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
