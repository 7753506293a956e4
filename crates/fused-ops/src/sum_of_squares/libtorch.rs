//! The sum of squares on libtorch's tensors: the kernel of this crate on the CPU, libtorch's operations on a GPU.

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use tch::Kind;

use super::kernel::SumOfSquares;
use crate::backend::Function;
use crate::backend::libtorch::{float_primitive, float_tensor, on_cpu};

pub(super) fn forward(args: &SumOfSquares, tensor: &TchTensor) -> TchTensor {
    if on_cpu(tensor) {
        return Function::forward::<LibTorch>(args, [tensor], false).0;
    }
    TchTensor::new(tensor.tensor.square().sum(Kind::Float).reshape([1]))
}

pub(super) fn total(tensors: Vec<burn::tensor::Tensor<1>>) -> burn::tensor::Tensor<1> {
    let tensors: Vec<_> = tensors.into_iter().map(float_primitive).collect();
    let tensors: Vec<_> = tensors.iter().map(|tensor| &tensor.tensor).collect();
    let norms = torch_shim::foreach_norm(&tensors).expect("all tensors have one device");
    float_tensor(norms.square().sum(Kind::Float).reshape([1]))
}

pub(super) fn backward(tensor: &TchTensor, grad: &TchTensor) -> TchTensor {
    let tensor = &tensor.tensor;
    TchTensor::new(tensor * grad.tensor.to_kind(tensor.kind()) * 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::libtorch::testing::numbers;

    #[test]
    fn libtorch_equals_the_kernel() {
        let tensors = || [(1.0, 40_001), (2.0, 7)].map(|(seed, len)| numbers(seed, &[len]).tensor);
        let read = |sum: burn::tensor::Tensor<1>| f64::from(sum.into_scalar::<f32>());
        let ours = read(total(tensors().map(float_tensor).into()));
        let expected =
            tensors().map(|tensor| read(crate::sum_of_squares(float_tensor::<1>(tensor))));
        let expected: f64 = expected.iter().sum();
        assert!(
            (ours - expected).abs() < 1e-5 * expected,
            "{ours} {expected}"
        );
        let [first, _] = tensors();
        assert!((read(total(vec![float_tensor(first)])) - expected).abs() > 1.0);
    }
}
