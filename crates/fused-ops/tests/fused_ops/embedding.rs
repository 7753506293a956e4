use burn::tensor::{Int, Tensor, TensorData};
use fused_ops::{embedding, reference};
use proptest::prelude::*;

use super::support::{Outcome, device, matrix, on_pools, outcome};

type Op = fn(Tensor<2>, Tensor<1, Int>) -> Tensor<2>;

fn run(op: Op, rows: usize, columns: usize, ids: &[i64]) -> Outcome {
    let table = matrix(1, [rows, columns]);
    let ids = TensorData::new(ids.to_vec(), [ids.len()]);
    let ids = Tensor::from_data(ids, &device());
    let output = op(table.clone(), ids);
    outcome(&[table], &[], output)
}

/// Sums of a few rows, in another order than the reference's.
const TOLERANCE: f32 = 1e-6;

#[test]
fn embedding_equals_the_reference_for_repeated_and_unused_rows() {
    // Rows of several chunks of the table, the first and the last among them.
    let ids = [2999, 7, 0, 7, 1024, 1023, 7, 2999];
    let ours = run(embedding, 3000, 12, &ids);
    ours.assert_close(&run(reference::embedding, 3000, 12, &ids), TOLERANCE);
    let gradient = &ours.gradients[0];
    assert!(gradient[12 * 8..12 * 1023].iter().all(|x| *x == 0.0));

    let other = run(
        reference::embedding,
        3000,
        12,
        &[2999, 7, 0, 7, 1024, 1023, 8, 2999],
    );
    ours.assert_far(&other, 1e-2);
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let ids: Vec<i64> = (0..700).map(|i| (i * i) % 90).collect();
    let [one, three] = on_pools(|| run(embedding, 2500, 33, &ids));
    assert!(one == three, "some bit differs");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]
    #[test]
    fn embedding_equals_the_reference(rows in 1_usize..40, columns in 1_usize..40, ids in prop::collection::vec(0_usize..1000, 1..200)) {
        let ids: Vec<i64> = ids.iter().map(|id| (id % rows) as i64).collect();
        let ours = run(embedding, rows, columns, &ids);
        // A row's gradient may be the sum of all 200.
        ours.assert_close(&run(reference::embedding, rows, columns, &ids), 10.0 * TOLERANCE);
    }
}
