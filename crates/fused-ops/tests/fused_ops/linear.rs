use burn::tensor::{Tensor, activation::gelu_approximate};
use fused_ops::{Activation, linear, linear_side_by_side, reference};
use proptest::prelude::*;

use super::support::{Outcome, matrix, on_pools, outcome, vector};

/// Sums of a few hundred products in `f32`, and an error of 1.5e-7 in the normal distribution.
const TOLERANCE: f32 = 5e-6;

const SMOOTH: [Activation; 5] = [
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::QuickGelu,
    Activation::Silu,
    Activation::Tanh,
];

/// Their slope jumps, so that rounding changes the gradient of a number beside the jump.
const KINKED: [Activation; 2] = [Activation::Gelu10, Activation::Relu];

type Op = fn(Tensor<2>, Tensor<2>, Tensor<1>, Activation) -> Tensor<2>;

fn run(op: Op, [rows, inputs, outputs]: [usize; 3], activation: Activation) -> Outcome {
    let (input, weight) = (matrix(1, [rows, inputs]), matrix(2, [inputs, outputs]));
    let bias = vector(3, outputs);
    let output = op(input.clone(), weight.clone(), bias.clone(), activation);
    outcome(&[input, weight], &[bias], output)
}

#[test]
fn gelu_is_not_the_tanh_approximation() {
    let tanh: Op = |x, w, b, _| gelu_approximate(x.matmul(w) + b.unsqueeze());
    let ours = run(linear, [40, 16, 24], Activation::Gelu);
    let other = run(tanh, [40, 16, 24], Activation::Gelu);
    ours.assert_far(&other, 4.0 * TOLERANCE);
    let ours = run(linear, [40, 16, 24], Activation::GeluTanh);
    ours.assert_close(&other, TOLERANCE);
}

#[test]
fn linear_equals_the_reference() {
    let identity = run(reference::linear, [70, 33, 47], Activation::Identity);
    run(linear, [70, 33, 47], Activation::Identity).assert_close(&identity, TOLERANCE);
    for activation in SMOOTH.into_iter().chain(KINKED) {
        let reference = run(reference::linear, [70, 33, 47], activation);
        run(linear, [70, 33, 47], activation).assert_close(&reference, TOLERANCE);
        // Negative control.
        identity.assert_far(&reference, 1e-2);
    }
}

#[test]
#[should_panic(expected = "rows of the weight")]
fn a_weight_with_more_rows_than_the_input_has_columns_panics() {
    run_shapes([4, 5], [6, 3], 3);
}

#[test]
#[should_panic(expected = "columns of the weight, bias")]
fn a_bias_of_another_length_panics() {
    run_shapes([4, 5], [5, 3], 2);
}

fn run_shapes(input: [usize; 2], weight: [usize; 2], bias: usize) {
    let (input, weight, bias) = (matrix(1, input), matrix(2, weight), vector(3, bias));
    linear(input, weight, bias, Activation::Identity);
}

/// With three layers, whose weights lie side by side after `concat`.
fn run_three(
    [rows, inputs, outputs]: [usize; 3],
    op: impl Fn(Tensor<2>, [Tensor<2>; 3], [Tensor<1>; 3]) -> Tensor<2>,
) -> Outcome {
    let input = matrix(1, [rows, inputs]);
    let weights = [2, 3, 4].map(|seed| matrix(seed, [inputs, outputs]));
    let biases = [5, 6, 7].map(|seed| vector(seed, outputs));
    let output = op(input.clone(), weights.clone(), biases.clone());
    let [first, second, third] = weights;
    outcome(&[input, first, second, third], &biases, output)
}

#[test]
fn three_layers_side_by_side_have_the_bits_of_one_with_their_weights() {
    let one = |input, weights: [Tensor<2>; 3], biases: [Tensor<1>; 3]| {
        let weight = Tensor::cat(weights.into(), 1);
        let bias = Tensor::cat(biases.into(), 0);
        linear(input, weight, bias, Activation::Identity)
    };
    let reversed =
        |input, [a, b, c]: [Tensor<2>; 3], biases| linear_side_by_side(input, [c, b, a], biases);
    for shape in [[70, 150, 47], [3, 1, 5], [1, 64, 1]] {
        let ours = run_three(shape, linear_side_by_side);
        assert!(ours == run_three(shape, one), "some bit differs: {shape:?}");
        assert!(ours != run_three(shape, reversed), "the order matters");
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let [one, three] = on_pools(|| run(linear, [300, 96, 128], Activation::Gelu));
    assert!(one == three, "some bit differs");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..Default::default() })]
    #[test]
    fn linear_equals_the_reference_for_any_shape(
        rows in 1usize..150,
        inputs in 1usize..70,
        outputs in 1usize..70,
        activation in prop::sample::select(&SMOOTH[..]),
    ) {
        let shape = [rows, inputs, outputs];
        let reference = run(reference::linear, shape, activation);
        run(linear, shape, activation).assert_close(&reference, TOLERANCE);
    }
}
