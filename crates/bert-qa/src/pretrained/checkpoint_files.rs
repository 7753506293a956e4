use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Component, Path, PathBuf};

use burn::store::bridge;
use burn::store::burn_pack::Tensor;
use burn::store::pytorch_reader::PytorchReader;
use serde::Deserialize;
use squad_data::readable_size;
use zip::ZipArchive;

use super::file_kind::explain;
use super::safetensors_file;
use crate::error::Error;

/// Names of weights files in a model folder, in the order in which transformers looks for them. The
/// first is the name that this crate saves.
pub(crate) const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// The weights files of a model folder: one file, or an index and its shards.
#[derive(Debug)]
pub(crate) struct CheckpointFiles {
    /// The file, or the index.
    pub(super) path: PathBuf,
    /// The index: tensor name to the name of its shard.
    shard_of: Option<BTreeMap<String, String>>,
}

impl CheckpointFiles {
    /// Finds the files that transformers would load.
    ///
    /// # Errors
    /// If there is none, or a shard of the index is missing.
    pub(crate) fn find(folder: &Path) -> Result<Self, Error> {
        let path = WEIGHTS.iter().map(|name| folder.join(name));
        let Some(path) = path.into_iter().find(|path| path.is_file()) else {
            return Err(Error::MissingFile {
                folder: folder.into(),
                file: WEIGHTS[0],
                hint: ", no pytorch_model.bin, and no index of shards of either",
            });
        };
        if !is_index(&path) {
            let shard_of = None;
            return Ok(Self { path, shard_of });
        }
        let shard_of = read_index(&path)?;
        if let Some(shard) = shard_of
            .values()
            .find(|shard| !folder.join(shard).is_file())
        {
            let message = format!("no shard \"{shard}\" beside this index: download it too");
            return Err(Error::Weights { path, message });
        }
        let shard_of = Some(shard_of);
        Ok(Self { path, shard_of })
    }

    /// The files that hold tensors.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        match &self.shard_of {
            None => vec![self.path.clone()],
            Some(shard_of) => {
                let folder = self.path.parent().unwrap_or(Path::new(""));
                shards(shard_of).map(|shard| folder.join(shard)).collect()
            }
        }
    }

    /// Every tensor with its file, by Hugging Face's names. Reads headers only: a tensor's values
    /// are read when they are used.
    pub(super) fn open(&self) -> Result<Vec<(PathBuf, Tensor)>, Error> {
        let mut tensors: BTreeMap<String, (PathBuf, Tensor)> = BTreeMap::new();
        for file in self.files() {
            for mut tensor in open(&file)? {
                tensor.name = modern_name(tensor.name);
                let name = tensor.name.clone();
                if let Some((other, _)) = tensors.insert(name.clone(), (file.clone(), tensor)) {
                    let [first, second] = [&other, &file]
                        .map(|file| file.file_name().unwrap_or_default().to_string_lossy());
                    return Err(self.error(format!(
                        "tensor \"{name}\" is stored twice, in {first} and in {second}"
                    )));
                }
            }
        }
        for (name, shard) in self.shard_of.iter().flatten() {
            let found = tensors.get(&modern_name(name.clone()));
            if !found.is_some_and(|(file, _)| file.ends_with(shard)) {
                return Err(self.error(format!(
                    "tensor \"{name}\" is not in {shard}, where this index has it: they do not belong together"
                )));
            }
        }
        Ok(tensors.into_values().collect())
    }

    fn error(&self, message: String) -> Error {
        let path = self.path.clone();
        Error::Weights { path, message }
    }
}

pub(crate) fn is_index(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "json")
}

/// Reads an index of shards: tensor name to file name.
pub(crate) fn read_index(path: &Path) -> Result<BTreeMap<String, String>, Error> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let error = |message: String| Error::Weights {
        path: path.into(),
        message,
    };
    let text = atomic_fs::read_text(path)?;
    let Index { weight_map } = serde_json::from_str(&text)
        .map_err(|e| error(format!("not an index of shards ({e}): download it again")))?;
    if weight_map.is_empty() {
        return Err(error(
            "this index names no shards: download it again".into(),
        ));
    }
    // An index is untrusted: it must not name files outside its folder.
    for shard in weight_map.values() {
        let mut parts = Path::new(shard).components();
        if !matches!(
            (parts.next(), parts.next()),
            (Some(Component::Normal(_)), None)
        ) {
            return Err(error(format!(
                "shard \"{shard}\" is not the name of a file beside this index"
            )));
        }
    }
    Ok(weight_map)
}

/// The file names of an index, without duplicates.
pub(crate) fn shards(shard_of: &BTreeMap<String, String>) -> impl Iterator<Item = &str> {
    let mut shards: Vec<&str> = shard_of.values().map(String::as_str).collect();
    shards.sort_unstable();
    shards.dedup();
    shards.into_iter()
}

/// The tensors of one file: safetensors, or PyTorch's pickle. The pickle reader executes nothing: it
/// knows tensors and containers, and ignores any other object.
fn open(path: &Path) -> Result<Vec<Tensor>, Error> {
    let error = |message: String| Error::Weights {
        path: path.into(),
        message: explain(path, &message),
    };
    if path
        .extension()
        .is_some_and(|extension| extension == "safetensors")
    {
        return safetensors_file::tensors(path).map_err(error);
    }
    check_pickle(path)?;
    let reader = PytorchReader::new(path).map_err(|e| error(e.to_string()))?;
    let tensors = reader.into_tensors().into_values();
    Ok(tensors.map(bridge::from_pytorch).collect())
}

/// Refuses a pickle that would take far more memory than the file has bytes: an archive may compress
/// it, and each of its bytes may stand for an object. That of a model with a thousand tensors has
/// 150 KB.
fn check_pickle(path: &Path) -> Result<(), Error> {
    const MOST: u64 = 4 << 20;
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    // Other forms of the file are not compressed.
    let Ok(mut archive) = ZipArchive::new(BufReader::new(file)) else {
        return Ok(());
    };
    let is_pickle = |name: &[u8]| name.ends_with(b"data.pkl");
    for index in 0..archive.len() {
        let Ok(entry) = archive.by_index_raw(index) else {
            continue;
        };
        if is_pickle(entry.name_raw()) && entry.size() > MOST {
            let (size, most) = (readable_size(entry.size()), readable_size(MOST));
            return Err(Error::Weights {
                path: path.into(),
                message: format!(
                    "its list of tensors, data.pkl, has {size}: at most {most} can be read"
                ),
            });
        }
    }
    Ok(())
}

/// The first BERT files have TensorFlow's names of LayerNorm's parameters.
fn modern_name(name: String) -> String {
    match name.rsplit_once('.') {
        Some((module, "gamma")) if module.ends_with("LayerNorm") => format!("{module}.weight"),
        Some((module, "beta")) if module.ends_with("LayerNorm") => format!("{module}.bias"),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gamma_and_beta_of_layer_norm_become_weight_and_bias() {
        for (old, new) in [
            ("a.LayerNorm.gamma", "a.LayerNorm.weight"),
            ("a.LayerNorm.beta", "a.LayerNorm.bias"),
            ("a.dense.gamma", "a.dense.gamma"),
            ("beta", "beta"),
        ] {
            assert_eq!(modern_name(old.into()), new);
        }
    }
}
