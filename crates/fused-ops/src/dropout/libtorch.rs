use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;

use crate::backend::Function;
use crate::backend::libtorch::{cast, dropout_factors, on_cpu, to_f32};
use crate::philox::Dropout;

/// Dropout with this crate's masks on the CPU, with libtorch's on a GPU.
pub(super) fn dropout(dropout: &Dropout, input: &TchTensor) -> TchTensor {
    if on_cpu(input) {
        let (output, _) = Function::forward::<LibTorch>(dropout, [&to_f32(input)], false);
        return cast(&output, input.tensor.kind());
    }
    TchTensor::new(&input.tensor * dropout_factors(dropout, &input.tensor))
}
