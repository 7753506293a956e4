use burn::tensor::Tensor;
use fused_ops::{geglu, reference};
use proptest::prelude::*;

use super::support::{Outcome, matrix, on_pools, outcome};

/// A few roundings, and an error of 1.5e-7 in the normal distribution.
const TOLERANCE: f32 = 2e-6;

fn run(op: fn(Tensor<2>) -> Tensor<2>, rows: usize, width: usize) -> Outcome {
    let input = matrix(1, [rows, 2 * width]);
    // Larger numbers reach the tails.
    outcome(std::slice::from_ref(&input), &[], op(input.clone() * 3.0))
}

#[test]
fn geglu_equals_the_reference() {
    let expected = run(reference::geglu, 150, 70);
    run(geglu, 150, 70).assert_close(&expected, TOLERANCE);
}

#[test]
fn the_gate_is_the_second_half() {
    let swapped: fn(Tensor<2>) -> Tensor<2> = |input| {
        let halves = input.chunk(2, 1);
        reference::geglu(Tensor::cat(vec![halves[1].clone(), halves[0].clone()], 1))
    };
    run(geglu, 40, 16).assert_far(&run(swapped, 40, 16), 1e-2);
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let [one, three] = on_pools(|| run(geglu, 300, 48));
    assert!(one == three, "some bit differs");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..Default::default() })]
    #[test]
    fn geglu_equals_the_reference_for_any_shape(rows in 1usize..150, width in 1usize..70) {
        run(geglu, rows, width).assert_close(&run(reference::geglu, rows, width), TOLERANCE);
    }
}
