#[cfg(feature = "tch")]
use burn::backend::libtorch::TchTensor;
use burn::backend::tensor::FloatTensor;

use super::constants::AdamW;
use super::kernel;
use crate::backend::{HostMemory, Update};

/// Of parameter, first and second moment.
impl Update for AdamW {
    fn update<B: HostMemory>(
        &self,
        mut tensors: [FloatTensor<B>; 3],
        grad: FloatTensor<B>,
    ) -> [FloatTensor<B>; 3] {
        let values = tensors.each_mut().map(B::values_mut);
        kernel::step(values, &B::values(&grad), self);
        tensors
    }

    #[cfg(feature = "tch")]
    fn update_libtorch(&self, tensors: [TchTensor; 3], grad: TchTensor) -> [TchTensor; 3] {
        super::libtorch::step(self, tensors, grad)
    }
}
