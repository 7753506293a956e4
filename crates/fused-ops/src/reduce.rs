use burn::tensor::Tensor;

/// The sum of the squares of all elements, `[1]`, on the tensor's device.
pub fn sum_of_squares<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    #[cfg(any(feature = "ndarray", feature = "tch"))]
    if crate::extension::takes(&tensor) && !tensor.is_autodiff() {
        return crate::extension::sum_of_squares(tensor);
    }
    reference(tensor)
}

/// [`sum_of_squares`] from Burn primitives.
pub fn reference<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    tensor.square().sum()
}
