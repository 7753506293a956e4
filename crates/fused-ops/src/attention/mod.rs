//! Multi-head attention inside the features of a packed batch.

#[cfg(kernels)]
mod function;
#[cfg(kernels)]
mod kernel;
#[cfg(feature = "tch")]
mod libtorch;
#[cfg(feature = "tch")]
mod padded;
mod reference;
#[cfg(kernels)]
mod relative;
#[cfg(kernels)]
mod rotary;
#[cfg(kernels)]
mod softmax;
mod terms;

use burn::tensor::Tensor;

use crate::cu_seqlens::CuSeqlens;
use crate::philox::Dropout;

pub use reference::{attention_probabilities, reference, reference_with_terms};
pub use terms::{AttentionTerms, RelativeBuckets, RelativeKind, RelativeTerm, RotaryEmbedding};

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
    attention_with_terms(
        qkv,
        cu_seqlens,
        num_heads,
        &AttentionTerms::default(),
        dropout,
    )
}

/// [`attention_qkv_packed`] with what an architecture adds to it.
///
/// # Panics
/// As [`attention`]; if a table has another shape than its [`RelativeKind`] and [`RelativeBuckets`] say, or the head size of
/// a rotary embedding is odd.
pub fn attention_with_terms(
    qkv: Tensor<2>,
    cu_seqlens: &CuSeqlens,
    num_heads: usize,
    terms: &AttentionTerms,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    check(&qkv, cu_seqlens, num_heads, terms);
    #[cfg(kernels)]
    if crate::backend::is_supported(&qkv) {
        let relative = terms.relative.as_ref();
        let args = kernel::Attention {
            cu_seqlens: cu_seqlens.clone(),
            num_heads,
            dropout,
            rotary: terms.rotary,
            window: terms.window,
            relative: relative.map(|term| relative::Relative {
                kind: term.kind,
                buckets: term.buckets,
            }),
            precision: crate::precision::Precision::current(),
        };
        return match relative {
            Some(term) => crate::backend::apply2(qkv, term.table.clone(), args),
            None => crate::backend::apply1(qkv, args),
        };
    }
    reference_with_terms(qkv, cu_seqlens, num_heads, terms, dropout)
}

fn check(qkv: &Tensor<2>, cu_seqlens: &CuSeqlens, num_heads: usize, terms: &AttentionTerms) {
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
    let hidden_size = columns / 3;
    assert!(
        terms.rotary.is_none() || (hidden_size / num_heads).is_multiple_of(2),
        "a rotary embedding of heads of odd size"
    );
    if let Some(RelativeTerm {
        table,
        kind,
        buckets,
    }) = &terms.relative
    {
        let shape = [buckets.rows(), kind.columns(num_heads, hidden_size)];
        assert_eq!(table.dims(), shape, "the table of {kind:?}");
    }
}
