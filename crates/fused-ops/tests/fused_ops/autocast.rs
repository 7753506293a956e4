//! Matmuls in `bf16`, in value and gradient, and in `int8`; cached weights.

use burn::tensor::{Device, Tensor};
use fused_ops::{
    Activation, CuSeqlens, Precision, WeightCache, attention_qkv_packed, autocast, linear,
};

use super::support::{Outcome, distance, dropout, matrix, on_pools, outcome, values, vector};

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

/// Features that are shorter and longer than a block of the inner dimension, which here is the keys.
const LENGTHS: [usize; 4] = [1, 50, 401, 33];

fn attention_in(precision: Precision, head_size: usize) -> Outcome {
    let cu_seqlens = CuSeqlens::new(&LENGTHS);
    let qkv = matrix(1, [cu_seqlens.tokens(), 3 * 2 * head_size]);
    // Larger scores make the probabilities uneven.
    let attend = || attention_qkv_packed(qkv.clone() * 2.0, &cu_seqlens, 2, dropout(0.1, 0));
    outcome(std::slice::from_ref(&qkv), &[], autocast(precision, attend))
}

#[test]
fn attention_in_bf16_equals_f32_up_to_rounding() {
    for head_size in [32, 64, 20] {
        let exact = attention_in(Precision::F32, head_size);
        let rounded = attention_in(Precision::Bf16, head_size);
        // As above.
        rounded.assert_close(&exact, 4e-2);
        let shows = rounded.distances(&exact).iter().all(|error| *error > 1e-5);
        assert_eq!(shows, Precision::Bf16.is_available(), "{head_size}");
        // `int8` has no gradients: what is differentiated stays in `f32`.
        assert!(attention_in(Precision::Int8, head_size) == exact);
    }
}

#[test]
fn attention_in_bf16_does_not_depend_on_the_number_of_threads() {
    let [one, three] = on_pools(|| attention_in(Precision::Bf16, 32));
    assert!(one == three, "some bit differs");
}

/// Linear layer and attention in a precision, without gradients.
fn inference_in(precision: Precision, [tokens, width, columns]: [usize; 3]) -> [Vec<f32>; 2] {
    let [input, weight] = [(1, [tokens, width]), (2, [width, columns])]
        .map(|(seed, shape)| matrix(seed, shape).set_require_grad(false));
    let (bias, qkv) = (
        vector(3, columns).set_require_grad(false),
        matrix(4, [tokens, 3 * 16]).set_require_grad(false),
    );
    autocast(precision, || {
        let output = linear(input, weight, bias, Activation::Gelu);
        let attended = attention_qkv_packed(qkv, &CuSeqlens::new(&[tokens]), 1, None);
        [values(&output), values(&attended)]
    })
}

#[test]
fn inference_in_int8_equals_f32_up_to_rounding() {
    for shape in [[13, 33, 64], [40, 130, 33]] {
        let [exact, attended] = inference_in(Precision::F32, shape);
        let [quantized, attended_quantized] = inference_in(Precision::Int8, shape);
        let [_, attended_bf16] = inference_in(Precision::Bf16, shape);
        // 7 bits of weights and 8 of activations, of the largest number, which must show.
        let difference = distance(&quantized, &exact);
        let shows = (1e-4..3e-2).contains(&difference);
        assert_eq!(
            shows,
            Precision::Int8.is_available(),
            "{shape:?}: {difference}"
        );
        // Attention has no weights.
        assert_eq!(attended_quantized, attended_bf16);
        let shows = attended_bf16 != attended;
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
