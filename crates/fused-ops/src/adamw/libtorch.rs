//! AdamW on libtorch's tensors: the kernel of this crate on the CPU, libtorch's fused one on a GPU.

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use tch::{Kind, Tensor};
use torch_shim::FusedAdamW;

use super::constants::AdamW;
use crate::backend::Update;
use crate::backend::libtorch::on_cpu;

pub(super) fn step(adamw: &AdamW, tensors: [TchTensor; 3], grad: TchTensor) -> [TchTensor; 3] {
    if on_cpu(&grad) {
        adamw.update::<LibTorch>(tensors, grad)
    } else {
        step_on_gpu(adamw, tensors, &grad)
    }
}

fn step_on_gpu(adamw: &AdamW, tensors: [TchTensor; 3], grad: &TchTensor) -> [TchTensor; 3] {
    // The step works in place: copies what something else holds.
    let mut tensors = tensors.map(|tensor| {
        if tensor.can_mut() {
            tensor.tensor
        } else {
            tensor.tensor.copy()
        }
    });
    // The step writes the scaled gradient back.
    let mut grad = grad.tensor.copy();
    let on_device = (Kind::Float, grad.device());
    let mut step = Tensor::full([0i64; 0], f64::from(adamw.step), on_device);
    let divisor = Tensor::full([0i64; 0], 1.0 / adamw.gradient_scale, on_device);
    let constants = FusedAdamW {
        learning_rate: adamw.learning_rate,
        beta1: adamw.beta1,
        beta2: adamw.beta2,
        weight_decay: adamw.weight_decay,
        eps: adamw.eps,
    };
    let [parameter, exp_avg, exp_avg_sq] = &mut tensors;
    torch_shim::fused_adamw(
        parameter,
        &mut grad,
        [exp_avg, exp_avg_sq],
        &mut step,
        &divisor,
        &constants,
    )
    .expect("all four tensors have one shape and device");
    tensors.map(TchTensor::new)
}

/// libtorch's operation for a GPU, on CPU tensors.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::libtorch::testing::{assert_close, distance, numbers};

    #[test]
    fn libtorch_equals_the_kernel_and_leaves_shared_tensors_unchanged() {
        let tensors = || {
            let [parameter, exp_avg, root] = [1.0, 2.0, 3.0].map(|seed| numbers(seed, &[40_001]));
            [parameter, exp_avg, TchTensor::new(root.tensor.square())]
        };
        let constants = AdamW {
            learning_rate: 1e-2,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
            step: 3,
            gradient_scale: 0.5,
        };
        let grad = numbers(4.0, &[40_001]);
        let shared = tensors();
        let ours = step_on_gpu(&constants, shared.clone(), &grad);
        assert_close(&shared, &tensors(), 1e-30);
        let original = numbers(4.0, &[40_001]);
        assert_close(std::slice::from_ref(&grad), &[original], 1e-30);
        let expected = constants.update::<LibTorch>(tensors(), grad.clone());
        // Updates are large where the second moment is small.
        assert_close(&ours, &expected, 1e-5);
        let unscaled = AdamW {
            gradient_scale: 1.0,
            ..constants
        };
        let other = step_on_gpu(&unscaled, tensors(), &grad);
        assert!(distance(&other[1].tensor, &ours[1].tensor) > 1e-2);
    }
}
