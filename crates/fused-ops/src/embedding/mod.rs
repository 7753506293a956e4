//! Rows of an embedding table.

#[cfg(kernels)]
mod function;
#[cfg(kernels)]
mod kernel;
#[cfg(feature = "tch")]
mod libtorch;

use burn::tensor::{Int, Tensor};

/// The rows of `table`, `[rows, hidden_size]`, at `ids`, `[tokens]`: `[tokens, hidden_size]`.
///
/// # Panics
/// If an id is not a row of the table.
pub fn embedding(table: Tensor<2>, ids: Tensor<1, Int>) -> Tensor<2> {
    #[cfg(kernels)]
    if crate::backend::is_supported(&table) {
        let [rows, _] = table.dims();
        return crate::backend::apply1(table, kernel::Embedding { ids, rows });
    }
    reference(table, ids)
}

/// [`embedding`] from Burn primitives.
pub fn reference(table: Tensor<2>, ids: Tensor<1, Int>) -> Tensor<2> {
    table.select(0, ids)
}
