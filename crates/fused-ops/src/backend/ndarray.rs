//! Burn's NdArray backend.

use std::borrow::Cow;

use burn::backend::NdArray;
use burn::backend::ndarray::NdArrayTensor;
use ndarray::{ArcArray, IxDyn};

use super::function::Kernels;
use super::host::HostMemory;
use crate::kernels::uninit::uninit;

impl Kernels for NdArray {}

impl HostMemory for NdArray {
    fn values(tensor: &NdArrayTensor) -> Cow<'_, [f32]> {
        let NdArrayTensor::F32(storage) = tensor else {
            unreachable!("`is_supported` refuses other types");
        };
        let view = storage.view();
        match view.to_slice() {
            Some(slice) => Cow::Borrowed(slice),
            None => Cow::Owned(view.iter().copied().collect()),
        }
    }

    fn values_mut(tensor: &mut NdArrayTensor) -> &mut [f32] {
        if let NdArrayTensor::F32(storage) = &*tensor
            && !storage.view().is_standard_layout()
        {
            let shape = storage.shape().to_vec();
            let copy = Self::values(tensor).into_owned();
            *tensor = from_vec(copy, &shape);
        }
        let NdArrayTensor::F32(storage) = tensor else {
            unreachable!("`is_supported` refuses other types");
        };
        storage
            .ensure_owned()
            .as_slice_mut()
            .expect("made contiguous above")
    }

    fn uninit(shape: &[usize]) -> NdArrayTensor {
        from_vec(uninit(shape.iter().product()), shape)
    }

    fn dims(tensor: &NdArrayTensor) -> [usize; 2] {
        let NdArrayTensor::F32(storage) = tensor else {
            unreachable!("`is_supported` refuses other types");
        };
        let shape = storage.shape();
        [shape[0], shape[1]]
    }
}

/// A tensor that owns `values`, without a copy.
fn from_vec(values: Vec<f32>, shape: &[usize]) -> NdArrayTensor {
    ArcArray::from_shape_vec(IxDyn(shape), values)
        .expect("as many values as the shape has elements")
        .into()
}
