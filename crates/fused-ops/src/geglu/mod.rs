//! The gated linear unit of a feed-forward layer.

#[cfg(kernels)]
mod function;
#[cfg(kernels)]
mod kernel;
#[cfg(feature = "tch")]
mod libtorch;

use burn::tensor::Tensor;

/// GEGLU (Shazeer 2020): `gelu(a) · b`, where `input` is `a` and `b` side by side, `[tokens, 2 * intermediate_size]`. The
/// result is `[tokens, intermediate_size]`. GELU is the exact one.
///
/// # Panics
/// If the number of columns is odd.
pub fn geglu(input: Tensor<2>) -> Tensor<2> {
    let [_, columns] = input.dims();
    assert!(columns.is_multiple_of(2), "two halves of {columns} columns");
    #[cfg(kernels)]
    if crate::backend::is_supported(&input) {
        return crate::backend::apply1(input, kernel::Geglu);
    }
    reference(input)
}

/// [`geglu`] from Burn primitives.
pub fn reference(input: Tensor<2>) -> Tensor<2> {
    let [_, columns] = input.dims();
    let half = |index: usize| input.clone().narrow(1, index * columns / 2, columns / 2);
    crate::linear::gelu(half(0)) * half(1)
}
