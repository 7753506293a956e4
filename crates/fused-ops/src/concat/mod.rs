//! Matrices side by side.

#[cfg(kernels)]
mod function;
#[cfg(feature = "tch")]
mod libtorch;

use burn::tensor::{DType, Tensor};

/// Three matrices of one shape, `[rows, columns]`, side by side: `[rows, 3 * columns]`, on libtorch in another type. With a
/// [`WeightCache`](crate::WeightCache) it is put together once.
pub(crate) fn concat_weights(weights: [Tensor<2>; 3], dtype: DType) -> Tensor<2> {
    #[cfg(kernels)]
    if crate::backend::is_supported(&weights[0]) {
        let [first, second, third] = weights;
        return crate::backend::apply3(first, second, third, function::Concat { dtype });
    }
    let _ = dtype;
    Tensor::cat(weights.into(), 1)
}
