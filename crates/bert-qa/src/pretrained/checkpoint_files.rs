use std::collections::BTreeMap;
use std::fs::{DirEntry, File};
use std::io::BufReader;
use std::path::{Component, Path, PathBuf};

use burn::store::bridge;
use burn::store::burn_pack::Tensor;
use burn::store::pytorch_reader::PytorchReader;
use serde::Deserialize;
use squad_data::{json_problem, readable_size};
use zip::ZipArchive;

use super::file_kind::{explain, is_safetensors};
use super::missing::{UNPACK, trace_of};
use super::names::{renamed, to_module_paths};
use super::safetensors_file;
use crate::error::{Error, list};
use crate::model::Architecture;

/// Names of weights files in a model folder, in the order in which transformers looks for them. The
/// first is the name that this crate saves.
pub(crate) const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// FARM's files: the encoder, and the span head beside it.
const FARM: [&str; 2] = ["language_model.bin", "prediction_head_0.bin"];

/// What the names of files begin with that training tools put beside the weights, or that hold an adapter, or another
/// framework's weights.
const NOT_WEIGHTS: [&str; 14] = [
    "training_args",
    "optimizer",
    "scheduler",
    "scaler",
    "rng_state",
    "random_states",
    "prediction_head",
    "trainer_state",
    "adapter_model",
    "pytorch_adapter",
    "pytorch_model_head",
    "openvino_",
    "zero_pp_rank_",
    "bf16_zero_pp_rank_",
];

/// What the names of other weights contain, and what to do with a folder that has only those.
const OTHER_WEIGHTS: [(&str, &str); 17] = [
    (
        "adapter_config.json",
        ", only an adapter: put it into its base model with PEFT's merge_and_unload().save_pretrained(FOLDER)",
    ),
    (
        "tf_model",
        ", only TensorFlow's: make it with transformers 4, \
         AutoModelForQuestionAnswering.from_pretrained(FROM, from_tf=True).save_pretrained(FOLDER)",
    ),
    (".ckpt.index", TENSORFLOW_CHECKPOINT),
    (".data-00000-of-", TENSORFLOW_CHECKPOINT),
    (
        "flax_model",
        ", only Flax's: make it with transformers 4, \
         AutoModelForQuestionAnswering.from_pretrained(FROM, from_flax=True).save_pretrained(FOLDER)",
    ),
    ("pytorch_model_fsdp_", FSDP),
    (".distcp", FSDP),
    ("zero_to_fp32.py", DEEPSPEED),
    ("zero_pp_rank_", DEEPSPEED),
    ("global_step", DEEPSPEED),
    (
        "openvino",
        ", only OpenVINO's, which are not read: take the model from which they were exported",
    ),
    (
        "onnx",
        ", only ONNX's, which are not read: take the model from which they were exported",
    ),
    (
        ".gguf",
        ", only llama.cpp's, which are not read: take the model from which they were exported",
    ),
    (
        "rust_model.ot",
        ", only rust-bert's, which are not read: take the model from which they were exported",
    ),
    (
        "saved_model.pb",
        ", only TensorFlow's SavedModel, which is not read: take the model from which it was exported",
    ),
    (".zip", UNPACK),
    (".tar", UNPACK),
];

const TENSORFLOW_CHECKPOINT: &str =
    ", only a checkpoint of TensorFlow: make it with transformers 4, transformers-cli convert";
const FSDP: &str = ", only FSDP's shards: join them with accelerate merge-weights FROM FOLDER";
const DEEPSPEED: &str =
    ", only DeepSpeed's shards: join them with its zero_to_fp32.py, which writes pytorch_model.bin";

/// What other tools put in front of parameter names: the keys of dictionaries around them (Lightning, NVIDIA), and the
/// attributes of modules around the model (DDP, FARM).
const WRAPPERS: [&str; 6] = [
    "state_dict",
    "model_state_dict",
    "module",
    "model",
    "net",
    "network",
];

/// The attributes of modules that PyTorch puts around any part of a model: `torch.compile`, FSDP and activation
/// checkpointing.
const INNER_WRAPPERS: [&str; 3] = [
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
];

