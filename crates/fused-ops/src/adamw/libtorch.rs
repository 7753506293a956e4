//! AdamW on libtorch's tensors: the kernel of this crate on the CPU, libtorch's fused one on a GPU.

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use tch::{Kind, Tensor};
use torch_shim::{AdamWTensors, FusedAdamW};

use super::constants::{AdamW, GradientScale};
use crate::backend::Update;
use crate::backend::libtorch::{float_primitive, float_tensor, into_owned, on_cpu};

pub(super) fn step(adamw: &AdamW, tensors: [TchTensor; 3], grad: TchTensor) -> [TchTensor; 3] {
    if on_cpu(&grad) {
        adamw.update::<LibTorch>(tensors, grad)
    } else {
        step_on_gpu(adamw, tensors, grad)
    }
}

fn step_on_gpu(
    adamw: &AdamW,
    [parameter, exp_avg, exp_avg_sq]: [TchTensor; 3],
    grad: TchTensor,
) -> [TchTensor; 3] {
    let tensors = AdamWTensors {
        parameter: into_owned(parameter),
        gradient: into_owned(grad),
        exp_avg: into_owned(exp_avg),
        exp_avg_sq: into_owned(exp_avg_sq),
    };
    let mut group = [tensors];
    fused_step(&mut group, adamw, None);
    let [
        AdamWTensors {
            parameter,
            exp_avg,
            exp_avg_sq,
            ..
        },
    ] = group;
    [parameter, exp_avg, exp_avg_sq].map(TchTensor::new)
}

/// A step of all parameters of a group, in one operation.
pub(super) fn step_group(
    group: Vec<super::AdamWTensors>,
    adamw: &AdamW,
    scale: Option<&GradientScale>,
) -> Vec<(
    burn::tensor::Tensor<1>,
    (burn::tensor::Tensor<1>, burn::tensor::Tensor<1>),
)> {
    let owned = |tensor| into_owned(float_primitive(tensor));
    let tensors = group.into_iter().map(|tensors| AdamWTensors {
        parameter: owned(tensors.parameter),
        gradient: owned(tensors.grad),
        exp_avg: owned(tensors.exp_avg),
        exp_avg_sq: owned(tensors.exp_avg_sq),
    });
    let mut tensors: Vec<_> = tensors.collect();
    fused_step(&mut tensors, adamw, scale);
    let results = tensors.into_iter().map(|tensors| {
        let moments = (
            float_tensor(tensors.exp_avg),
            float_tensor(tensors.exp_avg_sq),
        );
        (float_tensor(tensors.parameter), moments)
    });
    results.collect()
}

/// Works in place, and writes the scaled gradients back.
fn fused_step(group: &mut [AdamWTensors], adamw: &AdamW, scale: Option<&GradientScale>) {
    let on_device = (Kind::Float, group[0].parameter.device());
    let scalar = |value: f64| Tensor::full([0i64; 0], value, on_device);
    let [divisor, found_inf] = match scale {
        Some(scale) => [&scale.divisor, &scale.found_inf]
            .map(|number| float_primitive(number.clone()).tensor.reshape([0i64; 0])),
        None => [1.0 / adamw.gradient_scale, 0.0].map(scalar),
    };
    let constants = FusedAdamW {
        learning_rate: adamw.learning_rate,
        beta1: adamw.beta1,
        beta2: adamw.beta2,
        weight_decay: adamw.weight_decay,
        eps: adamw.eps,
    };
    let step = scalar(f64::from(adamw.step));
    torch_shim::fused_adamw(group, &step, [&divisor, &found_inf], &constants)
        .expect("the tensors of each parameter have one shape, and all have one device");
}

/// libtorch's operation for a GPU, on CPU tensors.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::libtorch::testing::{assert_close, distance, numbers};

    const CONSTANTS: AdamW = AdamW {
        learning_rate: 1e-2,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.01,
        step: 3,
        gradient_scale: 0.5,
    };

    #[test]
    fn libtorch_equals_the_kernel_and_leaves_shared_tensors_unchanged() {
        let tensors = || {
            let [parameter, exp_avg, root] = [1.0, 2.0, 3.0].map(|seed| numbers(seed, &[40_001]));
            [parameter, exp_avg, TchTensor::new(root.tensor.square())]
        };
        let grad = numbers(4.0, &[40_001]);
        let shared = tensors();
        let ours = step_on_gpu(&CONSTANTS, shared.clone(), grad.clone());
        assert_close(&shared, &tensors(), 1e-30);
        let original = numbers(4.0, &[40_001]);
        assert_close(std::slice::from_ref(&grad), &[original], 1e-30);
        let expected = CONSTANTS.update::<LibTorch>(tensors(), grad.clone());
        // Updates are large where the second moment is small.
        assert_close(&ours, &expected, 1e-5);
        let unscaled = AdamW {
            gradient_scale: 1.0,
            ..CONSTANTS
        };
        let other = step_on_gpu(&unscaled, tensors(), grad.clone());
        assert!(distance(&other[1].tensor, &ours[1].tensor) > 1e-2);
    }

    /// Two parameters at once, with the scale on the device; where it says so, nothing changes.
    #[test]
    fn a_group_equals_its_parameters_one_by_one() {
        let of = |seed: f64, len: i64| {
            [seed, seed + 0.3, seed + 0.6, seed + 0.9].map(|seed| numbers(seed, &[len]))
        };
        let state = |seed, len| {
            let [parameter, grad, exp_avg, root] = of(seed, len).map(|t| float_tensor(t.tensor));
            crate::AdamWTensors {
                parameter,
                grad,
                exp_avg,
                exp_avg_sq: root.square(),
            }
        };
        let group = || vec![state(1.0, 40), state(2.0, 7)];
        let number = |value: f32| float_tensor(Tensor::from_slice(&[value]));
        let scale = |found_inf| GradientScale {
            divisor: number(2.0),
            found_inf: number(found_inf),
        };
        let ours = step_group(group(), &CONSTANTS, Some(&scale(0.0)));
        let expected = group()
            .into_iter()
            .map(|s| crate::adamw_step(s.parameter, s.grad, (s.exp_avg, s.exp_avg_sq), &CONSTANTS));
        for ((ours, moments), (expected, expected_moments)) in ours.iter().zip(expected) {
            let pairs = [
                (ours, &expected),
                (&moments.0, &expected_moments.0),
                (&moments.1, &expected_moments.1),
            ];
            for (ours, expected) in pairs {
                let [ours, expected] = [ours, expected].map(|t| float_primitive(t.clone()));
                assert_close(&[ours], &[expected], 1e-5);
            }
        }
        let unchanged = step_group(group(), &CONSTANTS, Some(&scale(1.0)));
        for ((parameter, _), before) in unchanged.into_iter().zip(group()) {
            assert_eq!(
                float_primitive(parameter).tensor,
                float_primitive(before.parameter).tensor
            );
        }
    }
}
