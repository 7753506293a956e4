use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use burn::store::burn_pack::Tensor;
use burn::store::{
    ApplyError, BurnToPyTorchAdapter, ModuleAdapter, ModuleSnapshot, PyTorchToBurnAdapter,
    SafetensorsStore,
};
use burn::tensor::Shape;
use squad_data::counted;

use super::checkpoint_files::{CheckpointFiles, StoredTensor};
use super::conv_weight::{ConvWeight, is_conv_weight, pytorch_shape};
use super::finite::{FiniteF32, FirstError};
use super::names::{hugging_face_name, to_hugging_face, to_module_paths};
use crate::error::{Error, list};
use crate::model::{Architecture, BertForQuestionAnswering};

/// The result of loading weights, by Hugging Face's names. [`Display`](fmt::Display) gives one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Names of the weights files.
    pub files: Vec<String>,
    /// Parameters that were loaded.
    pub loaded: Vec<String>,
    /// Parameters that the files lack; they have their initial values.
    pub missing: Vec<String>,
    /// Tensors of the files that are not the model's.
    pub unexpected: Vec<String>,
    /// What was found and a user should know, each a line.
    pub warnings: Vec<String>,
}

impl LoadReport {
    /// What is wrong if the model has no trained span head, with the tensors that may be one by another name. A bias may be
    /// missing: it is 0, as with transformers.
    pub fn untrained_head(&self) -> Option<String> {
        if !self.missing.iter().any(|name| name.ends_with(".weight")) {
            return None;
        }
        let others = self.unexpected.iter().map(String::as_str);
        let others: Vec<_> = others.filter(|name| !name.contains("pooler.")).collect();
        let others = if others.is_empty() {
            String::new()
        } else {
            format!("; these of its tensors are not used: {}", list(&others))
        };
        Some(format!("no {}{others}", list(&self.missing)))
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "loaded {}", counted(self.loaded.len(), "tensor"))?;
        match self.files.as_slice() {
            [] => {}
            [file] => write!(f, " from {file}")?,
            files => write!(f, " from {} files", files.len())?,
        }
        for (what, names) in [
            ("newly initialized", &self.missing),
            ("not used", &self.unexpected),
        ] {
            if !names.is_empty() {
                write!(f, "; {what}: {}", list(names))?;
            }
        }
        Ok(())
    }
}

/// Loads `tensors`, those of `files`, into `model`.
///
/// Only the span head may be missing: it keeps its initial values, also `has_other_head`, where the tensors of its name
/// are those of another task. Parameters become `f32`. One tensor at a time is read, so at most one is in memory besides
/// the parameters.
pub(super) fn load(
    model: &mut BertForQuestionAnswering,
    files: &CheckpointFiles,
    mut tensors: Vec<StoredTensor>,
    has_other_head: bool,
) -> Result<LoadReport, Error> {
    let architecture = model.architecture();
    let other_prefix = drop_other_prefix(&mut tensors, architecture);
    let (mut tensors, sources) = by_module_path(tensors, architecture, &files.path)?;
    let other_head = tensors.extract_if(.., |tensor| {
        has_other_head && tensor.name.starts_with("classifier.")
    });
    let other_head: Vec<_> = other_head.map(|tensor| tensor.name).collect();
    let first_error = FirstError::default();
    let adapter = FiniteF32::new(&first_error, "these weights cannot be used");
    let adapter = adapter.chain(PyTorchToBurnAdapter);
    let adapter = adapter.chain(ConvWeight::FromPyTorch);
    let result = model.apply(tensors, None, Some(Box::new(adapter)), false);
    // Burn reports the adapter's error too, but in its own words.
    let of_adapter = first_error.take();
    let of_burn = || Some(explain(result.errors.first()?, &sources));
    if let Some((path, message)) = of_adapter.or_else(of_burn) {
        let name = hugging_face_name(&path);
        let file = sources.get(&name).map(|source| &source.file);
        return Err(Error::Weights {
            path: file.unwrap_or(&files.path).clone(),
            message: format!("tensor \"{name}\" {message}"),
        });
    }
    let layers = format!("{}.encoder.layer.", architecture.path());
    let of_layers = result
        .unused
        .iter()
        .filter(|path| path.starts_with(&layers));
    let unused_of_layers = names_of(of_layers.cloned());
    let mut report = LoadReport {
        files: files.files().iter().map(|file| file_name(file)).collect(),
        loaded: names_of(result.applied),
        missing: names_of(result.missing.into_iter().map(|(path, _)| path)),
        // Old files hold the buffer of positions, 0, 1, 2, …, which is not a parameter.
        unexpected: names_of(result.unused.into_iter().chain(other_head))
            .into_iter()
            .filter(|name| !name.ends_with("embeddings.position_ids"))
            .collect(),
        warnings: Vec::new(),
    };
    check_missing(&report, &files.path)?;
    report.warnings = [
        other_prefix.and_then(|prefix| prefix_warning(prefix, architecture)),
        layers_warning(&unused_of_layers),
        bias_warning(&report),
    ]
    .into_iter()
    .flatten()
    .map(|warning| format!("{}: {warning}", files.path.display()))
    .chain(adapter_warning(&files.path))
    .collect();
    Ok(report)
}