/// A tensor and the file that holds it.
pub(super) type StoredTensor = (PathBuf, Tensor);

/// The weights files of a model folder: one file, or an index and its shards, or FARM's two.
#[derive(Debug)]
pub(crate) struct CheckpointFiles {
    /// The file, or the index.
    pub(super) path: PathBuf,
    /// The index: tensor name to the name of its shard.
    shard_of: Option<BTreeMap<String, String>>,
    /// FARM's span head.
    head: Option<PathBuf>,
}

impl CheckpointFiles {
    /// Finds the files that transformers would load, else FARM's, else the only checkpoint of PyTorch in the folder.
    ///
    /// # Errors
    /// If there is none, or several, or a shard of the index is missing.
    pub(crate) fn find(folder: &Path) -> Result<Self, Error> {
        let mut paths = WEIGHTS.iter().map(|name| folder.join(name));
        let path = paths.find(|path| path.is_file());
        let single = |path, head| Self {
            path,
            shard_of: None,
            head,
        };
        let Some(path) = path else {
            let [encoder, head] = FARM.map(|name| folder.join(name));
            if encoder.is_file() {
                return Ok(single(encoder, head.is_file().then_some(head)));
            }
            return Ok(single(only_checkpoint(folder)?, None));
        };
        if !is_index(&path) {
            return Ok(single(path, None));
        }
        let shard_of = read_index(&path)?;
        if let Some(shard) = shard_of
            .values()
            .find(|shard| !folder.join(shard).is_file())
        {
            let message = format!("no shard \"{shard}\" beside this index: download it too");
            return Err(Error::Weights { path, message });
        }
        Ok(Self {
            path,
            shard_of: Some(shard_of),
            head: None,
        })
    }

