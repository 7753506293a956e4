//! The span loss on libtorch's tensors: the kernel of this crate on the CPU, in `f32`; libtorch's operations on a GPU, so that
//! the host does not wait for the logits.

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use tch::{Kind, Tensor};

use super::kernel::SpanLoss;
use super::targets;
use crate::backend::Function;
use crate::backend::libtorch::{bool_primitive, cast, int_primitive, on_cpu, to_f32};
use crate::upload::upload_ints;

pub(super) fn forward(args: &SpanLoss, logits: &TchTensor) -> (TchTensor, Vec<TchTensor>) {
    if !on_cpu(logits) {
        return forward_on_gpu(args, logits);
    }
    let (loss, _) = Function::forward::<LibTorch>(args, [&to_f32(logits)], false);
    (loss, vec![logits.clone()])
}

pub(super) fn backward(args: &SpanLoss, saved: &[TchTensor], grad: &TchTensor) -> TchTensor {
    let logits = match saved {
        [logits] => logits,
        saved => return backward_on_gpu(args, saved, grad),
    };
    let [grad_logits] = Function::backward::<LibTorch>(args, &[to_f32(logits)], to_f32(grad));
    cast(&grad_logits, logits.tensor.kind())
}

/// Saves the log-probabilities, `[features, max_seqlen, 2]`, and the targets, `[features, 1, 2]`.
fn forward_on_gpu(args: &SpanLoss, logits: &TchTensor) -> (TchTensor, Vec<TchTensor>) {
    let (features, max) = (
        args.cu_seqlens.len() as i64,
        args.cu_seqlens.max_seqlen() as i64,
    );
    let targets = targets(&args.start_positions, &args.end_positions);
    let [targets] = upload_ints([targets], &args.device);
    let targets = int_primitive(&targets).tensor.view([features, 1, 2]);
    let indices = int_primitive(&args.cu_seqlens.padded_indices(&args.device));
    let padding = bool_primitive(&args.cu_seqlens.padding_mask(&args.device));
    let mut padded = logits
        .tensor
        .to_kind(Kind::Float)
        .index_select(0, &indices.tensor);
    padded = padded.view([features, max, 2]);
    let padded = padded.masked_fill_(&padding.tensor.unsqueeze(2), f64::from(f32::MIN));
    let log_probabilities = padded.log_softmax(1, Kind::Float);
    let loss = log_probabilities
        .gather(1, &targets, false)
        .sum(Kind::Float)
        * -0.5;
    let saved = [log_probabilities, targets].map(TchTensor::new);
    (TchTensor::new(loss.reshape([1])), saved.into())
}

fn backward_on_gpu(args: &SpanLoss, saved: &[TchTensor], grad: &TchTensor) -> TchTensor {
    let [log_probabilities, targets] = saved else {
        unreachable!("`forward_on_gpu` saves two tensors");
    };
    let targets = &targets.tensor;
    let mut gradient = log_probabilities.tensor.exp();
    let ones = Tensor::ones(targets.size(), (Kind::Float, targets.device()));
    let mut gradient = gradient.scatter_add_(1, targets, &-ones);
    let gradient = gradient.g_mul_(&(&grad.tensor * 0.5));
    let indices = int_primitive(&args.cu_seqlens.packed_indices(&args.device));
    TchTensor::new(gradient.view([-1, 2]).index_select(0, &indices.tensor))
}

/// libtorch's operations for a GPU, on CPU tensors.
#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::CuSeqlens;
    use crate::backend::libtorch::testing::{TOLERANCE, assert_close, distance, numbers};

    #[test]
    fn libtorch_equals_the_kernel() {
        let args = |starts: [usize; 3]| SpanLoss {
            cu_seqlens: CuSeqlens::new(&[3, 1, 4]),
            start_positions: starts.into(),
            end_positions: [2, 0, 3].into(),
            device: Device::libtorch(),
        };
        let logits = TchTensor::new(numbers(1.0, &[8, 2]).tensor * 5.0);
        let grad = numbers(2.0, &[1]);
        let run = |args: &SpanLoss| {
            let (loss, saved) = forward_on_gpu(args, &logits);
            [loss, backward_on_gpu(args, &saved, &grad)]
        };
        let args_of_test = args([1, 0, 2]);
        let (loss, saved) = forward(&args_of_test, &logits);
        let expected = [loss, backward(&args_of_test, &saved, &grad)];
        let ours = run(&args_of_test);
        assert_close(&ours, &expected, TOLERANCE);
        for (ours, other) in ours.iter().zip(run(&args([0, 0, 2]))) {
            assert!(distance(&ours.tensor, &other.tensor) > 1e-2);
        }
    }
}