fn prefix_warning(prefix: &str, architecture: Architecture) -> Option<String> {
    let model_type = architecture.spec().model_type;
    // Any attribute may be called `model`.
    (prefix != "model").then(|| {
        format!(
            "its encoder is called \"{prefix}\", and is taken for the {model_type} of config.json"
        )
    })
}

/// Further layers, adapters, masks of pruned weights: without them the encoder computes something else.
fn layers_warning(unused: &[String]) -> Option<String> {
    (!unused.is_empty()).then(|| {
        format!(
            "these tensors of its layers are not used: {}; do the weights belong to config.json?",
            list(unused)
        )
    })
}

fn bias_warning(report: &LoadReport) -> Option<String> {
    (report.untrained_head().is_none() && !report.missing.is_empty())
        .then(|| format!("no {}, which is taken as 0", list(&report.missing)))
}

/// A PEFT adapter beside whole weights may be part of them or not.
fn adapter_warning(weights: &Path) -> Option<String> {
    let path = weights.with_file_name("adapter_config.json");
    path.is_file().then(|| {
        format!(
            "{}: this adapter is not used, only the weights beside it; transformers with PEFT would put it on its base \
             model. If the weights do not have it yet, take those of merge_and_unload().save_pretrained(FOLDER)",
            path.display()
        )
    })
}

/// The names of all parameters of a model.
pub(super) fn names(model: &BertForQuestionAnswering) -> Vec<String> {
    let tensors = model.collect(None, None, false);
    names_of(tensors.into_iter().map(|tensor| tensor.name))
}

/// A tensor's file, and its shape there.
struct TensorSource {
    file: PathBuf,
    shape: Vec<usize>,
}

/// The tensors with module paths as names, and their sources by Hugging Face's names.
fn by_module_path(
    tensors: Vec<StoredTensor>,
    architecture: Architecture,
    path: &Path,
) -> Result<(Vec<Tensor>, BTreeMap<String, TensorSource>), Error> {
    let (paths, tensors): (Vec<_>, Vec<_>) = tensors.into_iter().unzip();
    let (tensors, _) = to_module_paths(architecture).remap(tensors);
    let mut sources = BTreeMap::new();
    for (tensor, file) in tensors.iter().zip(paths) {
        let name = hugging_face_name(&tensor.name);
        let shape = tensor.shape.to_vec();
        let source = TensorSource { file, shape };
        if sources.insert(name.clone(), source).is_some() {
            return Err(Error::Weights {
                path: path.into(),
                message: format!(
                    "two tensors for \"{name}\", with and without the encoder's prefix"
                ),
            });
        }
    }
    Ok((tensors, sources))
}

/// Only the span head may be missing.
fn check_missing(report: &LoadReport, path: &Path) -> Result<(), Error> {
    const HEAD: [&str; 3] = ["qa_outputs.", "head.", "classifier."];
    let is_encoder = |name: &&String| !HEAD.iter().any(|part| name.starts_with(part));
    let Some(name) = report.missing.iter().find(is_encoder) else {
        return Ok(());
    };
    let message = match other_weights(&report.unexpected) {
        Some(what) => format!("no tensor \"{name}\", but {what}"),
        None => format!(
            "no tensor \"{name}\" ({} of {} parameters found): these are not this encoder's weights; not used: {}",
            report.loaded.len(),
            report.loaded.len() + report.missing.len(),
            if report.unexpected.is_empty() {
                "none".to_owned()
            } else {
                list(&report.unexpected)
            }
        ),
    };
    Err(Error::Weights {
        path: path.into(),
        message,
    })
}

/// Drops another architecture's prefix from the encoder's names: an attribute of someone's module that holds a RoBERTa may
/// be called `bert`.
fn drop_other_prefix(
    tensors: &mut [StoredTensor],
    architecture: Architecture,
) -> Option<&'static str> {
    let mut prefixes = Architecture::ALL.iter().map(|known| known.spec().prefix);
    let prefix = prefixes.find(|prefix| {
        let names = ["word_embeddings", "tok_embeddings"]
            .map(|kind| format!("{prefix}.embeddings.{kind}.weight"));
        let mut tensors = tensors.iter();
        *prefix != architecture.spec().prefix
            && tensors.any(|(_, tensor)| names.contains(&tensor.name))
    })?;
    for (_, tensor) in tensors {
        if let Some(name) = tensor.name.strip_prefix(&format!("{prefix}.")) {
            tensor.name = name.to_owned();
        }
    }
    Some(prefix)
}

