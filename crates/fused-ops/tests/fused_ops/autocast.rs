//! Matmuls rounded to `bf16` on ndarray, in value and gradient.

use burn::tensor::Tensor;
use fused_ops::{Activation, Precision, autocast, linear};

use super::support::{Outcome, matrix, outcome, vector};

/// Shapes that fill tiles and panels, and that leave a part of each empty: `[tokens, width, columns]`.
const SHAPES: [[usize; 3]; 4] = [[96, 64, 32], [13, 401, 33], [1, 3, 5], [205, 770, 97]];

fn linear_in(precision: Precision, [tokens, width, columns]: [usize; 3]) -> Outcome {
    let (input, weight) = (matrix(1, [tokens, width]), matrix(2, [width, columns]));
    let bias = vector(3, columns);
    let output: Tensor<2> = autocast(precision, || {
        linear(
            input.clone(),
            weight.clone(),
            bias.clone(),
            Activation::Gelu,
        )
    });
    outcome(&[input, weight], &[bias], output)
}

#[test]
fn linear_in_bf16_equals_f32_up_to_rounding() {
    for shape in SHAPES {
        let exact = linear_in(Precision::F32, shape);
        let rounded = linear_in(Precision::Bf16, shape);
        // 8 bits: a few roundings of 4e-3, relative to the largest number, which must show.
        rounded.assert_close(&exact, 4e-2);
        let shows = rounded.distances(&exact)[0] > 1e-5;
        assert_eq!(shows, Precision::Bf16.is_available(), "{shape:?}");
    }
}
