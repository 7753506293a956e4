//! The files of a path: one file, the files of a folder, or the shards of a split.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Extensions of data files, before `.gz`.
pub(super) const EXTENSIONS: [&str; 6] = ["json", "jsonl", "ndjson", "csv", "tsv", "parquet"];

/// Files that the `datasets` library writes beside the data.
const METADATA: [&str; 6] = [
    "dataset_info.json",
    "dataset_infos.json",
    "dataset_dict.json",
    "state.json",
    "config.json",
    "metadata.json",
];

/// Names of splits.
pub(super) const SPLITS: [&str; 13] = [
    "train",
    "training",
    "trainset",
    "validation",
    "valid",
    "val",
    "dev",
    "devel",
    "devset",
    "eval",
    "test",
    "testing",
    "testset",
];

/// The files that `path` names, in order:
///
/// - a file: itself;
/// - a folder: its data files, which must be of one split; or those of its only subfolder;
/// - `FOLDER/NAME` without such a file: the split's files, such as the shards `FOLDER/NAME-00000-of-00003.parquet` or
///   `FOLDER/NAME.json`, also in `FOLDER/data` or in the only other subfolder that has some.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>, Error> {
    if path.is_dir() {
        return of_folder(path);
    }
    if path.exists() {
        return Ok(vec![path.to_owned()]);
    }
    let (Some(name), folder) = (path.file_name().and_then(OsStr::to_str), path.parent()) else {
        return Ok(vec![path.to_owned()]);
    };
    let folder = match folder {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut found = Vec::new();
    for folder in [folder.to_owned(), folder.join("data")] {
        found.extend(of_split(&folder, name));
        if !found.is_empty() {
            break;
        }
    }
    // The current folder may have any others in it.
    if found.is_empty() && folder != Path::new(".") {
        // The Hub's data sets have a folder for each configuration.
        let folders = subfolders(folder).unwrap_or_default();
        found.extend(folders.iter().filter_map(|folder| of_split(folder, name)));
    }
    match found.as_slice() {
        [(folder, files)] => {
            check_shards(folder, files)?;
            Ok(files.clone())
        }
        [(first, _), _, ..] => {
            let folders: Vec<String> = found.iter().map(|(folder, _)| file_name(folder)).collect();
            let problem = format!(
                "the folders {} have a split {name}; name one of them, for example {}",
                folders.join(", "),
                first.join(name).display()
            );
            Err(wrong(folder, problem))
        }
        [] => not_found(path, folder, name),
    }
}

/// The files of a split in a folder, if it has some.
fn of_split(folder: &Path, name: &str) -> Option<(PathBuf, Vec<PathBuf>)> {
    let mut files = data_files(folder).ok()?;
    files.retain(|file| split(file).is_some_and(|split| split.eq_ignore_ascii_case(name)));
    (!files.is_empty()).then(|| (folder.to_owned(), files))
}

/// What is said about a path that names nothing.
fn not_found(path: &Path, folder: &Path, name: &str) -> Result<Vec<PathBuf>, Error> {
    if name.contains(['*', '?']) {
        let problem = "no file of this name, and patterns are not expanded; name the files, with commas between them, or \
                       their folder";
        return Err(wrong(path, problem.to_owned()));
    }
    let files = data_files(folder).unwrap_or_default();
    let splits = splits(&files);
    if !name.contains('.') && !splits.is_empty() {
        let problem = format!(
            "a folder without a split {name}, but with {}",
            splits.join(", ")
        );
        return Err(wrong(folder, problem));
    }
    // Opening it says that it does not exist.
    Ok(vec![path.to_owned()])
}

/// The splits that files' names say, each once.
fn splits(files: &[PathBuf]) -> Vec<&str> {
    let mut splits: Vec<&str> = files.iter().filter_map(|file| split(file)).collect();
    splits.sort_unstable();
    splits.dedup();
    splits
}

fn of_folder(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let files = data_files(folder)?;
    if files.is_empty() {
        return in_subfolder(folder);
    }
    let splits = splits(&files);
    if splits.len() > 1 {
        let problem = format!(
            "a folder with the splits {}; name one of them, for example {}",
            splits.join(", "),
            folder.join(splits[0]).display()
        );
        return Err(wrong(folder, problem));
    }
    if let [only] = splits[..]
        && let Some(other) = files.iter().find(|file| split(file).is_none())
    {
        let problem = format!(
            "a folder with the split {only} and with {}, whose name says no split; name {}, or each file",
            file_name(other),
            folder.join(only).display()
        );
        return Err(wrong(folder, problem));
    }
    check_shards(folder, &files)?;
    Ok(files)
}

fn file_name(file: &Path) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str());
    name.to_string_lossy().into_owned()
}

fn in_subfolder(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let is_arrow = |file: &PathBuf| file.extension().is_some_and(|name| name == "arrow");
    if entries(folder)?.iter().any(is_arrow) {
        let problem = "a folder of Arrow files, as Dataset.save_to_disk writes it, which are not read; write the data \
                       with Dataset.to_parquet or Dataset.to_json";
        return Err(wrong(folder, problem.to_owned()));
    }
    let folders = subfolders(folder)?;
    match folders.as_slice() {
        [only] => of_folder(only),
        [] => Err(wrong(
            folder,
            format!(
                "a folder without data files; expected files that end in {} or those with .gz",
                EXTENSIONS.map(|e| format!(".{e}")).join(", ")
            ),
        )),
        _ => {
            let names: Vec<String> = folders.iter().map(|folder| file_name(folder)).collect();
            Err(wrong(
                folder,
                format!(
                    "a folder with the folders {}; name one of them",
                    names.join(", ")
                ),
            ))
        }
    }
}

