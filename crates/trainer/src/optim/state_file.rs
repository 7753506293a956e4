//! The moments of the optimizer as a safetensors file, by Hugging Face's parameter names.

use std::borrow::Cow;
use std::path::Path;

use bert_qa::BertForQuestionAnswering;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors, View};

use crate::Error;
use crate::optim::adamw::Moments;
use crate::optim::parameters::parameters;

/// PyTorch's names for the two moments of AdamW.
const MOMENTS: [&str; 2] = ["exp_avg", "exp_avg_sq"];

/// Writes the moments as `exp_avg.NAME` and `exp_avg_sq.NAME`, `f32`, flat.
pub(crate) fn write(moments: &Moments, path: &Path) -> Result<(), Error> {
    let mut tensors = Vec::new();
    for (name, (exp_avg, exp_avg_sq)) in moments {
        for (moment, tensor) in MOMENTS.iter().zip([exp_avg, exp_avg_sq]) {
            let elements = [tensor.shape().num_elements()];
            tensors.push((format!("{moment}.{name}"), Moment { tensor, elements }));
        }
    }
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, moment) in &tensors {
        let largest = moment.tensor.clone().abs().max().into_scalar::<f32>();
        if !largest.is_finite() {
            let what = format!("the optimizer's {name} is not finite: the model has diverged");
            return Err(bert_qa::Error::NotFinite { what }.into());
        }
    }
    safetensors::serialize_to_file(tensors, None, path).map_err(|e| Error::file(path, e))
}

/// A tensor that is copied to the host when it is written: only one is in memory twice.
struct Moment<'a> {
    tensor: &'a Tensor<1>,
    elements: [usize; 1],
}

impl View for Moment<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.elements
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let data = self.tensor.to_data().convert::<f32>();
        Cow::Owned(data.as_bytes().to_vec())
    }

    fn data_len(&self) -> usize {
        4 * self.elements[0]
    }
}

/// Reads the moments of all trained parameters to a device without autodiff. Missing and extra tensors are errors: a moment
/// that silently restarts at 0 would change the run.
pub(crate) fn read<M: Module>(model: &M, device: &Device, path: &Path) -> Result<Moments, Error> {
    let bytes = std::fs::read(path).map_err(|e| Error::file(path, e))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| Error::file(path, e))?;
    let mut moments = Moments::new();
    for parameter in parameters(model).iter().filter(|p| p.is_trained) {
        let elements = parameter.shape.num_elements();
        let moment = |moment: &str| -> Result<Tensor<1>, Error> {
            let name = format!("{moment}.{}", parameter.name);
            let view = file
                .tensor(&name)
                .map_err(|_| Error::file(path, format!("has no {name}")))?;
            let values: Vec<f32> = view
                .data()
                .chunks_exact(4)
                .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
                .collect();
            if values.len() != elements || view.dtype() != Dtype::F32 {
                let (dtype, shape) = (view.dtype(), view.shape());
                return Err(Error::file(
                    path,
                    format!("{name} is {dtype:?} {shape:?}, the model needs F32 [{elements}]"),
                ));
            }
            let data = TensorData::new(values, [elements]);
            Ok(Tensor::from_data(data, device))
        };
        let pair = (moment(MOMENTS[0])?, moment(MOMENTS[1])?);
        moments.insert(parameter.name.clone(), pair);
    }
    if file.len() != 2 * moments.len() {
        let (has, wants) = (file.len(), 2 * moments.len());
        let message = format!("has {has} tensors, the model's trained parameters need {wants}");
        return Err(Error::file(path, message));
    }
    Ok(moments)
}

/// Reads an optimizer's state for `model`; for the fuzz targets.
///
/// # Errors
/// If it cannot be read.
pub fn check_optimizer_state(path: &Path, model: &BertForQuestionAnswering) -> Result<(), Error> {
    let device = model.devices().remove(0).inner();
    read(model, &device, path).map(drop)
}
