use std::borrow::Cow;

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;

/// A backend whose `f32` tensors in host memory can be read and written as slices.
pub(crate) trait HostMemory: Backend {
    /// The elements in row-major order; copies them only if the tensor is a strided view.
    fn values(tensor: &FloatTensor<Self>) -> Cow<'_, [f32]>;

    /// The elements in row-major order, to be changed: in place if nothing else holds the tensor's memory, else of a copy.
    fn values_mut(tensor: &mut FloatTensor<Self>) -> &mut [f32];

    /// A tensor of unspecified numbers.
    fn uninit(shape: &[usize]) -> FloatTensor<Self>;

    /// `[rows, columns]` of a matrix.
    fn dims(tensor: &FloatTensor<Self>) -> [usize; 2];
}

/// New tensors of these shapes, of which `write` writes every element.
pub(crate) fn fill<B: HostMemory, const N: usize>(
    shapes: [&[usize]; N],
    write: impl FnOnce([&mut [f32]; N]),
) -> [FloatTensor<B>; N] {
    let mut tensors = shapes.map(B::uninit);
    write(tensors.each_mut().map(B::values_mut));
    tensors
}
