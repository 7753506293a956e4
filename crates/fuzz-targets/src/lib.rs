//! Fuzz targets for every parser of foreign data (docs/fuzzing.md).
//!
//! A target takes bytes as the content of one file and reads them as the project would. It may return an error. It may not
//! panic, hang or take much memory. `cargo xtask fuzz` runs the targets; the test replays `seeds/` and `regressions/`.

mod dataset;
mod hub;
mod model;
mod run;
mod sandbox;

/// Reads bytes as the content of one file.
pub type Target = fn(&[u8]);

/// Every target by name, which is also that of its folders below `seeds/` and `regressions/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("dataset_json", dataset::json),
    ("dataset_json_lines", dataset::json_lines),
    ("dataset_gzip", dataset::gzip),
    ("dataset_csv", dataset::csv),
    ("dataset_parquet", dataset::parquet),
    ("dataset_utf16", dataset::utf16),
    ("dataset_repair", dataset::repair),
    ("predictions", dataset::predictions),
    ("na_probs", dataset::na_probs),
    ("metrics", dataset::metrics),
    ("question_lines", run::question_lines),
    ("prediction_journal", run::prediction_journal),
    ("serve_request", run::serve_request),
    ("config_toml", run::config_toml),
    ("config_settings", run::config_settings),
    ("run_state", run::run_state),
    ("optimizer_state", run::optimizer_state),
    ("metrics_log", run::metrics_log),
    ("report", run::report),
    ("manifest", run::manifest),
    ("model_config", model::config),
    ("tokenizer", model::tokenizer),
    ("tokenizer_config", model::tokenizer_config),
    ("tokenizer_vocab_txt", model::vocab_txt),
    ("tokenizer_bpe", model::bpe),
    ("tokenizer_sentencepiece", model::sentencepiece),
    ("safetensors", model::safetensors),
    ("safetensors_index", model::safetensors_index),
    ("pytorch_bin", model::pytorch_bin),
    ("hub_reply", hub::reply),
    ("wheel", hub::wheel),
];

/// The target of that name.
///
/// # Errors
/// If there is none; the message lists all names.
pub fn find(name: &str) -> Result<Target, String> {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.map(|(_, target)| *target).ok_or_else(|| {
        let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
        format!("no target {name:?} (known: {})", names.join(", "))
    })
}
