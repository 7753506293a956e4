//! Burn's Flex backend.

use std::borrow::Cow;

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::TensorData;

use super::function::Kernels;
use super::host::HostMemory;
use crate::kernels::uninit::uninit;

impl Kernels for Flex {}

impl HostMemory for Flex {
    fn values(tensor: &FlexTensor) -> Cow<'_, [f32]> {
        match tensor.as_slice() {
            Some(slice) => Cow::Borrowed(slice),
            None => Cow::Owned(tensor.to_contiguous().storage().to_vec()),
        }
    }

    fn values_mut(tensor: &mut FlexTensor) -> &mut [f32] {
        // Copies a view, also one of the first elements of its memory; `storage_mut` copies memory that others hold.
        *tensor = tensor.to_contiguous();
        tensor.storage_mut()
    }

    fn uninit(shape: &[usize]) -> FlexTensor {
        FlexTensor::from_data(TensorData::new(
            uninit(shape.iter().product()),
            shape.to_vec(),
        ))
    }

    fn dims(tensor: &FlexTensor) -> [usize; 2] {
        let shape = tensor.layout().shape();
        [shape[0], shape[1]]
    }
}
