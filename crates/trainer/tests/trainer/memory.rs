//! What reading and cutting take of memory, as the command itself measures it.

use std::process::Command;

use serde_json::Value;

use crate::real_data::shared;
use crate::support::{Sandbox, skip};

/// On two threads: what a thread needs for itself is not what is measured here.
fn inspect(sandbox: &Sandbox, dataset: &str, tokenizer: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.env("RAYON_NUM_THREADS", "2");
    command.args(["inspect", "--json", "--dataset", dataset]);
    command.args(["--tokenizer", tokenizer]);
    sandbox.finish(&mut command).json()
}

fn bytes(stats: &Value, key: &str) -> u64 {
    stats[key]
        .as_u64()
        .unwrap_or_else(|| panic!("no {key} in {stats}"))
}

/// Whether this system tells what a process takes; said aloud where it does not.
fn measured(stats: &Value) -> bool {
    let told = !stats["peak_memory_bytes"].is_null();
    if !told {
        skip("this system does not tell a process's peak memory");
    }
    told
}

#[test]
fn inspect_measures_text_and_features() {
    let sandbox = Sandbox::new();
    let stats = inspect(&sandbox, "dev.json", "encoder");
    let length = sandbox.path("dev.json").metadata().unwrap().len();
    assert_eq!(bytes(&stats, "text_bytes"), length);
    // An id takes 4 bytes and its offsets 8; questions and special tokens have no offsets.
    let tokens = stats["mean_length"].as_f64().unwrap() * stats["features"].as_f64().unwrap();
    let features = bytes(&stats, "feature_bytes");
    assert!(features > tokens as u64 * 8 && features < tokens as u64 * 12 + 8 * 1000);
    if measured(&stats) {
        assert!(bytes(&stats, "peak_memory_bytes") > features);
    }
}

/// The whole v2.0 evaluation set takes less than twice its text and its features on top of what eight questions take, which is
/// the program, the tokenizer and the threads.
#[test]
fn a_whole_dev_set_takes_less_than_twice_its_text_and_its_features() {
    let (Some(dataset), Some(tokenizer)) = (
        shared("squad/dev-v2.0.json"),
        shared("vocab/bert-base-uncased-tokenizer.json"),
    ) else {
        return;
    };
    let sandbox = Sandbox::new();
    let tiny = inspect(&sandbox, "dev.json", &tokenizer);
    if !measured(&tiny) {
        return;
    }
    let whole = inspect(&sandbox, &dataset, &tokenizer);
    let (text, features) = (bytes(&whole, "text_bytes"), bytes(&whole, "feature_bytes"));
    let peak = bytes(&whole, "peak_memory_bytes");
    let grown = peak - bytes(&tiny, "peak_memory_bytes");
    eprintln!(
        "text {text} bytes, features {features}, peak {peak}, of which {grown} more than for eight questions"
    );
    assert!(
        grown < 2 * text + features,
        "{grown} bytes for {text} of text and {features} of features"
    );
    // The control: what is measured sees the features, or the bound above would hold for anything.
    assert!(
        grown > features / 2,
        "{grown} bytes cannot hold {features} of features"
    );
}
