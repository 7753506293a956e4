#[cfg(feature = "tch")]
use burn::backend::libtorch::TchTensor;
use burn::backend::tensor::FloatTensor;

use super::kernel::{self, Geglu};
use crate::backend::{Function, HostMemory, fill};

/// Of a matrix, which is saved.
impl Function<1> for Geglu {
    fn forward<B: HostMemory>(
        &self,
        [input]: [&FloatTensor<B>; 1],
        _save: bool,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
        let [rows, columns] = B::dims(input);
        let width = columns / 2;
        let [output] = fill::<B, 1>([&[rows, width]], |[output]| {
            kernel::forward(&B::values(input), width, output);
        });
        (output, vec![input.clone()])
    }

    fn backward<B: HostMemory>(
        &self,
        saved: &[FloatTensor<B>],
        grad: FloatTensor<B>,
    ) -> [FloatTensor<B>; 1] {
        let input = &saved[0];
        let shape = B::dims(input);
        fill::<B, 1>([&shape], |[grad_input]| {
            kernel::backward(
                &B::values(input),
                shape[1] / 2,
                &B::values(&grad),
                grad_input,
            );
        })
    }

    #[cfg(feature = "tch")]
    fn forward_libtorch(
        &self,
        [input]: [&TchTensor; 1],
        _save: bool,
    ) -> (TchTensor, Vec<TchTensor>) {
        (super::libtorch::forward(self, input), vec![input.clone()])
    }

    #[cfg(feature = "tch")]
    fn backward_libtorch(&self, saved: &[TchTensor], grad: TchTensor) -> [TchTensor; 1] {
        [super::libtorch::backward(self, &saved[0], &grad)]
    }
}
