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
    ("dataset_parquet", dataset::parquet),
    ("predictions", dataset::predictions),
    ("na_probs", dataset::na_probs),
    ("config_toml", run::config_toml),
    ("config_settings", run::config_settings),
    ("run_state", run::run_state),
    ("optimizer_state", run::optimizer_state),
    ("metrics_log", run::metrics_log),
    ("manifest", run::manifest),
    ("model_config", model::config),
    ("tokenizer", model::tokenizer),
    ("tokenizer_config", model::tokenizer_config),
    ("safetensors", model::safetensors),
    ("safetensors_index", model::safetensors_index),
    ("pytorch_bin", model::pytorch_bin),
    ("hub_reply", hub::reply),
];

/// The target of that name.
///
/// # Errors
/// If there is none; the message lists all names.
pub fn find(name: &str) -> Result<Target, String> {
    let names = || TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found
        .map(|(_, target)| *target)
        .ok_or_else(|| format!("no target {name:?} (known: {})", names().join(", ")))
}
