//! LayerNorm on libtorch's tensors: the kernel of this crate on the CPU, libtorch's on a GPU.

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use tch::Kind;

use super::kernel::LayerNorm;
use crate::backend::Function;
use crate::backend::libtorch::{
    cast, cast_weight, native_dropout, native_dropout_backward, on_cpu, to_f32,
};

pub(super) fn forward(args: &LayerNorm, inputs: [&TchTensor; 4]) -> (TchTensor, Vec<TchTensor>) {
    if !on_cpu(inputs[0]) {
        return forward_on_gpu(args, inputs);
    }
    let kind = inputs[0].tensor.kind();
    let inputs = inputs.map(to_f32);
    let (output, saved) = Function::forward::<LibTorch>(args, inputs.each_ref(), true);
    (cast(&output, kind), saved)
}

pub(super) fn backward(args: &LayerNorm, saved: &[TchTensor], grad: &TchTensor) -> [TchTensor; 4] {
    if !on_cpu(grad) {
        return backward_on_gpu(args, saved, grad);
    }
    let [grad_input, grad_residual, grad_gamma, grad_beta] =
        Function::backward::<LibTorch>(args, saved, to_f32(grad));
    let [grad_input, grad_residual] =
        [grad_input, grad_residual].map(|gradient| cast(&gradient, grad.tensor.kind()));
    [grad_input, grad_residual, grad_gamma, grad_beta]
}

/// In the type of the input, with statistics in `f32`. Saves gamma in that type, the sum that is normalized, its means, its
/// inverse standard deviations and, with dropout, the mask.
fn forward_on_gpu(args: &LayerNorm, inputs: [&TchTensor; 4]) -> (TchTensor, Vec<TchTensor>) {
    let [input, residual, gamma, beta] = inputs;
    let kind = input.tensor.kind();
    let [gamma, beta] = [gamma, beta].map(|weight| cast_weight(weight, kind));
    let (sum, mask) = match &args.dropout {
        Some(dropout) => {
            let (mut dropped, mask) = native_dropout(dropout, &input.tensor);
            (dropped.g_add_(&residual.tensor), Some(mask))
        }
        None => (&residual.tensor + &input.tensor, None),
    };
    let (output, mean, inverse_std) = sum.native_layer_norm(
        gamma.tensor.size(),
        Some(&gamma.tensor),
        Some(&beta.tensor),
        f64::from(args.eps),
    );
    let mut saved = vec![gamma];
    saved.extend([sum, mean, inverse_std].map(TchTensor::new));
    saved.extend(mask.map(TchTensor::new));
    (TchTensor::new(output), saved)
}

fn backward_on_gpu(args: &LayerNorm, saved: &[TchTensor], grad: &TchTensor) -> [TchTensor; 4] {
    let [gamma, sum, mean, inverse_std, mask @ ..] = saved else {
        unreachable!("`forward_on_gpu` saves four tensors or five");
    };
    let [grad_sum, grad_gamma, grad_beta] = torch_shim::layer_norm_backward(
        &grad.tensor,
        &sum.tensor,
        [&mean.tensor, &inverse_std.tensor],
        &gamma.tensor,
    )
    .expect("the gradient has the output's shape");
    let grad_residual = TchTensor::new(grad_sum);
    let grad_input = match (&args.dropout, mask) {
        (Some(dropout), [mask]) => {
            let grad = native_dropout_backward(dropout, &grad_residual.tensor, &mask.tensor);
            TchTensor::new(grad)
        }
        // A handle that shares the memory, not a second owner.
        _ => grad_residual.clone(),
    };
    let [grad_gamma, grad_beta] =
        [grad_gamma, grad_beta].map(|grad| TchTensor::new(grad.to_kind(Kind::Float)));
    [grad_input, grad_residual, grad_gamma, grad_beta]
}

