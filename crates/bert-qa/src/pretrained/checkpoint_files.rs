use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use burn::store::burn_pack::Tensor;
use burn::store::pytorch_reader::PytorchReader;
use burn::store::{ModuleStore, SafetensorsStore, bridge};
use serde::Deserialize;

use crate::Error;
use crate::file_kind::explain;

/// The names that weights have in a model folder, in the order in which transformers looks for them.
pub(crate) const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// Where the weights of a model folder are: one file, or shards with an index.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// The file, or the index.
    pub(crate) path: PathBuf,
    /// Which shard beside the index holds which tensor.
    shard_of: Option<BTreeMap<String, String>>,
}

/// A tensor by Hugging Face's name, not read yet, and the file that holds it.
pub(crate) struct Stored {
    pub(crate) tensor: Tensor,
    pub(crate) file: PathBuf,
}

impl Checkpoint {
    /// The weights that transformers would take; shards are all there.
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
            let message = format!("no shard \"{shard}\" beside this index: fetch it as well");
            return Err(Error::Weights { path, message });
        }
        let shard_of = Some(shard_of);
        Ok(Self { path, shard_of })
    }

    /// The files that hold tensors.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        match &self.shard_of {
            None => vec![self.path.clone()],
            Some(shard_of) => {
                let folder = self.path.parent().unwrap_or(Path::new(""));
                shards(shard_of).map(|shard| folder.join(shard)).collect()
            }
        }
    }

    /// Every tensor of the files. Only headers are read: numbers are, when they are asked for.
    pub(crate) fn open(&self) -> Result<Vec<Stored>, Error> {
        let mut stored = BTreeMap::new();
        for file in self.files() {
            for mut tensor in open(&file)? {
                tensor.name = modern_name(tensor.name);
                let new = Stored {
                    tensor,
                    file: file.clone(),
                };
                let name = new.tensor.name.clone();
                if let Some(old) = stored.insert(name.clone(), new) {
                    let file_name = |file: &Path| file.file_name().map(PathBuf::from);
                    return Err(self.error(format!(
                        "tensor \"{name}\" stands twice, in {} and in {}",
                        file_name(&old.file).unwrap_or_default().display(),
                        file_name(&file).unwrap_or_default().display()
                    )));
                }
            }
        }
        for (name, shard) in self.shard_of.iter().flatten() {
            let found = stored.get(&modern_name(name.clone()));
            if !found.is_some_and(|found| found.file.ends_with(shard)) {
                return Err(self.error(format!(
                    "tensor \"{name}\" is not in {shard}, where this index has it: they do not belong together"
                )));
            }
        }
        Ok(stored.into_values().collect())
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

/// Tensors and their shards, from an index as transformers writes it.
pub(crate) fn read_index(path: &Path) -> Result<BTreeMap<String, String>, Error> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let error = |message: String| Error::Weights {
        path: path.into(),
        message,
    };
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let Index { weight_map } = serde_json::from_str(&text)
        .map_err(|e| error(format!("not an index of shards ({e}): fetch it again")))?;
    if weight_map.is_empty() {
        return Err(error("this index names no shards: fetch it again".into()));
    }
    // An index comes from elsewhere: it may not reach for files outside its folder.
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

/// The shards of an index, each once.
pub(crate) fn shards(shard_of: &BTreeMap<String, String>) -> impl Iterator<Item = &str> {
    let mut shards: Vec<&str> = shard_of.values().map(String::as_str).collect();
    shards.sort_unstable();
    shards.dedup();
    shards.into_iter()
}

/// The tensors of one file: safetensors mapped into memory, or PyTorch's pickle, of which nothing
/// is executed (the reader knows tensors and containers, and passes over any other object).
fn open(path: &Path) -> Result<Vec<Tensor>, Error> {
    let error = |message: String| Error::Weights {
        path: path.into(),
        message: explain(path, &message),
    };
    if path
        .extension()
        .is_some_and(|extension| extension == "safetensors")
    {
        let mut store = SafetensorsStore::from_file(path);
        let tensors = store.get_all_tensors().map_err(|e| error(e.to_string()))?;
        return Ok(tensors.values().cloned().collect());
    }
    let reader = PytorchReader::new(path).map_err(|e| error(e.to_string()))?;
    let tensors = reader.into_tensors().into_values();
    Ok(tensors.map(bridge::from_pytorch).collect())
}

/// LayerNorm's parameters had other names in the first BERT files, as in TensorFlow.
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
    fn old_names_of_layer_norm_become_new_ones() {
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
