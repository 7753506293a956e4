use burn::tensor::Tensor;
use fused_ops::{Dropout, dropout_add_layer_norm, reference};
use proptest::prelude::*;

use super::support::{Outcome, dropout, matrix, on_pools, outcome, values, vector};

/// Sums of a hundred numbers in `f32`; the inverse root of a small variance magnifies their rounding.
const TOLERANCE: f32 = 2e-5;

type Op = fn(Tensor<2>, Tensor<2>, Tensor<1>, Tensor<1>, f64, Option<Dropout>) -> Tensor<2>;

fn run(op: Op, shape: [usize; 2], eps: f64, prob: f64) -> Outcome {
    let (input, residual) = (matrix(1, shape), matrix(2, shape));
    let (gamma, beta) = (vector(3, shape[1]), vector(4, shape[1]));
    let output = op(
        input.clone(),
        residual.clone(),
        gamma.clone(),
        beta.clone(),
        eps,
        dropout(prob, 7),
    );
    outcome(&[input, residual], &[gamma, beta], output)
}

#[test]
fn norm_equals_the_reference_for_each_epsilon() {
    for eps in [1e-12, 1e-5, 1e-1] {
        let reference = run(reference::dropout_add_layer_norm, [70, 47], eps, 0.1);
        run(dropout_add_layer_norm, [70, 47], eps, 0.1).assert_close(&reference, TOLERANCE);
    }
}

#[test]
fn the_output_is_the_same_without_gradients() {
    let output = |gradients: bool| {
        let matrices = [1, 2].map(|seed| matrix(seed, [70, 47]).set_require_grad(gradients));
        let [input, residual] = matrices;
        let [gamma, beta] = [3, 4].map(|seed| vector(seed, 47).set_require_grad(gradients));
        values(&dropout_add_layer_norm(
            input,
            residual,
            gamma,
            beta,
            1e-5,
            dropout(0.1, 7),
        ))
    };
    assert_eq!(output(true), output(false));
}

#[test]
fn another_epsilon_changes_the_output() {
    let ours = run(dropout_add_layer_norm, [4, 8], 1e-12, 0.0);
    let other = run(reference::dropout_add_layer_norm, [4, 8], 1e-3, 0.0);
    assert!(ours.distances(&other)[0] > 1e-4);
}

#[test]
#[should_panic(expected = "gamma or beta")]
fn a_gamma_of_another_length_panics() {
    let [input, residual] = [1, 2].map(|seed| matrix(seed, [4, 8]));
    dropout_add_layer_norm(input, residual, vector(3, 4), vector(4, 8), 1e-5, None);
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let [one, three] = on_pools(|| run(dropout_add_layer_norm, [300, 96], 1e-12, 0.1));
    assert!(one == three, "some bit differs");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..Default::default() })]
    #[test]
    fn norm_equals_the_reference_for_any_shape(
        rows in 1usize..150,
        // In very narrow rows the gradient is a difference of nearly equal numbers.
        columns in 8usize..100,
        eps in prop::sample::select(vec![1e-12, 1e-2]),
        prob in prop::sample::select(vec![0.0, 0.1, 0.5]),
    ) {
        let reference = run(reference::dropout_add_layer_norm, [rows, columns], eps, prob);
        run(dropout_add_layer_norm, [rows, columns], eps, prob)
            .assert_close(&reference, TOLERANCE);
    }
}
