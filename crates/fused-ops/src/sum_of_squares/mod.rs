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

/// The sum of the squares of all elements of all tensors, `[1]`; on a GPU in one operation. `None` without tensors. All are
/// on one device without autodiff.
pub fn total_sum_of_squares(tensors: Vec<Tensor<1>>) -> Option<Tensor<1>> {
    #[cfg(feature = "tch")]
    if let Some(first) = tensors.first()
        && crate::backend::has_operations_of_gpu(&first.device())
    {
        return Some(libtorch::total(tensors));
    }
    let squares = tensors.into_iter().map(sum_of_squares);
    squares.reduce(|sum, squares| sum + squares)
}

/// [`sum_of_squares`] from Burn primitives.
pub fn reference<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    tensor.square().sum()
}
