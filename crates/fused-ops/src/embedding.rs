use burn::tensor::{Int, Tensor};

/// Rows of an embedding table, `[rows, hidden_size]`, by their numbers, `[tokens]`: `[tokens, hidden_size]`.
pub fn embedding(table: Tensor<2>, ids: Tensor<1, Int>) -> Tensor<2> {
    #[cfg(any(feature = "ndarray", feature = "tch"))]
    if crate::extension::takes(&table) {
        return crate::extension::embedding(table, ids);
    }
    reference(table, ids)
}

/// [`embedding`] from Burn primitives.
pub fn reference(table: Tensor<2>, ids: Tensor<1, Int>) -> Tensor<2> {
    table.select(0, ids)
}
