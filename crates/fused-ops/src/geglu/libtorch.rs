//! The gated linear unit on libtorch's tensors: the kernel of this crate on the CPU, libtorch's operations on a GPU.

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use tch::Tensor;

use super::kernel::Geglu;
use crate::backend::Function;
use crate::backend::libtorch::{cast, on_cpu, to_f32};

pub(super) fn forward(geglu: &Geglu, input: &TchTensor) -> TchTensor {
    if !on_cpu(input) {
        return forward_on_gpu(input);
    }
    let (output, _) = Function::forward::<LibTorch>(geglu, [&to_f32(input)], false);
    cast(&output, input.tensor.kind())
}

pub(super) fn backward(geglu: &Geglu, input: &TchTensor, grad: &TchTensor) -> TchTensor {
    if !on_cpu(input) {
        return backward_on_gpu(input, grad);
    }
    let [grad_input] = Function::backward::<LibTorch>(geglu, &[to_f32(input)], to_f32(grad));
    cast(&grad_input, input.tensor.kind())
}

fn halves(input: &TchTensor) -> [Tensor; 2] {
    let (_, columns) = input.tensor.size2().expect("a matrix");
    [0, 1].map(|index| input.tensor.narrow(1, index * columns / 2, columns / 2))
}

fn forward_on_gpu(input: &TchTensor) -> TchTensor {
    let [gated, gates] = halves(input);
    TchTensor::new(gated.gelu("none") * gates)
}

fn backward_on_gpu(input: &TchTensor, grad: &TchTensor) -> TchTensor {
    let [gated, gates] = halves(input);
    let grad_gated = gated.gelu_backward(&(&grad.tensor * gates), "none");
    let grad_gates = &grad.tensor * gated.gelu("none");
    TchTensor::new(Tensor::cat(&[grad_gated, grad_gates], 1))
}

/// libtorch's operations for a GPU, on CPU tensors.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::libtorch::testing::{TOLERANCE, assert_close, distance, numbers};

    #[test]
    fn libtorch_equals_the_kernels() {
        let (input, grad) = (numbers(1.0, &[150, 80]), numbers(2.0, &[150, 40]));
        let ours = [forward(&Geglu, &input), backward(&Geglu, &input, &grad)];
        let theirs = [forward_on_gpu(&input), backward_on_gpu(&input, &grad)];
        assert_close(&theirs, &ours, TOLERANCE);
        // Negative control: the other half as the gate.
        let [gated, gates] = halves(&input);
        let swapped = forward_on_gpu(&TchTensor::new(Tensor::cat(&[gates, gated], 1)));
        assert!(distance(&swapped.tensor, &ours[0].tensor) > 1e-2);
    }
}