    /// The files that hold tensors.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        match &self.shard_of {
            None => [&self.path]
                .into_iter()
                .chain(&self.head)
                .cloned()
                .collect(),
            Some(shard_of) => {
                let folder = self.path.parent().unwrap_or(Path::new(""));
                shards(shard_of).map(|shard| folder.join(shard)).collect()
            }
        }
    }

    /// Every tensor with its file, by Hugging Face's names. Reads headers only: a tensor's values
    /// are read when they are used.
    pub(super) fn open(&self) -> Result<Vec<StoredTensor>, Error> {
        let mut tensors: BTreeMap<String, StoredTensor> = BTreeMap::new();
        for file in self.files() {
            for mut tensor in open(&file)? {
                tensor.name = modern_name(tensor.name);
                let name = tensor.name.clone();
                if let Some((other, _)) = tensors.insert(name.clone(), (file.clone(), tensor)) {
                    let [first, second] = [&other, &file]
                        .map(|file| file.file_name().unwrap_or_default().to_string_lossy());
                    let places = if first == second {
                        format!("{first} under two names")
                    } else {
                        format!("{first} and in {second}")
                    };
                    return Err(
                        self.error(format!("tensor \"{name}\" is stored twice, in {places}"))
                    );
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
        let mut tensors: Vec<_> = tensors.into_values().collect();
        let names = tensors.iter().map(|(_, tensor)| tensor.name.as_str());
        if let Some(wrapper) = wrapper(names) {
            for (_, tensor) in &mut tensors {
                if let Some(rest) = tensor.name.strip_prefix(&wrapper) {
                    tensor.name = rest.to_owned();
                }
            }
        }
        Ok(tensors)
    }

    fn error(&self, message: String) -> Error {
        let path = self.path.clone();
        Error::Weights { path, message }
    }
}

/// The number of rows of the word embedding, if there is one.
pub(super) fn word_embedding_rows(tensors: &[StoredTensor]) -> Option<usize> {
    let is_embedding = |name: &str| {
        let names = ["word_embeddings", "tok_embeddings"];
        let rest = names
            .iter()
            .find_map(|kind| name.strip_suffix(&format!("embeddings.{kind}.weight")));
        rest.is_some_and(|rest| {
            rest.is_empty() || (rest.ends_with('.') && rest.matches('.').count() == 1)
        })
    };
    let embedding = tensors
        .iter()
        .find(|(_, tensor)| is_embedding(&tensor.name));
    embedding.and_then(|(_, tensor)| tensor.shape.to_vec().first().copied())
}

/// The architecture to which most tensors belong, by their names.
pub(super) fn architecture(tensors: &[StoredTensor]) -> Option<Architecture> {
    let counts = Architecture::ALL.iter().map(|&architecture| {
        let remapper = to_module_paths(architecture);
        let theirs = tensors.iter().filter(|(_, tensor)| {
            let name = renamed(&remapper, &tensor.name);
            name.starts_with("encoder.") && name != tensor.name
        });
        (theirs.count(), architecture)
    });
    // Of equal ones the first: names alone do not tell them apart.
    let best = counts.rev().max_by_key(|&(count, _)| count);
    best.filter(|&(count, _)| count > 0)
        .map(|(_, architecture)| architecture)
}

/// The only file of the folder that may be a checkpoint of PyTorch or a safetensors file of another name.
fn only_checkpoint(folder: &Path) -> Result<PathBuf, Error> {
    let entries = atomic_fs::entries(folder).map_err(|e| Error::io(folder, e))?;
    let mut found: Vec<PathBuf> = entries
        .iter()
        .map(DirEntry::path)
        .filter(|path| {
            let extension = path.extension().unwrap_or_default().to_string_lossy();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            ["ckpt", "pt", "pth", "th", "bin", "safetensors"].contains(&&*extension)
                && !NOT_WEIGHTS.iter().any(|other| name.starts_with(other))
                && path.is_file()
        })
        .collect();
    found.sort();
    if found.is_empty()
        && let Some((file, trace)) = WEIGHTS
            .iter()
            .find_map(|file| Some((*file, trace_of(folder, file)?)))
    {
        return Err(Error::MissingFile {
            folder: folder.into(),
            file,
            hint: trace.into(),
        });
    }
    match found.as_slice() {
        [] => Err(Error::MissingFile {
            folder: folder.into(),
            file: WEIGHTS[0],
            hint: other_weights(&entries).unwrap_or(
                ", no pytorch_model.bin, no index of shards of either, and no checkpoint (.ckpt, .pt, .bin)",
            ).into(),
        }),
        [_] => Ok(found.swap_remove(0)),
        _ => {
            let names = found
                .iter()
                .map(|path| path.file_name().unwrap_or_default());
            let names: Vec<_> = names.map(|name| name.to_string_lossy()).collect();
            let are_shards = names.iter().all(|name| name.contains("-of-"));
            let message = if are_shards {
                format!(
                    "{} are shards without their index, {} or {}: download it too",
                    list(&names),
                    WEIGHTS[1],
                    WEIGHTS[3]
                )
            } else {
                format!(
                    "{} may each be the weights: keep one, or name it {}",
                    names.join(", "),
                    WEIGHTS[2]
                )
            };
            Err(Error::Weights {
                path: folder.into(),
                message,
            })
        }
    }
}

/// What to do with weights that are not read.
fn other_weights(entries: &[DirEntry]) -> Option<&'static str> {
    let has = |part: &str| {
        let mut names = entries.iter().map(DirEntry::file_name);
        names.any(|name| name.to_string_lossy().contains(part))
    };
    let mut kinds = OTHER_WEIGHTS.iter();
    kinds.find(|(part, _)| has(part)).map(|(_, hint)| *hint)
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
    let Index { weight_map } = serde_json::from_str(&text).map_err(|e| {
        error(format!(
            "not an index of shards: {}",
            json_problem(&text, &e)
        ))
    })?;
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
    if is_safetensors(path) {
        return safetensors_file::tensors(path).map_err(error);
    }
    check_pickle(path)?;
    let reader = PytorchReader::new(path).map_err(|e| error(e.to_string()))?;
    let tensors = reader.into_tensors();
    if tensors.is_empty() {
        return Err(Error::Weights {
            path: path.into(),
            message: "holds no tensor with a name: save weights with torch.save(model.state_dict(), FILE)".into(),
        });
    }
    Ok(tensors.into_values().map(bridge::from_pytorch).collect())
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
                    "its list of tensors, data.pkl, has {size}: at most {most} can be read; load it in PyTorch and save its \
                     weights with torch.save(model.state_dict(), FILE)"
                ),
            });
        }
    }
    Ok(())
}