/// libtorch's operations for a GPU, on CPU tensors.
#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::*;
    use crate::backend::libtorch::testing::{TOLERANCE, assert_close, distance, numbers};
    use crate::philox::{Dropout, DropoutKey};

    const SHAPE: [i64; 2] = [200, 96];

    fn inputs() -> [TchTensor; 4] {
        let [input, residual] = [1.0, 2.5].map(|seed| numbers(seed, &SHAPE));
        [input, residual, numbers(3.0, &[96]), numbers(4.0, &[96])]
    }

    #[test]
    fn libtorch_equals_the_kernels() {
        let (inputs, grad) = (inputs(), numbers(5.0, &SHAPE));
        let inputs = inputs.each_ref();
        let args = |eps| LayerNorm { eps, dropout: None };
        for eps in [1e-12, 1e-2] {
            let (output, saved) = forward_on_gpu(&args(eps), inputs);
            let (expected, expected_saved) = forward(&args(eps), inputs);
            assert_close(&[output], &[expected], TOLERANCE);
            let gradients = backward_on_gpu(&args(eps), &saved, &grad);
            let expected = backward(&args(eps), &expected_saved, &grad);
            assert_close(&gradients, &expected, TOLERANCE);
        }
        let (small, _) = forward_on_gpu(&args(1e-12), inputs);
        let (large, _) = forward_on_gpu(&args(1e-2), inputs);
        assert!(distance(&small.tensor, &large.tensor) > 1e-3);
    }

    /// Which elements the forward pass kept, and which the backward pass kept.
    fn masks(step: u32) -> [Tensor; 2] {
        let key = DropoutKey {
            seed: 3,
            rank: 0,
            micro_batch: 0,
            step,
            site: 1,
        };
        let args = LayerNorm {
            eps: 1e-12,
            dropout: Dropout::new(0.1, key),
        };
        let (inputs, grad) = (inputs(), numbers(5.0, &SHAPE));
        let (_, saved) = forward_on_gpu(&args, inputs.each_ref());
        let kept = (&saved[1].tensor - &inputs[1].tensor).abs().gt(1e-6);
        let [grad_input, grad_residual, ..] = backward_on_gpu(&args, &saved, &grad);
        // A kept element is scaled by 1 / 0.9.
        let scaled = &grad_residual.tensor * grad_input.tensor.ne(0.0) / 0.9;
        assert!(distance(&grad_input.tensor, &scaled) < 1e-6);
        [kept, grad_input.tensor.ne(0.0)]
    }

    #[test]
    fn libtorch_dropout_depends_on_its_key_and_is_the_same_in_the_backward_pass() {
        let [forward, backward] = masks(1);
        assert_eq!(forward, backward);
        let kept = forward.to_kind(Kind::Float).mean(Kind::Float);
        let dropped = 1.0 - kept.double_value(&[]);
        // Standard deviation of the share of 19,200 elements: 0.0022.
        assert!((dropped - 0.1).abs() < 0.01, "{dropped}");
        assert_eq!(masks(1)[0], forward);
        assert_ne!(masks(2)[0], forward);
    }

    /// Without dropout input and residual have one gradient: two handles of one memory, which nothing may change in place.
    #[test]
    fn equal_gradients_have_no_owner() {
        let args = LayerNorm {
            eps: 1e-12,
            dropout: None,
        };
        let (_, saved) = forward_on_gpu(&args, inputs().each_ref());
        let [grad_input, grad_residual, grad_gamma, _] =
            backward_on_gpu(&args, &saved, &numbers(5.0, &SHAPE));
        assert!(!grad_input.can_mut() && !grad_residual.can_mut());
        assert!(grad_gamma.can_mut());
    }

    /// Statistics are `f32`; weights have the input's type, their gradients are `f32`.
    #[test]
    fn libtorch_in_bf16_equals_f32_up_to_rounding() {
        let args = LayerNorm {
            eps: 1e-12,
            dropout: None,
        };
        let run = |kind: Kind| {
            let [input, residual, gamma, beta] = inputs();
            let [input, residual] = [input, residual].map(|tensor| cast(&tensor, kind));
            let inputs = [&input, &residual, &gamma, &beta];
            let (output, saved) = forward_on_gpu(&args, inputs);
            let grad = cast(&numbers(5.0, &SHAPE), kind);
            let gradients = backward_on_gpu(&args, &saved, &grad);
            [vec![output], gradients.into()].concat()
        };
        let half = run(Kind::BFloat16);
        let kinds = half.iter().map(|tensor| tensor.tensor.kind());
        let bf16 = Kind::BFloat16;
        assert!(kinds.eq([bf16, bf16, bf16, Kind::Float, Kind::Float]));
        // `bf16` has 8 bits; the gradients of gamma and beta sum 200 numbers near 1, which nearly cancel.
        let limits = [2e-2, 2e-2, 2e-2, 1e-1, 1e-1];
        for ((half, single), limit) in half.iter().zip(run(Kind::Float)).zip(limits) {
            let distance = distance(&half.tensor, &single.tensor);
            assert!(distance > 1e-5 && distance < limit, "{distance}");
        }
    }
}
