//! The sum of squares, from which the global norm of gradients is computed.

#[cfg(kernels)]
mod function;
#[cfg(kernels)]
mod kernel;
#[cfg(feature = "tch")]
mod libtorch;

use burn::tensor::Tensor;

/// The sum of the squares of all elements, `[1]`, on the tensor's device.
pub fn sum_of_squares<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    #[cfg(kernels)]
    if crate::backend::is_supported(&tensor) {
        return crate::backend::apply1(tensor, kernel::SumOfSquares);
    }
    reference(tensor)
}

/// [`sum_of_squares`] from Burn primitives.
pub fn reference<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    tensor.square().sum()
}
