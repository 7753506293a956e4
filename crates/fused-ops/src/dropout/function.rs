#[cfg(feature = "tch")]
use burn::backend::libtorch::TchTensor;
use burn::backend::tensor::FloatTensor;

use super::kernel;
use crate::backend::{Function, HostMemory, fill};
use crate::philox::Dropout;

/// Of a matrix. Saves nothing: the backward pass is dropout of the gradient with the same mask.
impl Function<1> for Dropout {
    fn forward<B: HostMemory>(
        &self,
        [input]: [&FloatTensor<B>; 1],
        _save: bool,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
        let shape = B::dims(input);
        let [output] = fill::<B, 1>([&shape], |[output]| {
            kernel::dropout(&B::values(input), shape[1], self, output);
        });
        (output, Vec::new())
    }

    fn backward<B: HostMemory>(
        &self,
        _saved: &[FloatTensor<B>],
        grad: FloatTensor<B>,
    ) -> [FloatTensor<B>; 1] {
        [Function::forward::<B>(self, [&grad], false).0]
    }

    #[cfg(feature = "tch")]
    fn forward_libtorch(
        &self,
        [input]: [&TchTensor; 1],
        _save: bool,
    ) -> (TchTensor, Vec<TchTensor>) {
        super::libtorch::forward(self, input)
    }

    #[cfg(feature = "tch")]
    fn backward_libtorch(&self, saved: &[TchTensor], grad: TchTensor) -> [TchTensor; 1] {
        [super::libtorch::backward(self, saved, &grad)]
    }
}
