//! Attention from Burn primitives: pads the features and masks the keys of the padding.

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Tensor, TensorData};

use super::terms::{AttentionTerms, RelativeKind, RelativeTerm, RotaryEmbedding};
use crate::cu_seqlens::CuSeqlens;
use crate::philox::{Dropout, attention_row};
use crate::upload::upload_ints;

/// [`attention`](super::attention) from Burn primitives.
pub fn reference(
    query: Tensor<2>,
    key: Tensor<2>,
    value: Tensor<2>,
    cu_seqlens: &CuSeqlens,
    num_heads: usize,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    let terms = AttentionTerms::default();
    let inputs = [query, key, value];
    with_terms(inputs, cu_seqlens, num_heads, &terms, dropout)
}

/// [`attention_with_terms`](super::attention_with_terms) from Burn primitives.
pub fn reference_with_terms(
    qkv: Tensor<2>,
    cu_seqlens: &CuSeqlens,
    num_heads: usize,
    terms: &AttentionTerms,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    with_terms(thirds(qkv), cu_seqlens, num_heads, terms, dropout)
}

fn thirds(qkv: Tensor<2>) -> [Tensor<2>; 3] {
    let [_, columns] = qkv.dims();
    [0, 1, 2].map(|index| qkv.clone().narrow(1, index * columns / 3, columns / 3))
}

/// The probabilities of [`attention_with_terms`](super::attention_with_terms) inside one feature,
/// `[num_heads, tokens, tokens]`, from Burn primitives: row `i` of a head is the softmax over the keys of query `i`.
///
/// # Panics
/// As [`attention_with_terms`](super::attention_with_terms).
pub fn attention_probabilities(
    qkv: Tensor<2>,
    num_heads: usize,
    terms: &AttentionTerms,
) -> Tensor<3> {
    let cu_seqlens = CuSeqlens::new(&[qkv.dims()[0]]);
    super::check(&qkv, &cu_seqlens, num_heads, terms);
    let [query, key, _] = thirds(qkv);
    let query = pad(query, &cu_seqlens, num_heads);
    let key = pad(key, &cu_seqlens, num_heads);
    probabilities(query, key, &cu_seqlens, terms).squeeze_dim(0)
}

fn with_terms(
    inputs: [Tensor<2>; 3],
    cu_seqlens: &CuSeqlens,
    num_heads: usize,
    terms: &AttentionTerms,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    if cu_seqlens.tokens() == 0 {
        // As empty as each of them, and with a gradient for each.
        let [query, key, value] = inputs;
        return query + key + value;
    }
    let [_, hidden_size] = inputs[0].dims();
    let device = inputs[0].device();
    let (features, max) = (cu_seqlens.len(), cu_seqlens.max_seqlen());
    let [query, key, value] = inputs.map(|packed| pad(packed, cu_seqlens, num_heads));
    let mut probabilities = probabilities(query, key, cu_seqlens, terms);
    if let Some(dropout) = dropout {
        let factors = padded_factors(&dropout, cu_seqlens, num_heads, &device);
        let dtype = probabilities.dtype();
        probabilities = probabilities * factors.cast(dtype);
    }
    let context = probabilities.matmul(value).swap_dims(1, 2);
    context
        .reshape([features * max, hidden_size])
        .select(0, cu_seqlens.packed_indices(&device))
}

/// `[features, heads, max, head_size]` from `[tokens, hidden_size]`.
fn pad(packed: Tensor<2>, cu_seqlens: &CuSeqlens, num_heads: usize) -> Tensor<4> {
    let [_, hidden_size] = packed.dims();
    let indices = cu_seqlens.padded_indices(&packed.device());
    let (features, max) = (cu_seqlens.len(), cu_seqlens.max_seqlen());
    packed
        .select(0, indices)
        .reshape([features, max, num_heads, hidden_size / num_heads])
        .swap_dims(1, 2)
}

