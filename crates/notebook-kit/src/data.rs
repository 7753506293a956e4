use std::path::{Path, PathBuf};

use squad_data::Dataset;
use trainer::{Config, Error};

/// The encoder that the notebooks start from: 22 million parameters, 90 MB, fetched once.
pub const ENCODER: &str = "sentence-transformers/all-MiniLM-L6-v2";

/// The repository that this crate was compiled in.
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap_or(root)
}

/// The sample of this repository: training and dev questions, in SQuAD 2.0's format.
///
/// # Errors
/// If the repository is not where it was when this crate was compiled.
pub fn sample() -> Result<(Dataset, Dataset), Error> {
    let read = |name: &str| Dataset::read(&root().join("datasets/sample").join(name));
    Ok((read("train.json")?, read("dev.json")?))
}

/// A file of SQuAD, if somebody put it there: in the folder that `SQUAD_DATA` names (or in `squad/` of it), or in
/// the repository's `datasets/`, where `trainer fetch dataset` puts it.
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

/// The sample's two files, and SQuAD's dev files where they are: what there is to look at.
///
/// # Errors
/// If a file is damaged.
pub fn datasets() -> Result<Vec<Dataset>, Error> {
    let (train, dev) = sample()?;
    let mut all = vec![train, dev];
    for name in ["dev-v1.1.json", "dev-v2.0.json"] {
        match squad_file(name) {
            Some(path) => all.push(Dataset::read(&path)?),
            None => println!("no {name}: `cargo run -p trainer -- fetch dataset {name}` brings it"),
        }
    }
    Ok(all)
}

/// The folder of a model as a user names it, fetched if need be.
///
/// # Errors
/// If the model cannot be had from there.
pub fn model_folder(model: &str) -> Result<PathBuf, Error> {
    trainer::model_folder(model, &|line| println!("{line}"))
}

/// The quick start's configuration with settings laid over it, as on the command line: `train.num_train_epochs=2`. Its
/// files are found from any folder.
///
/// # Errors
/// All complaints about the settings at once.
pub fn quickstart(settings: &[&str]) -> Result<Config, Error> {
    let settings: Vec<_> = settings.iter().map(ToString::to_string).collect();
    let mut config = Config::resolve(&root().join("configs/quickstart.toml"), &settings)?;
    for file in config.train.files.iter_mut().chain([&mut config.eval.file]) {
        *file = root().join(&*file);
    }
    Ok(config)
}

/// A folder for a notebook's run, below `runs/notebooks/` of the repository, which git ignores. What an earlier
/// execution of the notebook left there is removed.
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

/// Prints the line by which `cargo xtask notebooks run` knows that a notebook reached its end.
pub fn finished(notebook: &str) {
    println!("{notebook}: finished");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_found_from_any_folder() {
        let (train, dev) = sample().unwrap();
        assert_eq!((train.len(), dev.len()), (576, 120));
    }

    #[test]
    fn named_folders_come_before_the_repositorys() {
        let folder = std::env::temp_dir().join(format!("notebook-kit-{}", std::process::id()));
        let [named, fetched] = ["named", "fetched"].map(|name| folder.join(name));
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
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn settings_are_laid_over_the_quick_start() {
        let config = quickstart(&["train.num_train_epochs=7"]).unwrap();
        assert_eq!(config.train.num_train_epochs, 7);
        assert!(config.train.files[0].is_file() && config.eval.file.is_file());
        let error = quickstart(&["train.epoch=7"]).unwrap_err().to_string();
        assert!(error.contains("train.epoch"), "{error}");
    }
}
