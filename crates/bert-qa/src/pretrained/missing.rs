use std::path::Path;

use super::assets::{CONFIG, MAKE_TOKENIZER, TOKENIZER, has_tokenizer};
use crate::error::list;

/// What browsers and tools append to the name of a file while they download it.
const PARTS: [&str; 6] = [
    "incomplete",
    "part",
    "crdownload",
    "download",
    "aria2",
    "tmp",
];

/// What to do with a folder that has an archive in place of a file.
pub(super) const UNPACK: &str = ", but an archive: unpack it";

/// What there is of a missing file.
pub(super) fn trace_of(folder: &Path, file: &str) -> Option<&'static str> {
    if folder.join(file).is_symlink() {
        return Some(
            ", but a link to a file that is not there: download it again, or copy its folder with cp -rL",
        );
    }
    let is_part = |part| folder.join(format!("{file}.{part}")).is_file();
    PARTS
        .into_iter()
        .any(is_part)
        .then_some(", but a part of it: its download is not complete")
}

/// Whether a file is an archive, by its name.
pub(crate) fn is_archive(path: &Path) -> bool {
    let name = path.to_string_lossy();
    [".zip", ".tar", ".tar.gz", ".tgz"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// What to do with a folder that has no `config.json`.
pub(super) fn instead_of_config(folder: &Path) -> String {
    if let Some(trace) = trace_of(folder, CONFIG) {
        return trace.into();
    }
    let entries = atomic_fs::entries(folder).unwrap_or_default();
    let models = entries
        .iter()
        .filter(|entry| entry.path().join(CONFIG).is_file());
    let models = models.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut models: Vec<String> = models.collect();
    models.sort();
    let has = |file: &str| folder.join(file).is_file();
    let mut names = entries.iter().map(|entry| entry.file_name());
    let has_archive = names.any(|name| is_archive(name.as_ref()));
    match models.as_slice() {
        [] => {}
        [model] => return format!(": give its folder \"{model}\" instead"),
        _ => return format!(": give one of its folders instead, {}", list(&models)),
    }
    let hint = if has("bert_config.json") {
        ", but bert_config.json: rename it"
    } else if folder.join("snapshots").is_dir() && folder.join("blobs").is_dir() {
        ", which is the Hub's cache of a model: give the model's name, or a folder in its \"snapshots\""
    } else if has("adapter_config.json") {
        ", but a PEFT adapter: put it into its base model with merge_and_unload().save_pretrained(FOLDER)"
    } else if has("config.cfg") && has("meta.json") {
        ", but a pipeline of spaCy, which is not read: take the model from which it was made"
    } else if has_archive {
        UNPACK
    } else {
        ""
    };
    hint.into()
}

/// What to do with a folder that has no tokenizer.
pub(super) fn instead_of_tokenizer(folder: &Path) -> String {
    if let Some(trace) = trace_of(folder, TOKENIZER) {
        return trace.into();
    }
    // The last is MLflow's.
    let folders = [
        folder.join("tokenizer"),
        folder.with_file_name("tokenizer"),
        folder.with_file_name("components").join("tokenizer"),
    ];
    if let Some(other) = folders.iter().find(|folder| has_tokenizer(folder)) {
        return format!(": copy the files of {} into it", other.display());
    }
    let entries = atomic_fs::entries(folder).unwrap_or_default();
    let names = entries.iter().map(|entry| entry.file_name());
    let mut names = names.map(|name| name.to_string_lossy().into_owned());
    match names.find(|name| name.ends_with("-vocab.txt")) {
        Some(name) => format!(", but {name}: rename it to vocab.txt"),
        None => MAKE_TOKENIZER.into(),
    }
}
