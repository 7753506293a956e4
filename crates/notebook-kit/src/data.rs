use std::path::{Path, PathBuf};

use squad_data::Dataset;
use trainer::{Config, Error};

use crate::display::print_line;

/// The pretrained encoder of the notebooks: 22 million parameters, 90 MB, downloaded once.
pub const ENCODER: &str = "sentence-transformers/all-MiniLM-L6-v2";

/// The root of the repository that this crate was compiled in.
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap_or(root)
}

/// The training and evaluation questions of the sample in this repository, in the format of SQuAD 2.0.
///
/// # Errors
/// If the repository has moved since this crate was compiled.
pub fn sample() -> Result<(Dataset, Dataset), Error> {
    let read = |name: &str| Dataset::read(&root().join("datasets/sample").join(name));
    Ok((read("train.json")?, read("dev.json")?))
}

/// A file of SQuAD from `squad/` in the folder `SQUAD_DATA`, from that folder, or from the repository's `datasets/`, where
/// `trainer fetch dataset` puts it; `None` if it is in none of them.
pub fn squad_file(name: &str) -> Option<PathBuf> {
    let named = std::env::var_os("SQUAD_DATA").filter(|folder| !folder.is_empty());
    file_in(
        named.map(PathBuf::from).as_deref(),
        &root().join("datasets"),
        name,
    )
}

fn file_in(named: Option<&Path>, fetched: &Path, name: &str) -> Option<PathBuf> {
    let named = named
        .into_iter()
        .flat_map(|folder| [folder.join("squad"), folder.into()]);
    let folders = named.chain([fetched.into()]);
    folders
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// The two files of the sample, and SQuAD's dev files if they are there.
///
/// # Errors
/// If a file is damaged.
pub fn datasets() -> Result<Vec<Dataset>, Error> {
    let (train, dev) = sample()?;
    let mut all = vec![train, dev];
    for name in ["dev-v1.1.json", "dev-v2.0.json"] {
        match squad_file(name) {
            Some(path) => all.push(Dataset::read(&path)?),
            None => print_line(&format!(
                "no {name}: `cargo run -p trainer -- fetch dataset {name}` downloads it"
            )),
        }
    }
    Ok(all)
}

/// The folder of a model of the Hugging Face Hub or of this machine, downloaded if needed.
///
/// # Errors
/// If the model cannot be had from there.
pub fn model_folder(model: &str) -> Result<PathBuf, Error> {
    trainer::model_folder(model, &print_line)
}

/// The configuration of the quick start, on the training questions of [`sample`], with settings as on the command line,
/// such as `train.num_train_epochs=2`. Its paths are absolute.
///
/// # Errors
/// All errors of the settings at once.
pub fn quickstart(settings: &[&str]) -> Result<Config, Error> {
    let settings = [&["train.files=datasets/sample/train.json"], settings].concat();
    let settings: Vec<_> = settings.iter().map(ToString::to_string).collect();
    let mut config = Config::resolve(&root().join("configs/quickstart.toml"), &settings)?;
    for file in config.train.files.iter_mut().chain([&mut config.eval.file]) {
        *file = root().join(&*file);
    }
    Ok(config)
}

/// A folder for a run of a notebook, in `runs/notebooks/` of the repository, which git ignores. Removes an earlier one.
///
/// # Errors
/// If the folder cannot be removed.
pub fn fresh_run_dir(name: &str) -> Result<PathBuf, Error> {
    let folder = run_dir(name);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::File {
            message: format!("cannot be removed: {error}"),
            path: folder,
        }),
        _ => Ok(folder),
    }
}

pub(crate) fn run_dir(name: &str) -> PathBuf {
    root().join("runs/notebooks").join(name)
}

/// Prints the line that shows `cargo xtask notebooks run` that a notebook reached its end.
pub fn finished(notebook: &str) {
    print_line(&format!("{notebook}: finished"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_sample_from_any_folder() {
        let (train, dev) = sample().unwrap();
        assert_eq!((train.len(), dev.len()), (576, 120));
    }

    #[test]
    fn squad_data_comes_before_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        let [named, fetched] = ["named", "fetched"].map(|name| folder.path().join(name));
        std::fs::create_dir_all(named.join("squad")).unwrap();
        std::fs::create_dir_all(&fetched).unwrap();
        std::fs::write(fetched.join("dev.json"), "{}").unwrap();
        let found = || file_in(Some(&named), &fetched, "dev.json");
        assert_eq!(found(), Some(fetched.join("dev.json")));
        std::fs::write(named.join("dev.json"), "{}").unwrap();
        assert_eq!(found(), Some(named.join("dev.json")));
        std::fs::write(named.join("squad/dev.json"), "{}").unwrap();
        assert_eq!(found(), Some(named.join("squad/dev.json")));
        assert_eq!(file_in(None, &fetched, "other.json"), None);
    }

    #[test]
    fn settings_override_the_quick_start() {
        let config = quickstart(&["train.num_train_epochs=7"]).unwrap();
        assert_eq!(config.train.num_train_epochs, 7);
        assert!(
            config.train.files[0].ends_with("sample/train.json") && config.train.files.len() == 1
        );
        assert!(config.train.files[0].is_file() && config.eval.file.is_file());
        let files = quickstart(&["train.files=a.json,b.json"])
            .unwrap()
            .train
            .files;
        assert_eq!(files, ["a.json", "b.json"].map(|name| root().join(name)));
        let error = quickstart(&["train.epoch=7"]).unwrap_err().to_string();
        assert!(error.contains("train.epoch"), "{error}");
    }
}
