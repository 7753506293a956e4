use burn::tensor::{Int, Tensor};

use crate::kernels::parallel::{ROWS_PER_TASK, for_each_chunk};
use crate::kernels::reduce::add_rows;

/// Embedding arguments other than the table.
#[derive(Clone, Debug)]
pub(super) struct Embedding {
    /// `[tokens]`
    pub(super) ids: Tensor<1, Int>,
    /// The number of rows of the table.
    pub(super) rows: usize,
}

impl Embedding {
    /// The ids in host memory.
    pub(super) fn ids(&self) -> Vec<usize> {
        let ids = self.ids.to_data();
        ids.iter::<i64>().map(|id| id as usize).collect()
    }
}

/// Rows of the table that one task takes.
const TABLE_ROWS: usize = 1024;

/// Copies the rows of `table`, `[rows, columns]`, at `ids` to `output`, `[tokens, columns]`.
///
/// # Panics
/// If an id is not a row of the table.
pub(crate) fn forward(table: &[f32], columns: usize, ids: &[usize], output: &mut [f32]) {
    for_each_chunk(
        [(output, ROWS_PER_TASK * columns)],
        || (),
        |(), index, [output]| {
            let ids = &ids[index * ROWS_PER_TASK..];
            for (out, id) in output.chunks_exact_mut(columns).zip(ids) {
                out.copy_from_slice(&table[id * columns..(id + 1) * columns]);
            }
        },
    );
}

/// Fills the gradient of the table from `grad`, `[tokens, columns]`: each row is the sum, in the order of tokens, over the
/// tokens with its id.
pub(crate) fn backward(ids: &[usize], grad: &[f32], columns: usize, grad_table: &mut [f32]) {
    let mut tokens: Vec<usize> = (0..ids.len()).collect();
    tokens.sort_by_key(|token| ids[*token]);
    for_each_chunk(
        [(grad_table, TABLE_ROWS * columns)],
        || (),
        |(), index, [rows]| {
            rows.fill(0.0);
            let first = index * TABLE_ROWS;
            let begin = tokens.partition_point(|token| ids[*token] < first);
            let taken = tokens[begin..].iter().map(|token| (*token, ids[*token]));
            for (token, id) in taken.take_while(|(_, id)| *id < first + TABLE_ROWS) {
                let row = &mut rows[(id - first) * columns..(id - first + 1) * columns];
                add_rows(&grad[token * columns..(token + 1) * columns], row);
            }
        },
    );
}
