use burn::backend::NdArray;
use burn::backend::ndarray::NdArrayTensor;
use burn::tensor::Tensor;
use pulp::Arch;
use rayon::prelude::*;

use super::norm::sum_of_products;
use super::storage;
use crate::AdamW;

/// Elements that one task takes.
const CHUNK: usize = 1 << 14;

/// [`crate::adamw_step`] in one pass over memory, in place where the tensors are owned alone.
pub(crate) fn adamw_step<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    (first, second): (Tensor<D>, Tensor<D>),
    adamw: &AdamW,
) -> (Tensor<D>, (Tensor<D>, Tensor<D>)) {
    let gradient = primitive(gradient);
    let mut tensors = [parameter, first, second].map(primitive);
    {
        let [parameter, first, second] = tensors.each_mut().map(values_mut);
        update(parameter, &storage::values(&gradient), first, second, adamw);
    }
    let [parameter, first, second] = tensors.map(Tensor::from_primitive::<NdArray>);
    (parameter, (first, second))
}

/// [`crate::sum_of_squares`] in one pass, in an order that does not depend on the threads.
pub(crate) fn sum_of_squares<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let tensor = primitive(tensor);
    let values = storage::values(&tensor);
    let arch = Arch::new();
    let partial: Vec<f64> = values
        .par_chunks(CHUNK)
        .map(|chunk| {
            arch.dispatch(
                #[inline(always)]
                || f64::from(sum_of_products(chunk, chunk)),
            )
        })
        .collect();
    let total = partial.iter().sum::<f64>() as f32;
    Tensor::from_primitive::<NdArray>(storage::tensor(vec![total], &[1]))
}

fn primitive<const D: usize>(tensor: Tensor<D>) -> NdArrayTensor {
    tensor
        .try_into_primitive::<NdArray>()
        .expect("`takes` lets only NdArray tensors through, and optimizers run without autodiff")
}

/// A tensor's numbers to be changed: in place if it is owned alone, else of a copy.
fn values_mut(tensor: &mut NdArrayTensor) -> &mut [f32] {
    if let NdArrayTensor::F32(storage) = &*tensor
        && !storage.view().is_standard_layout()
    {
        let shape = storage.shape().to_vec();
        let copy = storage::values(tensor).into_owned();
        *tensor = storage::tensor(copy, &shape);
    }
    let NdArrayTensor::F32(storage) = tensor else {
        unreachable!("`takes` lets only f32 tensors through");
    };
    storage
        .ensure_owned()
        .as_slice_mut()
        .expect("made contiguous above")
}

fn update(
    parameter: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    adamw: &AdamW,
) {
    let (correction1, correction2) = adamw.bias_corrections();
    let (beta1, beta2) = (adamw.beta1 as f32, adamw.beta2 as f32);
    let (keep1, keep2) = ((1.0 - adamw.beta1) as f32, (1.0 - adamw.beta2) as f32);
    let decay = (1.0 - adamw.learning_rate * adamw.weight_decay) as f32;
    let rate = (adamw.learning_rate / correction1) as f32;
    let root = (1.0 / correction2.sqrt()) as f32;
    let (eps, scale) = (adamw.eps as f32, adamw.gradient_scale as f32);
    let arch = Arch::new();
    (
        parameter.par_chunks_mut(CHUNK),
        gradient.par_chunks(CHUNK),
        first.par_chunks_mut(CHUNK),
        second.par_chunks_mut(CHUNK),
    )
        .into_par_iter()
        .for_each(|(parameter, gradient, first, second)| {
            arch.dispatch(
                #[inline(always)]
                || {
                    let moments = first.iter_mut().zip(second.iter_mut());
                    for ((p, g), (m, v)) in parameter.iter_mut().zip(gradient).zip(moments) {
                        let g = g * scale;
                        *m = *m * beta1 + g * keep1;
                        *v = *v * beta2 + g * g * keep2;
                        *p = *p * decay - *m / (v.sqrt() * root + eps) * rate;
                    }
                },
            );
        });
}
