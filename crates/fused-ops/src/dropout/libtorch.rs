use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;

use crate::backend::Function;
use crate::backend::libtorch::{cast, native_dropout, native_dropout_backward, on_cpu, to_f32};
use crate::philox::Dropout;

/// Dropout with this crate's masks on the CPU, with libtorch's on a GPU, where the mask is saved.
pub(super) fn forward(dropout: &Dropout, input: &TchTensor) -> (TchTensor, Vec<TchTensor>) {
    if on_cpu(input) {
        return (with_own_mask(dropout, input), Vec::new());
    }
    let (output, mask) = native_dropout(dropout, &input.tensor);
    (TchTensor::new(output), vec![TchTensor::new(mask)])
}

pub(super) fn backward(dropout: &Dropout, saved: &[TchTensor], grad: &TchTensor) -> TchTensor {
    match saved {
        [mask] => {
            let grad = native_dropout_backward(dropout, &grad.tensor, &mask.tensor);
            TchTensor::new(grad)
        }
        _ => with_own_mask(dropout, grad),
    }
}

fn with_own_mask(dropout: &Dropout, input: &TchTensor) -> TchTensor {
    let (output, _) = Function::forward::<LibTorch>(dropout, [&to_f32(input)], false);
    cast(&output, input.tensor.kind())
}
