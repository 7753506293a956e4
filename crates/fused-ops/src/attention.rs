use burn::tensor::{Tensor, activation::softmax};

use crate::{CuSeqlens, Dropout};

/// Multi-head scaled dot-product attention inside each window of a packed batch (Vaswani et al.
/// 2017, section 3.2): `dropout(softmax(q kᵀ / sqrt(head_size))) v` per head.
///
/// `query`, `key`, `value` and the result are `[tokens, hidden_size]`, heads side by side in the
/// hidden dimension. Dropout acts on the probabilities after the softmax.
///
/// # Panics
/// If the shapes disagree, `num_heads` does not divide `hidden_size`, or `lengths` does not sum
/// to `tokens`.
pub fn attention(
    query: Tensor<2>,
    key: Tensor<2>,
    value: Tensor<2>,
    lengths: &CuSeqlens,
    num_heads: usize,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    let qkv = Tensor::cat(vec![query, key, value], 1);
    attention_qkv_packed(qkv, lengths, num_heads, dropout)
}

/// As [`attention`], with query, key and value side by side: `[tokens, 3 * hidden_size]`, as one
/// product with the three projections' weights side by side gives them. The result is
/// `[tokens, hidden_size]`.
///
/// # Panics
/// As [`attention`].
pub fn attention_qkv_packed(
    qkv: Tensor<2>,
    lengths: &CuSeqlens,
    num_heads: usize,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    let [tokens, columns] = qkv.dims();
    assert_eq!(
        columns % (3 * num_heads),
        0,
        "{columns} columns for query, key and value of {num_heads} heads"
    );
    assert_eq!(
        tokens,
        lengths.tokens(),
        "tokens and the sum of the lengths"
    );
    #[cfg(any(feature = "ndarray", feature = "tch"))]
    if crate::extension::takes(&qkv) {
        return crate::extension::attention(qkv, lengths, num_heads, dropout);
    }
    let part = |index: usize| qkv.clone().narrow(1, index * columns / 3, columns / 3);
    reference(part(0), part(1), part(2), lengths, num_heads, dropout)
}

/// [`attention`] from Burn primitives: pads inside, and masks the padding keys.
pub fn reference(
    query: Tensor<2>,
    key: Tensor<2>,
    value: Tensor<2>,
    lengths: &CuSeqlens,
    num_heads: usize,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    let [_, hidden_size] = query.dims();
    let device = query.device();
    let (windows, max) = (lengths.len(), lengths.max());
    let head_size = hidden_size / num_heads;
    let indices = lengths.padded_indices(&device);
    let heads = |packed: Tensor<2>| -> Tensor<4> {
        packed
            .select(0, indices.clone())
            .reshape([windows, max, num_heads, head_size])
            .swap_dims(1, 2)
    };
    let scores = heads(query).matmul(heads(key).transpose()) / (head_size as f64).sqrt();
    let padding = lengths.padding_mask(&device).reshape([windows, 1, 1, max]);
    let scores = scores.mask_fill(padding.expand([windows, num_heads, max, max]), f32::MIN);
    let mut probabilities = softmax(scores, 3);
    if let Some(dropout) = dropout {
        let factors = padded_factors(&dropout, lengths, num_heads, &device);
        let dtype = probabilities.dtype();
        probabilities = probabilities * factors.cast(dtype);
    }
    let context = probabilities.matmul(heads(value)).swap_dims(1, 2);
    context
        .reshape([windows * max, hidden_size])
        .select(0, lengths.packed_indices(&device))
}

/// The row of the dropout mask that belongs to one query of one head.
#[inline]
pub(crate) fn dropout_row(token: usize, head: usize, num_heads: usize) -> u32 {
    (token * num_heads + head) as u32
}

/// `[windows, heads, max, max]`: each packed query's row of factors, zeros for padding.
fn padded_factors(
    dropout: &Dropout,
    lengths: &CuSeqlens,
    num_heads: usize,
    device: &burn::tensor::Device,
) -> Tensor<4> {
    let (windows, max) = (lengths.len(), lengths.max());
    let mut factors = vec![0.0f32; windows * num_heads * max * max];
    let mut rows = factors.chunks_mut(max);
    for range in lengths.ranges() {
        for head in 0..num_heads {
            for i in 0..max {
                let row = rows.next().expect("one row per window, head and position");
                if i < range.len() {
                    let index = dropout_row(range.start + i, head, num_heads);
                    dropout.fill_row(index, &mut row[..range.len()]);
                }
            }
        }
    }
    Tensor::from_data(
        burn::tensor::TensorData::new(factors, [windows, num_heads, max, max]),
        device,
    )
}
