//! Matrices side by side.

#[cfg(kernels)]
mod function;
#[cfg(feature = "tch")]
mod libtorch;

use burn::tensor::{DType, Tensor};

/// Three matrices of one shape side by side: `[rows, columns]` each to `[rows, 3 * columns]`.
///
/// For the weights of a layer's three projections, which training puts together in every step: Burn's `cat` and the
/// gradient of it copy element by element on one thread.
///
/// # Panics
/// If the shapes differ.
pub fn concat_columns(parts: [Tensor<2>; 3]) -> Tensor<2> {
    let shapes = parts.each_ref().map(|part| part.dims());
    assert!(
        shapes.iter().all(|shape| *shape == shapes[0]),
        "the shapes {shapes:?}"
    );
    let dtype = parts[0].dtype();
    concat_weights(parts, dtype)
}

/// [`concat_columns`] from Burn primitives.
pub fn reference(parts: [Tensor<2>; 3]) -> Tensor<2> {
    Tensor::cat(parts.into(), 1)
}

/// [`concat_columns`], on libtorch with a result in `dtype` that a [`WeightCache`](crate::WeightCache) keeps.
pub(crate) fn concat_weights(weights: [Tensor<2>; 3], dtype: DType) -> Tensor<2> {
    #[cfg(kernels)]
    if crate::backend::is_supported(&weights[0]) {
        let [first, second, third] = weights;
        return crate::backend::apply3(first, second, third, function::Concat { dtype });
    }
    let _ = dtype;
    reference(weights)
}
