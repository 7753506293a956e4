//! What reading and cutting take of memory, as the command itself measures it.

use std::process::Command;

use serde_json::Value;

use crate::pointer_model;
use crate::real_data::shared;
use crate::support::Sandbox;
#[cfg(feature = "libtorch")]
use test_support::TinyModel;

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
    #[cfg(target_os = "linux")]
    assert!(bytes(&stats, "peak_memory_bytes") > features);
}

/// The whole v2.0 dev set needs less than twice its text and its features more than eight questions, which need the memory of
/// the program, the tokenizer and the threads.
#[test]
#[cfg(target_os = "linux")]
#[ignore = "needs the shared data: squad/dev-v2.0.json and a tokenizer"]
fn inspecting_a_dev_set_needs_less_than_twice_its_text_and_features() {
    let dataset = shared("squad/dev-v2.0.json");
    let tokenizer = shared("vocab/bert-base-uncased-tokenizer.json");
    let sandbox = Sandbox::new();
    let tiny = inspect(&sandbox, "dev.json", &tokenizer);
    let whole = inspect(&sandbox, &dataset, &tokenizer);
    let (text, features) = (bytes(&whole, "text_bytes"), bytes(&whole, "feature_bytes"));
    let peak = bytes(&whole, "peak_memory_bytes");
    let grown = peak - bytes(&tiny, "peak_memory_bytes");
    assert!(
        grown < 2 * text + features,
        "{grown} bytes for {text} of text and {features} of features"
    );
    // Negative control: the measurement sees the features.
    assert!(
        grown > features / 2,
        "{grown} bytes cannot hold {features} of features"
    );
}

/// libtorch has no memory for the activations of a large batch: the limit is what a small batch needs and 128 MiB.
#[test]
#[cfg(all(target_os = "linux", feature = "libtorch"))]
fn a_batch_that_memory_cannot_hold_is_one_line_and_exit_2() {
    let sandbox = Sandbox::with_model(&TinyModel {
        num_hidden_layers: 6,
        hidden_size: 256,
        ..TinyModel::default()
    });
    let arguments = |run: &str, batch: usize| {
        [
            "--config=config.toml".to_owned(),
            format!("--run-dir={run}"),
            format!("train.per_device_train_batch_size={batch}"),
            "train.max_steps=1".to_owned(),
            "eval.max_eval_samples=1".to_owned(),
            "--device=libtorch".to_owned(),
        ]
    };
    let small = arguments("small", 1);
    let small: Vec<_> = small.iter().map(String::as_str).collect();
    let mut child = sandbox.start(&small);
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
        let kib = peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok());
        peak_kib = kib.unwrap_or(0).max(peak_kib);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success() && peak_kib > 0);
    let limited = |batch: usize| {
        let mut command = Command::new("sh");
        let script = format!("ulimit -v {}; exec \"$0\" \"$@\"", peak_kib + (128 << 10));
        command.args(["-c", &script, env!("CARGO_BIN_EXE_trainer")]);
        sandbox.finish(command.args(arguments(&format!("run-{batch}"), batch)))
    };
    // Negative control: the small batch fits.
    assert_eq!(limited(1).code, Some(0));
    let finished = limited(24);
    let last = finished.stderr.lines().last().unwrap_or_default();
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(
        last.starts_with(
            "error: DefaultCPUAllocator: can't allocate memory: you tried to allocate "
        ) && last.contains(" bytes: lower train.per_device_train_batch_size"),
        "{finished:?}"
    );
    assert!(!finished.stderr.contains("panicked"), "{finished:?}");
}

/// The features of a text are a few times as large as it is, and tokenizing takes pieces.
#[test]
#[cfg(target_os = "linux")]
fn a_contract_of_a_million_characters_needs_little_memory() {
    let sandbox = Sandbox::new();
    pointer_model::write(&sandbox.path("pointer"));
    let clause = "The parties agree that the seller delivers in the year; the buyer pays. ";
    let dataset = |name: &str, characters: usize| {
        let mut contract = clause.repeat(characters / clause.len());
        contract.push_str("The quagga of zanzibar is excluded.");
        let question = r#"{"id": "q", "question": "What is excluded?", "context": "#;
        sandbox.write(name, &format!("{question}{}}}\n", Value::from(contract)));
    };
    dataset("short.jsonl", 1000);
    dataset("contract.jsonl", 1_000_000);
    let peak = |name: &str| {
        let out = format!("{name}.out");
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        command.env("RAYON_NUM_THREADS", "2");
        command.args([
            "predict",
            "--json",
            "--model=pointer",
            "--dataset",
            name,
            "--out",
            &out,
        ]);
        let peak = bytes(&sandbox.finish(&mut command).json(), "peak_memory_bytes");
        let answer = &sandbox.json_lines(&out)[0];
        assert_eq!(answer["prediction_text"], "quagga of zanzibar");
        peak
    };
    let (short, long) = (peak("short.jsonl"), peak("contract.jsonl"));
    let grown = long.saturating_sub(short);
    assert!(grown < 100 << 20, "{grown} bytes more than {short}");
}
