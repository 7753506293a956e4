//! Dropout of a matrix.

#[cfg(kernels)]
mod function;
#[cfg(kernels)]
mod kernel;
#[cfg(feature = "tch")]
mod libtorch;

use burn::tensor::{Tensor, TensorData};

use crate::philox::Dropout;

/// Applies dropout to a matrix, `[rows, columns]`.
pub fn dropout(input: Tensor<2>, dropout: &Dropout) -> Tensor<2> {
    #[cfg(kernels)]
    if crate::backend::is_supported(&input) {
        return crate::backend::apply1(input, *dropout);
    }
    reference(input, dropout)
}

/// [`dropout`] from Burn primitives.
pub fn reference(input: Tensor<2>, dropout: &Dropout) -> Tensor<2> {
    let [rows, columns] = input.dims();
    let factors = TensorData::new(dropout.matrix(rows, columns), [rows, columns]);
    let factors = Tensor::<2>::from_data(factors, &input.device());
    let dtype = input.dtype();
    input * factors.cast(dtype)
}
