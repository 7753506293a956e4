#[cfg(feature = "tch")]
use burn::backend::libtorch::TchTensor;
use burn::backend::tensor::FloatTensor;

use super::kernel::{self, Inputs, LayerNorm, Outputs, SavedNorm};
use crate::backend::{Function, HostMemory, fill};

/// Of input, residual, gamma and beta. Saves gamma, the normalized rows and their inverse standard deviations.
impl Function<4> for LayerNorm {
    fn forward<B: HostMemory>(
        &self,
        inputs: [&FloatTensor<B>; 4],
        save: bool,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
        let shape = B::dims(inputs[0]);
        let gamma_tensor = inputs[2];
        let [input, residual, gamma, beta] = inputs.map(B::values);
        let inputs = Inputs {
            input: &input,
            residual: &residual,
            gamma: &gamma,
            beta: &beta,
        };
        if !save {
            let [output] = fill::<B, 1>([&shape], |[output]| {
                kernel::forward_without_saving(&inputs, output, self);
            });
            return (output, Vec::new());
        }
        let shapes: [&[usize]; 3] = [&shape, &shape, &shape[..1]];
        let [output, normalized, inverse_std] =
            fill::<B, 3>(shapes, |[output, normalized, inverse_std]| {
                let outputs = Outputs {
                    output,
                    normalized,
                    inverse_std,
                };
                kernel::forward(&inputs, outputs, self);
            });
        (output, vec![gamma_tensor.clone(), normalized, inverse_std])
    }

    fn backward<B: HostMemory>(
        &self,
        saved: &[FloatTensor<B>],
        grad: FloatTensor<B>,
    ) -> [FloatTensor<B>; 4] {
        let [gamma, normalized, inverse_std] = saved else {
            unreachable!("`forward` saves three tensors");
        };
        let shape = B::dims(normalized);
        let saved = SavedNorm {
            gamma: &B::values(gamma),
            normalized: &B::values(normalized),
            inverse_std: &B::values(inverse_std),
        };
        let columns = &shape[1..];
        fill::<B, 4>([&shape, &shape, columns, columns], |gradients| {
            kernel::backward(&saved, &B::values(&grad), self, gradients);
        })
    }

    #[cfg(feature = "tch")]
    fn forward_libtorch(
        &self,
        inputs: [&TchTensor; 4],
        _save: bool,
    ) -> (TchTensor, Vec<TchTensor>) {
        super::libtorch::forward(self, inputs)
    }

    #[cfg(feature = "tch")]
    fn backward_libtorch(&self, saved: &[TchTensor], grad: TchTensor) -> [TchTensor; 4] {
        super::libtorch::backward(self, saved, &grad)
    }
}
