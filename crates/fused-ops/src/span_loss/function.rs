#[cfg(feature = "tch")]
use burn::backend::libtorch::TchTensor;
use burn::backend::tensor::FloatTensor;

use super::kernel::{self, SpanLoss};
use crate::backend::{Function, HostMemory, fill};

/// Of logits, `[tokens, 2]`, to the summed loss, `[1]`. Saves the logits.
impl Function<1> for SpanLoss {
    fn forward<B: HostMemory>(
        &self,
        [logits]: [&FloatTensor<B>; 1],
        _save: bool,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
        let [loss] = fill::<B, 1>([&[1]], |[loss]| {
            loss[0] = kernel::forward(&B::values(logits), self);
        });
        (loss, vec![logits.clone()])
    }

    fn backward<B: HostMemory>(
        &self,
        saved: &[FloatTensor<B>],
        grad: FloatTensor<B>,
    ) -> [FloatTensor<B>; 1] {
        let logits = &saved[0];
        fill::<B, 1>([&B::dims(logits)], |[grad_logits]| {
            let grad = B::values(&grad)[0];
            kernel::backward(&B::values(logits), grad, self, grad_logits);
        })
    }

    #[cfg(feature = "tch")]
    fn forward_libtorch(
        &self,
        [logits]: [&TchTensor; 1],
        _save: bool,
    ) -> (TchTensor, Vec<TchTensor>) {
        super::libtorch::forward(self, logits)
    }

    #[cfg(feature = "tch")]
    fn backward_libtorch(&self, saved: &[TchTensor], grad: TchTensor) -> [TchTensor; 1] {
        [super::libtorch::backward(self, saved, &grad)]
    }
}
