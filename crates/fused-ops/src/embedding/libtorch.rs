//! Embedding on libtorch's tensors: the kernel of this crate for `f32` on the CPU, libtorch's operations for the rest.

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use tch::Kind;

use super::kernel::Embedding;
use crate::backend::Function;
use crate::backend::libtorch::{int_primitive, on_cpu};

fn has_kernel(tensor: &TchTensor) -> bool {
    on_cpu(tensor) && tensor.tensor.kind() == Kind::Float
}

pub(super) fn forward(args: &Embedding, table: &TchTensor) -> TchTensor {
    if has_kernel(table) {
        return Function::forward::<LibTorch>(args, [table], false).0;
    }
    let ids = int_primitive(&args.ids).tensor;
    TchTensor::new(table.tensor.index_select(0, &ids))
}

/// The gradient of the table.
pub(super) fn backward(args: &Embedding, grad: TchTensor) -> TchTensor {
    if has_kernel(&grad) {
        let [grad_table] = Function::backward::<LibTorch>(args, &[], grad);
        return grad_table;
    }
    backward_by_libtorch(args, &grad)
}

fn backward_by_libtorch(args: &Embedding, grad: &TchTensor) -> TchTensor {
    TchTensor::new(tch::Tensor::embedding_dense_backward(
        &grad.tensor,
        &int_primitive(&args.ids).tensor,
        args.rows as i64,
        -1,
        false,
    ))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Int, Tensor};

    use super::*;
    use crate::backend::libtorch::testing::{TOLERANCE, assert_close, distance, numbers};

    #[test]
    fn libtorch_gradient_equals_the_kernels() {
        let grad = numbers(1.0, &[200, 96]);
        let ids: Vec<i64> = (0..200).map(|token| token * token % 37).collect();
        let ids = Tensor::<1, Int>::from_data(ids.as_slice(), &Device::libtorch());
        let args = |ids| Embedding { ids, rows: 50 };
        let ours = backward_by_libtorch(&args(ids.clone()), &grad);
        let expected = backward(&args(ids.clone()), grad.clone());
        assert_close(&[ours], std::slice::from_ref(&expected), TOLERANCE);
        let other = backward_by_libtorch(&args(ids.zeros_like() + 3), &grad);
        assert!(distance(&other.tensor, &expected.tensor) > 1e-2);
    }
}
