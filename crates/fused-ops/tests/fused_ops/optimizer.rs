//! AdamW and the sum of squares with libtorch's kernels for a GPU.

use burn::tensor::{Tensor, TensorData};
use fused_ops::{AdamW, adamw_step, reference, sum_of_squares};

use super::support::{distance, numbers, values};

pub(crate) fn check_optimizer_equals_the_reference() {
    let tensor = |seed| {
        let data = TensorData::new(numbers(seed, 40_001), [40_001]);
        Tensor::<1>::from_data(data, &super::device())
    };
    let adamw = AdamW {
        learning_rate: 1e-2,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.01,
        step: 3,
        gradient_scale: 0.5,
    };
    let step = |op: fn(_, _, _, _) -> _, adamw| -> (Tensor<1>, (Tensor<1>, Tensor<1>)) {
        op(tensor(1), tensor(2), (tensor(3), tensor(4).square()), adamw)
    };
    let ours = step(adamw_step, &adamw);
    let expected = step(reference::adamw_step, &adamw);
    assert!(distance(&values(&ours.0), &values(&expected.0)) < 1e-5);
    assert!(distance(&values(&ours.1.0), &values(&expected.1.0)) < 1e-6);
    assert!(distance(&values(&ours.1.1), &values(&expected.1.1)) < 1e-6);
    let undecayed = AdamW {
        weight_decay: 0.0,
        ..adamw
    };
    let other = step(reference::adamw_step, &undecayed);
    assert!(distance(&values(&ours.0), &values(&other.0)) > 5e-5);
    let sum = sum_of_squares(tensor(5)).into_scalar::<f32>();
    let expected = reference::sum_of_squares(tensor(5)).into_scalar::<f32>();
    assert!((sum - expected).abs() < 1e-5 * expected);
}
