use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::store::burn_pack::Tensor;
use burn::store::{
    ApplyError, BurnToPyTorchAdapter, ModuleAdapter, ModuleSnapshot, PyTorchToBurnAdapter,
    SafetensorsStore,
};
use burn::tensor::Shape;

use crate::checkpoint::Checkpoint;
use crate::finite::{Faults, FiniteF32};
use crate::names::{hugging_face_name, to_hugging_face, to_module_paths};
use crate::{Architecture, BertForQuestionAnswering, Error, LoadReport};

/// Loads a folder's weights as transformers writes them into `model`.
///
/// The span head may be missing (it keeps its initial values, and the report says so): that is
/// how a pretrained encoder comes. Weights that lack any other parameter are refused. Parameters
/// are `f32`, whatever the precision of the files. Tensors are read one at a time, so that no more
/// than one stands in memory beside the parameters.
pub(crate) fn load(
    model: &mut BertForQuestionAnswering,
    checkpoint: &Checkpoint,
) -> Result<LoadReport, Error> {
    let (tensors, origins) = place(checkpoint, model.architecture())?;
    let faults = Faults::default();
    let adapter = FiniteF32::new(&faults).chain(PyTorchToBurnAdapter);
    let result = model.apply(tensors, None, Some(Box::new(adapter)), false);
    // A tensor that could not be read is among the errors as well, in other words.
    let fault = faults.take();
    let error = || Some(explain(result.errors.first()?, &origins));
    if let Some((path, message)) = fault.or_else(error) {
        let name = hugging_face_name(&path);
        let file = origins.get(&name).map(|origin| &origin.file);
        return Err(Error::Weights {
            path: file.unwrap_or(&checkpoint.path).clone(),
            message: format!("tensor \"{name}\" {message}"),
        });
    }
    let files = checkpoint.files();
    let report = LoadReport {
        files: files.iter().map(|file| file_name(file)).collect(),
        loaded: names_of(result.applied),
        missing: names_of(result.missing.into_iter().map(|(path, _)| path)),
        // Old files hold the buffer of positions, 0, 1, 2, …, which is no weight.
        unexpected: names_of(result.unused)
            .into_iter()
            .filter(|name| !name.ends_with("embeddings.position_ids"))
            .collect(),
    };
    check_missing(&report, &checkpoint.path)?;
    Ok(report)
}

/// The names of all parameters of a model.
pub(crate) fn names(model: &BertForQuestionAnswering) -> Vec<String> {
    let tensors = model.collect(None, None, false);
    names_of(tensors.into_iter().map(|tensor| tensor.name))
}

/// Where a tensor comes from.
struct Origin {
    file: PathBuf,
    /// As it stands in the file.
    shape: Vec<usize>,
}

/// The tensors under their module paths, and by Hugging Face's names where they come from.
fn place(
    checkpoint: &Checkpoint,
    architecture: Architecture,
) -> Result<(Vec<Tensor>, BTreeMap<String, Origin>), Error> {
    let stored = checkpoint.open()?.into_iter();
    let (files, tensors): (Vec<_>, Vec<_>) = stored.map(|s| (s.file, s.tensor)).unzip();
    let (tensors, _) = to_module_paths(architecture).remap(tensors);
    let mut origins = BTreeMap::new();
    for (tensor, file) in tensors.iter().zip(files) {
        let name = hugging_face_name(&tensor.name);
        let shape = tensor.shape.to_vec();
        if origins
            .insert(name.clone(), Origin { file, shape })
            .is_some()
        {
            return Err(Error::Weights {
                path: checkpoint.path.clone(),
                message: format!(
                    "two tensors for \"{name}\", with and without the encoder's prefix"
                ),
            });
        }
    }
    Ok((tensors, origins))
}

/// Only the span head may be missing.
fn check_missing(report: &LoadReport, path: &Path) -> Result<(), Error> {
    let is_encoder = |name: &&String| !name.starts_with("qa_outputs.");
    match report.missing.iter().find(is_encoder) {
        None => Ok(()),
        Some(name) => Err(Error::Weights {
            path: path.into(),
            message: format!(
                "no tensor \"{name}\" ({} of {} parameters found): these are not this encoder's weights",
                report.loaded.len(),
                report.loaded.len() + report.missing.len()
            ),
        }),
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

/// The module path of a tensor that does not fit, and why.
fn explain(error: &ApplyError, origins: &BTreeMap<String, Origin>) -> (String, String) {
    match error {
        ApplyError::ShapeMismatch { path, expected, .. } => {
            let expected = file_shape(path, expected);
            let origin = origins.get(&hugging_face_name(path));
            let found = origin.map(|origin| &origin.shape[..]).unwrap_or_default();
            let message = format!("has shape {found:?}, config.json asks for {expected:?}");
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

/// The shape that a parameter has in the file: linear layers are transposed on the way.
fn file_shape(path: &str, shape: &Shape) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if !path.contains("embeddings.") {
        shape.reverse();
    }
    shape
}

/// Writes `model.safetensors` as transformers reads it; whole or not at all.
pub(crate) fn save(model: &BertForQuestionAnswering, path: &Path) -> Result<(), Error> {
    let mut store = SafetensorsStore::from_file(path)
        .with_to_adapter(BurnToPyTorchAdapter)
        .remap(to_hugging_face())
        // One entry only: Burn writes several in an order that differs from run to run.
        .clear_metadata()
        .metadata("format", "pt")
        .overwrite(true);
    model.save_into(&mut store).map_err(|e| Error::Weights {
        path: path.into(),
        message: e.to_string(),
    })
}