/// `[features, heads, max, max]`: the softmax over the keys of each query.
fn probabilities(
    mut query: Tensor<4>,
    mut key: Tensor<4>,
    cu_seqlens: &CuSeqlens,
    terms: &AttentionTerms,
) -> Tensor<4> {
    let device = query.device();
    let [features, num_heads, max, head_size] = query.dims();
    if let Some(rotary) = terms.rotary {
        query = rotate(query, rotary);
        key = rotate(key, rotary);
    }
    let mut scores = query.clone().matmul(key.clone().transpose());
    let products = terms.relative.as_ref().map_or(1, |t| t.kind.num_products());
    let scale = ((products * head_size) as f64).sqrt();
    if let Some(relative) = &terms.relative {
        scores = scores + unscaled(relative, query, key, scale);
    }
    let shape = [features, num_heads, max, max];
    let padding = cu_seqlens.padding_mask(&device);
    let padding = padding.reshape([features, 1, 1, max]).expand(shape);
    let mut scores = (scores / scale).mask_fill(padding, f32::MIN);
    if let Some(window) = terms.window {
        let outside = outside(window, max, &device).expand(shape);
        scores = scores.mask_fill(outside, f32::MIN);
    }
    softmax(scores, 3)
}

/// Queries or keys, `[features, heads, max, head_size]`, rotated by their positions.
fn rotate(rows: Tensor<4>, rotary: RotaryEmbedding) -> Tensor<4> {
    let [_, _, max, head_size] = rows.dims();
    let half = head_size / 2;
    let [cos, sin] = rotary.cos_sin(max, head_size).map(|values| {
        let data = TensorData::new(values, [1, 1, max, half]);
        Tensor::<4>::from_data(data, &rows.device()).cast(rows.dtype())
    });
    let (x, y) = (rows.clone().narrow(3, 0, half), rows.narrow(3, half, half));
    let first = x.clone() * cos.clone() - y.clone() * sin.clone();
    Tensor::cat(vec![first, y * cos + x * sin], 3)
}

/// What a relative term adds to the scores before they are divided by `scale`, `[features, heads, max, max]` or with one
/// feature for all.
fn unscaled(term: &RelativeTerm, query: Tensor<4>, key: Tensor<4>, scale: f64) -> Tensor<4> {
    let [features, heads, max, head_size] = query.dims();
    let device = query.device();
    let by_offset = term.buckets.rows_by_offset(max);
    let by_offset = &by_offset;
    let rows = (0..max).flat_map(|i| (0..max).map(move |j| by_offset[max - 1 + j - i] as i64));
    let rows: Vec<i64> = rows.collect();
    let [rows] = upload_ints([rows.into_iter()], &device);
    let RelativeKind::Disentangled { p2c, c2p } = term.kind else {
        let bias = term.table.clone().select(0, rows);
        return bias.reshape([1, max, max, heads]).permute([0, 3, 1, 2]) * scale;
    };
    let rows = rows
        .reshape([1, 1, max, max])
        .expand([features, heads, max, max]);
    let count = term.buckets.rows();
    let part = |index: usize| -> Tensor<4> {
        let part = term.table.clone();
        let part = part.narrow(1, index * heads * head_size, heads * head_size);
        let part = part.reshape([1, count, heads, head_size]);
        part.permute([0, 2, 3, 1])
            .expand([features, heads, head_size, count])
    };
    let c2p = c2p.then(|| query.matmul(part(usize::from(p2c))).gather(3, rows.clone()));
    // The rows of the transpose: of query and key exchanged.
    let p2c = p2c.then(|| {
        let products = key.matmul(part(0));
        products.gather(3, rows.transpose()).transpose()
    });
    let terms = c2p.into_iter().chain(p2c).reduce(|a, b| a + b);
    terms.expect("disentangled attention has a term of positions")
}

/// `[1, 1, max, max]`: true where query and key are more than `window` apart.
fn outside(window: usize, max: usize, device: &Device) -> Tensor<4, Bool> {
    let mask: Vec<bool> = (0..max)
        .flat_map(|i: usize| (0..max).map(move |j| i.abs_diff(j) > window))
        .collect();
    Tensor::from_data(TensorData::new(mask, [1, 1, max, max]), device)
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
