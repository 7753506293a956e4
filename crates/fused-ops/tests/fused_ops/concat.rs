use fused_ops::{concat_columns, reference};

use super::support::{Outcome, matrix, outcome};

type Op = fn([burn::tensor::Tensor<2>; 3]) -> burn::tensor::Tensor<2>;

fn run(op: Op, rows: usize, columns: usize) -> Outcome {
    let parts = [0, 1, 2].map(|index| matrix(index, [rows, columns]));
    outcome(&parts, &[], op(parts.clone()))
}

#[test]
fn concat_columns_equals_the_reference() {
    for (rows, columns) in [(1, 1), (150, 33), (64, 16)] {
        let ours = run(concat_columns, rows, columns);
        assert!(ours == run(reference::concat_columns, rows, columns));
    }
}

#[test]
fn the_order_of_the_parts_matters() {
    let swapped: Op = |[a, b, c]| concat_columns([a, c, b]);
    let ours = run(concat_columns, 20, 8);
    assert!(ours != run(swapped, 20, 8));
}

#[test]
#[should_panic(expected = "the shapes")]
fn parts_of_other_shapes_panic() {
    let _ = concat_columns([4, 4, 5].map(|columns| matrix(0, [3, columns])));
}
