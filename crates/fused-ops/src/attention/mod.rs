//! Multi-head attention inside the features of a packed batch.

#[cfg(kernels)]
mod function;
#[cfg(kernels)]
mod kernel;
#[cfg(feature = "tch")]
mod libtorch;
#[cfg(kernels)]
mod softmax;

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};

use crate::cu_seqlens::CuSeqlens;
use crate::philox::{Dropout, attention_row};

/// Multi-head scaled dot-product attention inside each feature of a packed batch (Vaswani et al.
/// 2017, section 3.2): `dropout(softmax(q kᵀ / sqrt(head_size))) v` per head.
///
/// `query`, `key`, `value` and the result are `[tokens, hidden_size]`, heads side by side in the
/// hidden dimension. Dropout acts on the probabilities after the softmax.
///
/// # Panics
/// If the shapes differ, `num_heads` does not divide `hidden_size`, or the lengths do not sum to `tokens`.
pub fn attention(
    query: Tensor<2>,
    key: Tensor<2>,
    value: Tensor<2>,
    cu_seqlens: &CuSeqlens,
    num_heads: usize,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    let qkv = Tensor::cat(vec![query, key, value], 1);
    attention_qkv_packed(qkv, cu_seqlens, num_heads, dropout)
}

/// [`attention`] with query, key and value side by side, `[tokens, 3 * hidden_size]`, as one matmul with the weights of
/// the three projections gives them. The result is `[tokens, hidden_size]`.
///
/// # Panics
/// As [`attention`].
pub fn attention_qkv_packed(
    qkv: Tensor<2>,
    cu_seqlens: &CuSeqlens,
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
        cu_seqlens.tokens(),
        "tokens, and the sum of the lengths"
    );
    #[cfg(kernels)]
    if crate::backend::is_supported(&qkv) {
        let args = kernel::Attention {
            cu_seqlens: cu_seqlens.clone(),
            num_heads,
            dropout,
        };
        return crate::backend::apply1(qkv, args);
    }
    let part = |index: usize| qkv.clone().narrow(1, index * columns / 3, columns / 3);
    reference(part(0), part(1), part(2), cu_seqlens, num_heads, dropout)
}

/// [`attention`] from Burn primitives: pads the features and masks the keys of the padding.
pub fn reference(
    query: Tensor<2>,
    key: Tensor<2>,
    value: Tensor<2>,
    cu_seqlens: &CuSeqlens,
    num_heads: usize,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    let [_, hidden_size] = query.dims();
    let device = query.device();
    let (features, max) = (cu_seqlens.len(), cu_seqlens.max_seqlen());
    let head_size = hidden_size / num_heads;
    let indices = cu_seqlens.padded_indices(&device);
    let heads = |packed: Tensor<2>| -> Tensor<4> {
        packed
            .select(0, indices.clone())
            .reshape([features, max, num_heads, head_size])
            .swap_dims(1, 2)
    };
    let scores = heads(query).matmul(heads(key).transpose()) / (head_size as f64).sqrt();
    let padding = cu_seqlens
        .padding_mask(&device)
        .reshape([features, 1, 1, max]);
    let scores = scores.mask_fill(padding.expand([features, num_heads, max, max]), f32::MIN);
    let mut probabilities = softmax(scores, 3);
    if let Some(dropout) = dropout {
        let factors = padded_factors(&dropout, cu_seqlens, num_heads, &device);
        let dtype = probabilities.dtype();
        probabilities = probabilities * factors.cast(dtype);
    }
    let context = probabilities.matmul(heads(value)).swap_dims(1, 2);
    context
        .reshape([features * max, hidden_size])
        .select(0, cu_seqlens.packed_indices(&device))
}

/// `[features, heads, max, max]`: the dropout factors of each query, zeros for padding.
fn padded_factors(
    dropout: &Dropout,
    cu_seqlens: &CuSeqlens,
    num_heads: usize,
    device: &Device,
) -> Tensor<4> {
    let (features, max) = (cu_seqlens.len(), cu_seqlens.max_seqlen());
    let mut factors = vec![0.0f32; features * num_heads * max * max];
    let mut rows = factors.chunks_mut(max);
    for range in cu_seqlens.ranges() {
        for head in 0..num_heads {
            for i in 0..max {
                let row = rows.next().expect("one row per feature, head and position");
                if i < range.len() {
                    let index = attention_row(range.start + i, head, num_heads);
                    dropout.fill_row(index, &mut row[..range.len()]);
                }
            }
        }
    }
    Tensor::from_data(
        TensorData::new(factors, [features, num_heads, max, max]),
        device,
    )
}
