use std::path::Path;

use burn::store::{
    ApplyError, BurnToPyTorchAdapter, FloatCastAdapter, ModuleAdapter, ModuleSnapshot,
    PyTorchToBurnAdapter, SafetensorsStore,
};
use burn::tensor::{DType, Shape};

use crate::names::{hugging_face_name, to_hugging_face, to_module_paths};
use crate::{BertForQuestionAnswering, Error};

/// What became of the tensors of a weights file, by Hugging Face's names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Parameters that were loaded.
    pub loaded: Vec<String>,
    /// Parameters that the file lacks; they keep their initial values.
    pub missing: Vec<String>,
    /// Tensors of the file that the model has no place for.
    pub unexpected: Vec<String>,
}

/// Loads `model.safetensors` as transformers writes it into `model`.
///
/// The span head may be missing (it keeps its initial values, and the report says so): that is
/// how a pretrained encoder comes. A file that lacks any other parameter is refused. Parameters are
/// `f32`, whatever the precision of the file.
pub(crate) fn load(model: &mut BertForQuestionAnswering, path: &Path) -> Result<LoadReport, Error> {
    let error = |message: String| Error::Weights {
        path: path.into(),
        message,
    };
    let mut store = SafetensorsStore::from_file(path)
        .with_from_adapter(FloatCastAdapter::to(DType::F32).chain(PyTorchToBurnAdapter))
        .remap(to_module_paths())
        .validate(false)
        .allow_partial(true);
    let result = model
        .load_from(&mut store)
        .map_err(|e| error(format!("{e}; is the file complete?")))?;
    if let Some(first) = result.errors.first() {
        return Err(error(explain(first)));
    }
    let names = |paths: &[String]| {
        let mut names: Vec<_> = paths.iter().map(|path| hugging_face_name(path)).collect();
        names.sort();
        names
    };
    let missing: Vec<String> = result.missing.into_iter().map(|(path, _)| path).collect();
    let report = LoadReport {
        loaded: names(&result.applied),
        missing: names(&missing),
        // Old files hold the buffer of positions, 0, 1, 2, …, which is no weight.
        unexpected: names(&result.unused)
            .into_iter()
            .filter(|name| !name.ends_with("embeddings.position_ids"))
            .collect(),
    };
    match report
        .missing
        .iter()
        .find(|name| !name.starts_with("qa_outputs."))
    {
        Some(name) => Err(error(format!(
            "no tensor \"{name}\" ({} of {} parameters found): these are not this encoder's weights",
            report.loaded.len(),
            report.loaded.len() + report.missing.len()
        ))),
        None => Ok(report),
    }
}

fn explain(error: &ApplyError) -> String {
    match error {
        ApplyError::ShapeMismatch {
            path,
            expected,
            found,
        } => {
            let name = hugging_face_name(path);
            let [found, expected] = [found, expected].map(|shape| file_shape(&name, shape));
            format!("tensor \"{name}\" has shape {found:?}, config.json asks for {expected:?}")
        }
        other => other.to_string(),
    }
}

/// The shape that a parameter has in the file: linear layers are transposed on the way.
fn file_shape(name: &str, shape: &Shape) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if !name.contains("embeddings.") {
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
