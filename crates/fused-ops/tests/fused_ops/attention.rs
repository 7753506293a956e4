use fused_ops::{CuSeqlens, attention, reference};
use proptest::prelude::*;

use super::support::{Outcome, dropout, matrix, on_pools, outcome};

/// Sums of up to 512 products in single precision, in another order than the reference's.
const TOLERANCE: f32 = 1e-5;

type Op = fn(
    burn::tensor::Tensor<2>,
    burn::tensor::Tensor<2>,
    burn::tensor::Tensor<2>,
    &CuSeqlens,
    usize,
    Option<fused_ops::Dropout>,
) -> burn::tensor::Tensor<2>;

fn run(op: Op, lengths: &[usize], heads: usize, head_size: usize, prob: f64, site: u16) -> Outcome {
    let lengths = CuSeqlens::new(lengths);
    let shape = [lengths.tokens(), heads * head_size];
    let inputs = [1, 2, 3].map(|seed| matrix(seed, shape));
    let [query, key, value] = inputs.clone();
    // Larger queries make the probabilities uneven.
    let output = op(
        query * 4.0,
        key,
        value,
        &lengths,
        heads,
        dropout(prob, site),
    );
    outcome(&inputs, &[], output)
}

fn compare(lengths: &[usize], heads: usize, head_size: usize, prob: f64) {
    let ours = run(attention, lengths, heads, head_size, prob, 0);
    ours.assert_close(
        &run(reference::attention, lengths, heads, head_size, prob, 0),
        TOLERANCE,
    );
}

#[test]
fn lengths_from_1_to_512() {
    compare(&[1, 512, 17, 1, 64], 2, 32, 0.1);
}

#[test]
fn small_windows() {
    compare(&[1, 33, 17], 2, 20, 0.1);
}

#[test]
fn another_mask_is_seen() {
    let ours = run(attention, &[20, 9], 2, 8, 0.1, 0);
    let other = run(reference::attention, &[20, 9], 2, 8, 0.1, 1);
    assert!(
        ours.distances(&other)
            .iter()
            .all(|distance| *distance > 1e-2)
    );
}

#[test]
fn windows_do_not_see_each_other() {
    let glued = run(attention, &[29], 2, 8, 0.0, 0);
    let apart = run(attention, &[20, 9], 2, 8, 0.0, 0);
    assert!(
        glued
            .distances(&apart)
            .iter()
            .all(|distance| *distance > 1e-2)
    );
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let [one, three] = on_pools(|| run(attention, &[40, 3, 70], 4, 16, 0.1, 0));
    assert!(
        (one.output, one.gradients) == (three.output, three.gradients),
        "some bit differs"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]
    #[test]
    fn equals_the_reference_for_any_mix_of_lengths(
        lengths in prop::collection::vec(1usize..40, 1..6),
        heads in 1usize..4,
        head_size in 1usize..20,
        prob in prop::sample::select(vec![0.0, 0.1, 0.5]),
    ) {
        compare(&lengths, heads, head_size, prob);
    }
}