/// The folders in a folder, in the order of their names, without hidden ones.
fn subfolders(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut folders = entries(folder)?;
    folders.retain(|folder| folder.is_dir() && !file_name(folder).starts_with('.'));
    Ok(folders)
}

/// The data files in a folder, in the order of their names; numbers in them count as numbers.
fn data_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = entries(folder)?;
    files.retain(|file| {
        let name = file
            .file_name()
            .map(|name| name.to_string_lossy().to_lowercase());
        let name = name.unwrap_or_default();
        let stem = name.strip_suffix(".gz").unwrap_or(&name);
        let extension = stem.rsplit_once('.').map_or("", |(_, extension)| extension);
        EXTENSIONS.contains(&extension)
            && !METADATA.contains(&name.as_str())
            && !name.starts_with('.')
            // A link to nothing is an error when it is opened.
            && (file.is_file() || file.is_symlink() && !file.exists())
    });
    files.sort_by(|a, b| natural_order(&a.to_string_lossy(), &b.to_string_lossy()));
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = atomic_fs::entries(folder).map_err(|error| Error::read(folder, error))?;
    let mut all: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
    all.sort();
    Ok(all)
}

/// `train-00000-of-00003.parquet`.
struct Shard<'a> {
    split: &'a str,
    number: usize,
    count: usize,
}

fn shard(file: &Path) -> Option<Shard<'_>> {
    let name = file.file_name()?.to_str()?;
    let stem = name.split('.').next()?;
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (split, number) = rest.rsplit_once('-')?;
    // The datasets library may put a fingerprint behind the count.
    let count = count.split('-').next()?;
    Some(Shard {
        split,
        number: number.parse().ok()?,
        count: count.parse().ok()?,
    })
}

/// The split that a file's name says: of a shard, or the first word that names one, in any case.
fn split(file: &Path) -> Option<&str> {
    if let Some(shard) = shard(file) {
        return Some(shard.split);
    }
    let words = words(file.file_name()?.to_str()?);
    let mut words = words.split_whitespace();
    words.find_map(|word| SPLITS.into_iter().find(|split| *split == word))
}

/// The words of a name in lower case, with spaces between them: of `squadTrain2.json` `squad train json`.
fn words(name: &str) -> String {
    let mut words = String::with_capacity(2 * name.len());
    let mut before = ' ';
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        let is_in_word = before.is_lowercase() || rest.peek().is_some_and(|c| c.is_lowercase());
        if !c.is_alphabetic() || c.is_uppercase() && is_in_word {
            words.push(' ');
        }
        if c.is_alphabetic() {
            words.extend(c.to_lowercase());
        }
        before = c;
    }
    words
}

/// Checks that no shard is missing.
fn check_shards(folder: &Path, files: &[PathBuf]) -> Result<(), Error> {
    let shards: Vec<Shard<'_>> = files.iter().filter_map(|file| shard(file)).collect();
    let Some(first) = shards.first() else {
        return Ok(());
    };
    let missing = (0..first.count.min(100_000))
        .find(|number| shards.iter().all(|shard| shard.number != *number));
    match missing {
        Some(number) => Err(wrong(
            folder,
            format!(
                "shard {number} of the {} of {} is missing; is the download complete?",
                first.count, first.split
            ),
        )),
        None => Ok(()),
    }
}

fn wrong(folder: &Path, problem: String) -> Error {
    Error::Form {
        file: folder.display().to_string(),
        problem,
    }
}

/// Compares names with the numbers in them as numbers, so that `part-10` comes behind `part-9`.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (Some(x), Some(y)) = (a.chars().next(), b.chars().next()) else {
            return a.len().cmp(&b.len());
        };
        if !(x.is_ascii_digit() && y.is_ascii_digit()) {
            if x != y {
                return x.cmp(&y);
            }
            (a, b) = (&a[x.len_utf8()..], &b[y.len_utf8()..]);
            continue;
        }
        let digits = |text: &str| {
            text.find(|c: char| !c.is_ascii_digit())
                .unwrap_or(text.len())
        };
        let ((x, rest_a), (y, rest_b)) = (a.split_at(digits(a)), b.split_at(digits(b)));
        let (number_x, number_y) = (x.trim_start_matches('0'), y.trim_start_matches('0'));
        let order = number_x
            .len()
            .cmp(&number_y.len())
            .then_with(|| number_x.cmp(number_y))
            .then_with(|| x.len().cmp(&y.len()));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let mut names = ["p10", "p9", "p1", "p01", "q", "p", "p9a"];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(names, ["p", "p1", "p01", "p9", "p9a", "p10", "q"]);
    }

    #[test]
    fn a_name_says_its_split() {
        let of = |name: &'static str| split(Path::new(name));
        assert_eq!(of("data/train-00000-of-00003.parquet"), Some("train"));
        assert_eq!(
            of("validation-00000-of-00001-0123456789abcdef.parquet"),
            Some("validation")
        );
        assert_eq!(of("dev.json"), Some("dev"));
        assert_eq!(of("cmrc2018_train.json.gz"), Some("train"));
        for (name, word) in [
            ("Train.json", "train"),
            ("TRAIN.csv", "train"),
            ("squadTrain.json", "train"),
            ("SQuADDev.json", "dev"),
            ("train2.json", "train"),
            ("squad_val.jsonl", "val"),
            ("testing.json", "testing"),
        ] {
            assert_eq!(of(name), Some(word), "{name}");
        }
        assert_eq!(of("development.json"), None);
        assert_eq!(of("constraints.json"), None);
        assert_eq!(of("0000.parquet"), None);
    }
}
