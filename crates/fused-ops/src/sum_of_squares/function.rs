use burn::backend::TensorMetadata;
#[cfg(feature = "tch")]
use burn::backend::libtorch::TchTensor;
use burn::backend::tensor::FloatTensor;

use super::kernel::{self, SumOfSquares};
use crate::backend::{Function, HostMemory, fill};

/// Of any tensor. Saves it.
impl Function<1> for SumOfSquares {
    fn forward<B: HostMemory>(
        &self,
        [tensor]: [&FloatTensor<B>; 1],
        _save: bool,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
        let [sum] = fill::<B, 1>([&[1]], |[sum]| {
            sum[0] = kernel::sum_of_squares(&B::values(tensor));
        });
        (sum, vec![tensor.clone()])
    }

    fn backward<B: HostMemory>(
        &self,
        saved: &[FloatTensor<B>],
        grad: FloatTensor<B>,
    ) -> [FloatTensor<B>; 1] {
        let shape = saved[0].shape();
        fill::<B, 1>([shape.as_slice()], |[grad_tensor]| {
            let grad = B::values(&grad)[0];
            kernel::backward(&B::values(&saved[0]), grad, grad_tensor);
        })
    }

    #[cfg(feature = "tch")]
    fn forward_libtorch(
        &self,
        [tensor]: [&TchTensor; 1],
        _save: bool,
    ) -> (TchTensor, Vec<TchTensor>) {
        (super::libtorch::forward(self, tensor), vec![tensor.clone()])
    }

    #[cfg(feature = "tch")]
    fn backward_libtorch(&self, saved: &[TchTensor], grad: TchTensor) -> [TchTensor; 1] {
        [super::libtorch::backward(&saved[0], &grad)]
    }
}