/// What the names say of weights that stand in place of a model's: those of PEFT, GPTQ, AWQ and bitsandbytes.
fn other_weights(names: &[String]) -> Option<&'static str> {
    let has = |parts: &[&str]| {
        let mut names = names.iter();
        names.any(|name| parts.iter().any(|part| name.contains(part)))
    };
    if has(&[".lora_", ".base_layer."]) {
        Some(
            "a PEFT adapter: put it into its base model with merge_and_unload().save_pretrained(FOLDER)",
        )
    } else if has(&[".qweight", ".weight.absmax"]) {
        Some("quantized weights, which are not supported: take the model's full-precision version")
    } else {
        None
    }
}

fn names_of(paths: impl IntoIterator<Item = String>) -> Vec<String> {
    let names = paths.into_iter().map(|path| hugging_face_name(&path));
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The module path of a tensor that cannot be loaded, and the reason.
fn explain(error: &ApplyError, sources: &BTreeMap<String, TensorSource>) -> (String, String) {
    match error {
        ApplyError::ShapeMismatch { path, expected, .. } => {
            let expected = file_shape(path, expected);
            let source = sources.get(&hugging_face_name(path));
            let found = source.map(|source| &source.shape[..]).unwrap_or_default();
            let is_head = ["qa_outputs.", "classifier."];
            let is_head = is_head.iter().any(|head| path.starts_with(head));
            let message = if is_head && expected.first() == Some(&2) && found.first() != Some(&2) {
                format!(
                    "has shape {found:?}: a span head has {expected:?}, with a row for start and one for end"
                )
            } else {
                format!("has shape {found:?}, config.json asks for {expected:?}")
            };
            (path.clone(), message)
        }
        ApplyError::DTypeMismatch { path, found, .. } => {
            let message = format!("holds {found:?}: weights are f32, f16, bf16 or f64");
            (path.clone(), message)
        }
        ApplyError::AdapterError { path, message } | ApplyError::LoadError { path, message } => {
            (path.clone(), format!("cannot be loaded: {message}"))
        }
    }
}

/// The shape of a parameter in the file, where linear layers are transposed and a convolution has three axes.
fn file_shape(path: &str, shape: &Shape) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if let (true, &[rows, width]) = (is_conv_weight(path), &shape[..]) {
        return pytorch_shape(rows, width).into();
    }
    if !path.contains("embeddings.") && !path.contains("relative_attention_bias.") {
        shape.reverse();
    }
    shape
}

/// Writes `model.safetensors` in transformers' layout. A model with NaN or an infinity is not saved.
pub(super) fn save(model: &BertForQuestionAnswering, path: &Path) -> Result<(), Error> {
    let first_error = FirstError::default();
    let adapter = FiniteF32::new(&first_error, "the model has diverged and is not saved");
    let adapter = adapter.chain(ConvWeight::ToPyTorch);
    let mut store = SafetensorsStore::from_file(path)
        .with_to_adapter(adapter.chain(BurnToPyTorchAdapter))
        .remap(to_hugging_face(model.architecture()))
        // One entry only: Burn writes several in an order that varies from run to run.
        .clear_metadata()
        .metadata("format", "pt")
        .overwrite(true);
    model
        .save_into(&mut store)
        .map_err(|e| match first_error.take() {
            Some((path, message)) => Error::NotFinite {
                what: format!("tensor \"{}\" {message}", hugging_face_name(&path)),
            },
            None => Error::Weights {
                path: path.into(),
                message: e.to_string(),
            },
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("t{number}")).collect()
    }

    #[test]
    fn a_report_is_one_line_and_lists_at_most_nine_names() {
        let mut report = LoadReport {
            files: vec!["model.safetensors".into()],
            loaded: names(101),
            ..LoadReport::default()
        };
        assert_eq!(
            report.to_string(),
            "loaded 101 tensors from model.safetensors"
        );
        report.files.push("another".into());
        report.missing = vec!["qa_outputs.bias".into(), "qa_outputs.weight".into()];
        report.unexpected = names(9);
        assert_eq!(
            report.to_string(),
            "loaded 101 tensors from 2 files; newly initialized: qa_outputs.bias, qa_outputs.weight; \
             not used: t0, t1, t2, t3, t4, t5, t6, t7, t8"
        );
        report.unexpected = names(10);
        assert!(
            report.to_string().ends_with("t6, t7 and 2 more"),
            "{report}"
        );
    }
}
