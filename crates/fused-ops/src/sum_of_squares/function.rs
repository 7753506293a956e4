use burn::backend::TensorMetadata;
#[cfg(feature = "tch")]
use burn::backend::libtorch::TchTensor;
use burn::backend::tensor::FloatTensor;

use super::kernel;
use crate::backend::{Function, HostMemory, fill};

#[derive(Clone, Debug)]
pub(super) struct SumOfSquares;

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
        fill::<B, 1>([&shape.as_slice()], |[grad_tensor]| {
            let grad = B::values(&grad)[0];
            kernel::backward(&B::values(&saved[0]), grad, grad_tensor);
        })
    }

    #[cfg(feature = "tch")]
    fn forward_libtorch(
        &self,
        [tensor]: [&TchTensor; 1],
        save: bool,
    ) -> (TchTensor, Vec<TchTensor>) {
        if crate::backend::libtorch::on_cpu(tensor) {
            return self.forward::<burn::backend::LibTorch>([tensor], save);
        }
        let sum = tensor.tensor.square().sum(tch::Kind::Float).reshape([1]);
        (TchTensor::new(sum), vec![tensor.clone()])
    }

    #[cfg(feature = "tch")]
    fn backward_libtorch(&self, saved: &[TchTensor], grad: TchTensor) -> [TchTensor; 1] {
        let tensor = &saved[0].tensor;
        let grad = grad.tensor.to_kind(tensor.kind());
        [TchTensor::new(tensor * grad * 2.0)]
    }
}
