use fused_ops::{CuSeqlens, attention, reference};
use proptest::prelude::*;

use super::support::{Outcome, dropout, matrix, on_pools, outcome};

/// Sums of up to 512 products in `f32`, in another order than the reference's.
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
    let cu_seqlens = CuSeqlens::new(lengths);
    let shape = [cu_seqlens.tokens(), heads * head_size];
    let inputs = [1, 2, 3].map(|seed| matrix(seed, shape));
    let [query, key, value] = inputs.clone();
    // Larger queries make the probabilities uneven.
    let output = op(
        query * 4.0,
        key,
        value,
        &cu_seqlens,
        heads,
        dropout(prob, site),
    );
    outcome(&inputs, &[], output)
}

fn assert_equals_reference(lengths: &[usize], heads: usize, head_size: usize, prob: f64) {
    let ours = run(attention, lengths, heads, head_size, prob, 0);
    ours.assert_close(
        &run(reference::attention, lengths, heads, head_size, prob, 0),
        TOLERANCE,
    );
}

#[test]
fn attention_equals_the_reference_for_lengths_from_1_to_512() {
    assert_equals_reference(&[1, 512, 17, 1, 64], 2, 32, 0.1);
}

#[test]
fn attention_equals_the_reference_for_short_features() {
    assert_equals_reference(&[1, 33, 17], 2, 20, 0.1);
}

#[test]
fn attention_equals_the_reference_for_a_batch_without_features() {
    assert_equals_reference(&[], 2, 8, 0.1);
}

#[test]
fn another_dropout_key_changes_output_and_gradients() {
    let ours = run(attention, &[20, 9], 2, 8, 0.1, 0);
    let other = run(reference::attention, &[20, 9], 2, 8, 0.1, 1);
    ours.assert_far(&other, 1e-2);
}

#[test]
fn features_do_not_attend_to_each_other() {
    let joined = run(attention, &[29], 2, 8, 0.0, 0);
    let separate = run(attention, &[20, 9], 2, 8, 0.0, 0);
    joined.assert_far(&separate, 1e-2);
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let [one, three] = on_pools(|| run(attention, &[40, 3, 70], 4, 16, 0.1, 0));
    assert!(one == three, "some bit differs");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]
    #[test]
    fn attention_equals_the_reference_for_any_lengths(
        lengths in prop::collection::vec(1usize..40, 1..6),
        heads in 1usize..4,
        head_size in 1usize..20,
        prob in prop::sample::select(vec![0.0, 0.1, 0.5]),
    ) {
        assert_equals_reference(&lengths, heads, head_size, prob);
    }
}
