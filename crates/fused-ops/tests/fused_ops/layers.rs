use burn::tensor::Tensor;
use fused_ops::{Activation, dropout_add_layer_norm, linear, reference};
use proptest::prelude::*;

use super::support::{Outcome, dropout, matrix, on_pools, outcome, vector};

/// Sums of a few hundred products in single precision, and 1.5e-7 of the normal distribution.
const TOLERANCE: f32 = 5e-6;

type Linear = fn(Tensor<2>, Tensor<2>, Tensor<1>, Activation) -> Tensor<2>;

fn run_linear(op: Linear, [rows, inputs, outputs]: [usize; 3], activation: Activation) -> Outcome {
    let (input, weight) = (matrix(1, [rows, inputs]), matrix(2, [inputs, outputs]));
    let bias = vector(3, outputs);
    let output = op(input.clone(), weight.clone(), bias.clone(), activation);
    outcome(&[input, weight], &[bias], output)
}

type Norm =
    fn(Tensor<2>, Tensor<2>, Tensor<1>, Tensor<1>, f64, Option<fused_ops::Dropout>) -> Tensor<2>;

fn run_norm(op: Norm, shape: [usize; 2], eps: f64, prob: f64) -> Outcome {
    let (input, residual) = (matrix(1, shape), matrix(2, shape));
    let (gamma, beta) = (vector(3, shape[1]), vector(4, shape[1]));
    let arguments = (input.clone(), residual.clone(), gamma.clone(), beta.clone());
    let output = op(
        arguments.0,
        arguments.1,
        arguments.2,
        arguments.3,
        eps,
        dropout(prob, 7),
    );
    outcome(&[input, residual], &[gamma, beta], output)
}

#[test]
fn gelu_is_not_the_tanh_approximation() {
    let shape = [40, 16, 24];
    let tanh: Linear =
        |x, w, b, _| burn::tensor::activation::gelu_approximate(x.matmul(w) + b.unsqueeze());
    let ours = run_linear(linear, shape, Activation::Gelu);
    for distance in ours.distances(&run_linear(tanh, shape, Activation::Gelu)) {
        assert!(
            distance > 4.0 * TOLERANCE,
            "the approximation differs by only {distance}"
        );
    }
}

#[test]
fn the_norm_has_the_epsilon_it_was_given() {
    let ours = run_norm(dropout_add_layer_norm, [4, 8], 1e-12, 0.0);
    let other = run_norm(reference::dropout_add_layer_norm, [4, 8], 1e-3, 0.0);
    assert!(ours.distances(&other)[0] > 1e-4);
}

#[test]
fn fixed_shapes() {
    for activation in [Activation::Identity, Activation::Gelu] {
        let reference = run_linear(reference::linear, [70, 33, 47], activation);
        run_linear(linear, [70, 33, 47], activation).assert_close(&reference, TOLERANCE);
    }
    let reference = run_norm(reference::dropout_add_layer_norm, [70, 47], 1e-12, 0.1);
    run_norm(dropout_add_layer_norm, [70, 47], 1e-12, 0.1)
        .assert_close(&reference, 4.0 * TOLERANCE);
}

fn run_dropout(op: fn(Tensor<2>, &fused_ops::Dropout) -> Tensor<2>, site: u16) -> Outcome {
    let input = matrix(1, [150, 70]);
    let output = op(input.clone(), &dropout(0.3, site).unwrap());
    outcome(&[input], &[], output)
}

#[test]
fn dropout_equals_the_reference_and_depends_on_its_key() {
    let ours = run_dropout(fused_ops::dropout, 3);
    ours.assert_close(&run_dropout(reference::dropout, 3), 1e-7);
    for distance in ours.distances(&run_dropout(reference::dropout, 4)) {
        assert!(distance > 0.5, "another mask differs by only {distance}");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let [one, three] = on_pools(|| {
        let linear = run_linear(linear, [300, 96, 128], Activation::Gelu);
        let norm = run_norm(dropout_add_layer_norm, [300, 96], 1e-12, 0.1);
        let dropout = run_dropout(fused_ops::dropout, 3);
        [linear, norm, dropout].map(|outcome| (outcome.output, outcome.gradients))
    });
    assert!(one == three, "some bit differs");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..Default::default() })]
    #[test]
    fn linear_equals_the_reference(
        rows in 1usize..150,
        inputs in 1usize..70,
        outputs in 1usize..70,
        gelu: bool,
    ) {
        let activation = if gelu { Activation::Gelu } else { Activation::Identity };
        let shape = [rows, inputs, outputs];
        let reference = run_linear(reference::linear, shape, activation);
        run_linear(linear, shape, activation).assert_close(&reference, TOLERANCE);
    }

    #[test]
    fn norm_equals_the_reference(
        rows in 1usize..150,
        // In very narrow rows the gradient is a difference of nearly equal numbers.
        columns in 8usize..100,
        prob in prop::sample::select(vec![0.0, 0.1, 0.5]),
    ) {
        let reference = run_norm(reference::dropout_add_layer_norm, [rows, columns], 1e-12, prob);
        // A row whose variance happens to be small magnifies rounding by its inverse root.
        run_norm(dropout_add_layer_norm, [rows, columns], 1e-12, prob)
            .assert_close(&reference, 4.0 * TOLERANCE);
    }
}
