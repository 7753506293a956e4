//! The sum of squares on libtorch's tensors: the kernel of this crate on the CPU, libtorch's operations on a GPU.

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use tch::Kind;

use super::kernel::SumOfSquares;
use crate::backend::Function;
use crate::backend::libtorch::on_cpu;

pub(super) fn forward(args: &SumOfSquares, tensor: &TchTensor) -> TchTensor {
    if on_cpu(tensor) {
        return Function::forward::<LibTorch>(args, [tensor], false).0;
    }
    TchTensor::new(tensor.tensor.square().sum(Kind::Float).reshape([1]))
}

pub(super) fn backward(tensor: &TchTensor, grad: &TchTensor) -> TchTensor {
    let tensor = &tensor.tensor;
    TchTensor::new(tensor * grad.tensor.to_kind(tensor.kind()) * 2.0)
}
