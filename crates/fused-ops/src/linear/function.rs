#[cfg(feature = "tch")]
use burn::backend::libtorch::TchTensor;
use burn::backend::tensor::FloatTensor;

use super::activation::Activation;
use super::activation_kernel::activation_backward_parallel;
use super::kernel::{self, Linear, Weight};
use crate::backend::{Function, HostMemory, fill};
use crate::kernels::reduce::column_sums;

/// Of input, weight and bias. Saves input, weight and, with an activation, the pre-activation.
impl Function<3> for Linear {
    fn forward<B: HostMemory>(
        &self,
        [input, weight, bias]: [&FloatTensor<B>; 3],
        save: bool,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
        let dims = B::dims(weight);
        let shape = [B::dims(input)[0], dims[1]];
        let operands = [input, weight, bias].map(B::values);
        let [inputs, _, biases] = operands.each_ref().map(|values| &values[..]);
        let mut saved = vec![input.clone(), weight.clone()];
        let packed = Weight::new(self, weight, &operands[1], dims, save);
        if save && self.activation != Activation::Identity {
            let [output, pre_activation] =
                fill::<B, 2>([&shape, &shape], |[output, pre_activation]| {
                    kernel::forward(inputs, packed, biases, self, output, Some(pre_activation));
                });
            saved.push(pre_activation);
            return (output, saved);
        }
        let [output] = fill::<B, 1>([&shape], |[output]| {
            kernel::forward(inputs, packed, biases, self, output, None);
        });
        (output, saved)
    }

    fn backward<B: HostMemory>(
        &self,
        saved: &[FloatTensor<B>],
        grad: FloatTensor<B>,
    ) -> [FloatTensor<B>; 3] {
        let [input, weight, pre_activation @ ..] = saved else {
            unreachable!("`forward` saves two tensors or three");
        };
        let (shape, [inputs, outputs]) = (B::dims(input), B::dims(weight));
        let mut grad = grad;
        if let [pre_activation] = pre_activation {
            [grad] = fill::<B, 1>([&[shape[0], outputs]], |[grad_sum]| {
                activation_backward_parallel(
                    self.activation,
                    &B::values(pre_activation),
                    &B::values(&grad),
                    grad_sum,
                );
            });
        }
        fill::<B, 3>(
            [&shape, &[inputs, outputs], &[outputs]],
            |[grad_input, grad_weight, grad_bias]| {
                let [input, weight, grad] = [input, weight, &grad].map(B::values);
                kernel::backward(
                    &input,
                    &weight,
                    &grad,
                    outputs,
                    self.precision,
                    [grad_input, grad_weight],
                );
                column_sums(&grad, grad_bias);
            },
        )
    }

    #[cfg(feature = "tch")]
    fn forward_libtorch(&self, inputs: [&TchTensor; 3], save: bool) -> (TchTensor, Vec<TchTensor>) {
        super::libtorch::forward(inputs, self.activation, save)
    }

    #[cfg(feature = "tch")]
    fn backward_libtorch(&self, saved: &[TchTensor], grad: TchTensor) -> [TchTensor; 3] {
        super::libtorch::backward(saved, self.activation, grad)
    }
}
