use burn::tensor::Tensor;
use fused_ops::{Dropout, reference};

use super::support::{Outcome, dropout, matrix, on_pools, outcome};

fn run(op: fn(Tensor<2>, &Dropout) -> Tensor<2>, site: u16) -> Outcome {
    let input = matrix(1, [150, 70]);
    let output = op(input.clone(), &dropout(0.3, site).unwrap());
    outcome(&[input], &[], output)
}

#[test]
fn dropout_equals_the_reference_and_depends_on_its_key() {
    let ours = run(fused_ops::dropout, 3);
    // The same factors: one rounding at most.
    ours.assert_close(&run(reference::dropout, 3), 1e-7);
    ours.assert_far(&run(reference::dropout, 4), 0.5);
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let [one, three] = on_pools(|| run(fused_ops::dropout, 3));
    assert!(one == three, "some bit differs");
}
