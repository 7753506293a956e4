//! A training run that takes seconds: an encoder of one layer, a vocabulary of the sample's words.

use std::path::Path;

use test_support::TinyModel;

use crate::root;

/// Writes a model folder and a configuration that trains it; returns an error as one line.
pub(crate) fn write(folder: &Path) -> Result<(), String> {
    let train = root().join("datasets/sample/train.json");
    let texts = std::fs::read_to_string(&train).map_err(|e| format!("{}: {e}", train.display()))?;
    let settings = format!(
        "model.source = {:?}\ntrain.files = [{:?}]\neval.file = {:?}\nrun.threads = 1\n\
         features.max_seq_length = 256\nfeatures.doc_stride = 64\n",
        folder.join("encoder"),
        train,
        root().join("datasets/sample/dev.json"),
    );
    TinyModel::default()
        .write(&folder.join("encoder"), &texts)
        .and_then(|()| std::fs::write(folder.join("config.toml"), settings))
        .map_err(|e| format!("{}: {e}", folder.display()))
}
