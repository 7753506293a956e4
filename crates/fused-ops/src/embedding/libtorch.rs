//! libtorch's own operations, for tables on a GPU or in `bf16`.

use burn::backend::libtorch::TchTensor;
use burn::tensor::{Int, Tensor};
use tch::Kind;

use crate::backend::libtorch::{int_primitive, on_cpu};

/// Whether this crate's kernel takes the tensor.
pub(super) fn has_kernel(tensor: &TchTensor) -> bool {
    on_cpu(tensor) && tensor.tensor.kind() == Kind::Float
}

pub(super) fn forward(table: &TchTensor, ids: &Tensor<1, Int>) -> TchTensor {
    TchTensor::new(table.tensor.index_select(0, &int_primitive(ids).tensor))
}

/// The gradient of a table of `rows` rows.
pub(super) fn backward(ids: &Tensor<1, Int>, grad: &TchTensor, rows: usize) -> TchTensor {
    TchTensor::new(tch::Tensor::embedding_dense_backward(
        &grad.tensor,
        &int_primitive(ids).tensor,
        rows as i64,
        -1,
        false,
    ))
}

#[cfg(test)]
mod tests {
    use burn::backend::LibTorch;
    use burn::tensor::Device;

    use super::*;
    use crate::backend::Function;
    use crate::backend::libtorch::testing::{TOLERANCE, assert_close, distance, numbers};
    use crate::embedding::function::Embedding;

    #[test]
    fn libtorch_gradient_equals_the_kernels() {
        let device = Device::libtorch();
        let grad = numbers(1.0, &[200, 96]);
        let ids: Vec<i64> = (0..200).map(|token| token * token % 37).collect();
        let ids = Tensor::<1, Int>::from_data(ids.as_slice(), &device);
        let args = Embedding {
            ids: ids.clone(),
            rows: 50,
        };
        let expected = Function::backward::<LibTorch>(&args, &[], grad.clone());
        assert_close(&[backward(&ids, &grad, 50)], &expected, TOLERANCE);
        let other = backward(&(ids.zeros_like() + 3), &grad, 50);
        assert!(distance(&other.tensor, &expected[0].tensor) > 1e-2);
    }
}
