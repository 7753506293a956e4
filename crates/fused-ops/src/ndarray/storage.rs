use std::borrow::Cow;

use burn::backend::ndarray::NdArrayTensor;
use ndarray::{ArcArray, IxDyn};

/// A tensor's numbers in row-major order, copied only where the tensor is a strided view.
pub(super) fn values(tensor: &NdArrayTensor) -> Cow<'_, [f32]> {
    let NdArrayTensor::F32(storage) = tensor else {
        unreachable!("`takes` lets only f32 tensors through");
    };
    let view = storage.view();
    match view.to_slice() {
        Some(slice) => Cow::Borrowed(slice),
        None => Cow::Owned(view.iter().copied().collect()),
    }
}

/// A tensor that owns `values`, without copying them.
///
/// # Panics
/// If their number is not the shape's.
pub(super) fn tensor(values: Vec<f32>, shape: &[usize]) -> NdArrayTensor {
    ArcArray::from_shape_vec(IxDyn(shape), values)
        .expect("as many values as the shape has elements")
        .into()
}

/// `[rows, columns]` of a matrix.
pub(super) fn dims(tensor: &NdArrayTensor) -> [usize; 2] {
    let NdArrayTensor::F32(storage) = tensor else {
        unreachable!("`takes` lets only f32 tensors through");
    };
    let shape = storage.shape();
    [shape[0], shape[1]]
}