/// A parameter's name without what other tools put around it.
///
/// FARM's span head has a name of its own, and the first BERT files have TensorFlow's names of LayerNorm's parameters.
fn modern_name(name: String) -> String {
    let parts = name.split('.');
    let parts: Vec<_> = parts
        .filter(|part| !INNER_WRAPPERS.contains(part))
        .collect();
    let mut name = parts.join(".");
    while let Some((first, rest)) = name.split_once('.')
        && WRAPPERS.contains(&first)
    {
        name = rest.to_owned();
    }
    if let Some(parameter) = name.strip_prefix("feed_forward.feed_forward.0.") {
        return format!("qa_outputs.{parameter}");
    }
    match name.rsplit_once('.') {
        Some((module, "gamma")) if module.ends_with("LayerNorm") => format!("{module}.weight"),
        Some((module, "beta")) if module.ends_with("LayerNorm") => format!("{module}.bias"),
        _ => name,
    }
}

/// What stands in front of the names because the model is an attribute of another module: `qa.` of
/// `qa.bert.embeddings.word_embeddings.weight`. `None` if there is nothing, or several models.
fn wrapper<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut models = names.filter_map(|name| {
        let name = name.strip_suffix("_embeddings.weight")?;
        let before = name.strip_suffix("embeddings.word");
        before.or_else(|| name.strip_suffix("embeddings.tok"))
    });
    let model = models.next()?.strip_suffix('.')?;
    if models.next().is_some() {
        return None;
    }
    let (before, last) = model.rsplit_once('.').unwrap_or(("", model));
    let mut known = Architecture::ALL.iter();
    let wrapper = if known.any(|architecture| architecture.spec().prefix == last) {
        before
    } else {
        model
    };
    (!wrapper.is_empty()).then(|| format!("{wrapper}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_module_around_the_model_is_found() {
        let bert = "bert.embeddings.word_embeddings.weight";
        for (names, expected) in [
            (vec![bert], None),
            (vec!["embeddings.word_embeddings.weight"], None),
            (
                vec!["qa.bert.embeddings.word_embeddings.weight"],
                Some("qa."),
            ),
            (
                vec!["bert.bert.embeddings.word_embeddings.weight"],
                Some("bert."),
            ),
            (
                vec!["a.b.embeddings.tok_embeddings.weight", "a.qa_outputs.bias"],
                Some("a.b."),
            ),
            (vec!["t.embeddings.word_embeddings.weight", bert], None),
            (vec!["transformer.wte.weight"], None),
        ] {
            let found = wrapper(names.iter().copied());
            assert_eq!(found.as_deref(), expected, "{names:?}");
        }
    }

    #[test]
    fn names_of_other_tools_become_hugging_faces() {
        for (old, new) in [
            ("a.LayerNorm.gamma", "a.LayerNorm.weight"),
            ("a.LayerNorm.beta", "a.LayerNorm.bias"),
            ("a.dense.gamma", "a.dense.gamma"),
            ("beta", "beta"),
            ("module.bert.a.weight", "bert.a.weight"),
            ("state_dict.model.bert.a.weight", "bert.a.weight"),
            ("model.module.a.LayerNorm.gamma", "a.LayerNorm.weight"),
            (
                "model.embeddings.LayerNorm.beta",
                "embeddings.LayerNorm.bias",
            ),
            ("feed_forward.feed_forward.0.bias", "qa_outputs.bias"),
            ("models.a", "models.a"),
            ("_orig_mod.module.bert.a.weight", "bert.a.weight"),
            (
                "_fsdp_wrapped_module.bert.layer.0._fsdp_wrapped_module._checkpoint_wrapped_module.LayerNorm.gamma",
                "bert.layer.0.LayerNorm.weight",
            ),
            ("bert.layer.0._orig_mod.a.bias", "bert.layer.0.a.bias"),
        ] {
            assert_eq!(modern_name(old.into()), new);
        }
    }
}
