//! Matmuls rounded to `bf16` on ndarray, in value and gradient, and cached weights.

use burn::tensor::{Device, Tensor};
use fused_ops::{Activation, Precision, WeightCache, autocast, linear};

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

/// A weight changed after it was cached must not be taken for the old one, wherever its memory is.
#[test]
fn a_cached_weight_is_that_of_its_tensor() {
    for precision in [Precision::Bf16, Precision::Int8] {
        if precision.is_available() {
            cached_weights_in(precision);
        }
    }
}

fn cached_weights_in(precision: Precision) {
    let device = Device::ndarray();
    let cache = WeightCache::default();
    let product = |weight: &Tensor<2>| {
        let input = Tensor::<2>::ones([3, 16], &device);
        let bias = Tensor::<1>::zeros([64], &device);
        let work = || linear(input, weight.clone(), bias, Activation::Identity);
        let output = autocast(precision, || cache.scope(work));
        output.into_data().iter::<f32>().next().unwrap()
    };
    let mut weight = Tensor::<2>::ones([16, 64], &device);
    for step in 0..20 {
        let expected = 16.0 + 16.0 * step as f32;
        for _ in 0..2 {
            assert!((product(&weight) / expected - 1.0).abs() < 1e-4);
        }
        weight = weight + 1.0;
    }
    assert_eq!(format!("{cache:?}"), "WeightCache(20 weights)");
    assert!(WeightCache::current().is_none());
}
