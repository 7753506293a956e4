//! Attention with terms on a GPU, from libtorch's operations on padded features, because libtorch's fused attention has no
//! such terms. The backward pass computes the forward pass again and lets libtorch differentiate it.

use burn::backend::libtorch::TchTensor;
use tch::{Kind, Tensor};

use super::kernel::Attention;
use super::relative::Relative;
use super::terms::{RelativeKind, RotaryEmbedding};
use crate::backend::libtorch::{upload_slice, with_seed};

/// Saves the inputs.
pub(super) fn forward(
    args: &Attention,
    qkv: &TchTensor,
    table: Option<&TchTensor>,
) -> (TchTensor, Vec<TchTensor>) {
    let output = attention(args, &qkv.tensor, table.map(|table| &table.tensor));
    let mut saved = vec![qkv.clone()];
    saved.extend(table.cloned());
    (TchTensor::new(output), saved)
}

/// Gradients of query, key and value, and of the table.
pub(super) fn backward(
    args: &Attention,
    saved: &[TchTensor],
    grad: &TchTensor,
) -> (TchTensor, Option<TchTensor>) {
    let leaves: Vec<Tensor> = saved
        .iter()
        .map(|tensor| tensor.tensor.detach().set_requires_grad(true))
        .collect();
    let output = tch::with_grad(|| {
        let output = attention(args, &leaves[0], leaves.get(1));
        (output * &grad.tensor).sum(Kind::Float)
    });
    let mut gradients = Tensor::run_backward(&[output], &leaves, false, false).into_iter();
    let grad_qkv = gradients.next().expect("a gradient for each leaf");
    (
        TchTensor::new(grad_qkv),
        gradients.next().map(TchTensor::new),
    )
}

fn attention(args: &Attention, qkv: &Tensor, table: Option<&Tensor>) -> Tensor {
    let device = qkv.device();
    let (features, max) = (args.cu_seqlens.len(), args.cu_seqlens.max_seqlen());
    let (tokens, columns) = qkv.size2().expect("a matrix");
    let (hidden_size, heads) = (columns / 3, args.num_heads as i64);
    let head_size = hidden_size / heads;
    let packed_indices = args.cu_seqlens.packed_indices_on(device).tensor;
    let shape = [features as i64, max as i64, 3, heads, head_size];
    // `[features, 1, 1, max]`: whether a position holds no token.
    let padding = Tensor::ones([shape[0] * shape[1]], (Kind::Bool, device))
        .index_fill(0, &packed_indices, 0i64)
        .view([shape[0], 1, 1, shape[1]]);
    let padded = Tensor::zeros([shape[0] * shape[1], columns], (qkv.kind(), device))
        .index_copy(0, &packed_indices, qkv)
        .view(shape)
        .permute([2, 0, 3, 1, 4]);
    let [mut query, mut key, value] = [0, 1, 2].map(|index| padded.select(0, index));
    if let Some(rotary) = args.rotary {
        [query, key] = [query, key].map(|rows| rotate(&rows, rotary));
    }
    let scale = f64::from(args.scale(head_size as usize));
    let mut scores = query.matmul(&key.transpose(-2, -1)) * scale;
    if let Some((relative, table)) = args.relative.zip(table) {
        scores += scaled(relative, table, [&query, &key], scale);
    }
    let mut hidden = padding;
    if let Some(window) = args.window {
        let positions = Tensor::arange(shape[1], (Kind::Int64, device));
        let distance = (positions.unsqueeze(0) - positions.unsqueeze(1)).abs();
        hidden = hidden.logical_or(&distance.gt(window as i64));
        // A query of the padding whose window has no token takes all keys: softmax needs one.
        hidden = hidden.logical_and(&hidden.all_dim(-1, true).logical_not());
    }
    let scores = scores.masked_fill(&hidden, f64::NEG_INFINITY);
    let mut probabilities = scores.softmax(-1, qkv.kind());
    if let Some(dropout) = &args.dropout {
        probabilities = with_seed(dropout, || {
            probabilities.native_dropout(dropout.prob(), true).0
        });
    }
    probabilities
        .matmul(&value)
        .transpose(1, 2)
        .reshape([-1, hidden_size])
        .index_select(0, &packed_indices)
        .view([tokens, hidden_size])
}

/// Queries or keys, `[features, heads, max, head_size]`, rotated by their positions.
fn rotate(rows: &Tensor, rotary: RotaryEmbedding) -> Tensor {
    let (max, head_size) = (rows.size()[2], rows.size()[3]);
    let tables = rotary.cos_sin(max as usize, head_size as usize);
    let [cos, sin] = tables.map(|values| {
        let table = upload_slice(&values, rows.device());
        table.view([max, head_size / 2]).to_kind(rows.kind())
    });
    let [x, y] = [0, 1].map(|part| rows.narrow(-1, part * head_size / 2, head_size / 2));
    Tensor::cat(&[&x * &cos - &y * &sin, &y * &cos + &x * &sin], -1)
}

/// What a relative term adds to the scaled scores.
fn scaled(relative: Relative, table: &Tensor, [query, key]: [&Tensor; 2], scale: f64) -> Tensor {
    let (heads, max, head_size) = (query.size()[1], query.size()[2], query.size()[3]);
    let by_offset: Vec<i64> = relative
        .buckets
        .rows_by_offset(max as usize)
        .into_iter()
        .map(|row| row as i64)
        .collect();
    let offsets = Tensor::arange(max, (Kind::Int64, query.device()));
    let offsets = offsets.unsqueeze(0) - offsets.unsqueeze(1) + (max - 1);
    let rows = upload_slice(&by_offset, query.device()).take(&offsets);
    let RelativeKind::Disentangled { p2c, c2p } = relative.kind else {
        let bias = table.index_select(0, &rows.flatten(0, -1));
        let bias = bias.view([max, max, heads]).permute([2, 0, 1]);
        return bias.to_kind(query.kind());
    };
    let rows = rows.expand([query.size()[0], heads, max, max], true);
    let part = |index: i64| {
        let columns = table.narrow(1, index * heads * head_size, heads * head_size);
        columns
            .view([-1, heads, head_size])
            .permute([1, 2, 0])
            .to_kind(query.kind())
    };
    let c2p = c2p.then(|| query.matmul(&part(i64::from(p2c))).gather(-1, &rows, false));
    let p2c = p2c.then(|| {
        let products = key.matmul(&part(0));
        let rows = rows.transpose(-2, -1);
        products.gather(-1, &rows, false).transpose(-2, -1)
    });
    let terms = c2p.into_iter().chain(p2c).reduce(|a, b| a + b);
    terms.expect("disentangled attention has a term of positions") * scale
}

/// libtorch's operations for a GPU, on CPU tensors.
#[cfg(test)]
mod tests {
    use super::super::libtorch;
    use super::super::terms::RelativeBuckets;
    use super::*;
    use crate::backend::libtorch::testing::{assert_close, distance, numbers};
    use crate::cu_seqlens::CuSeqlens;
    use crate::philox::{Dropout, DropoutKey};
    use crate::precision::Precision;

    /// Relative to the largest number: sums of up to 150 products, in another order.
    const TOLERANCE: f64 = 1e-5;

    const LENGTHS: [usize; 3] = [1, 150, 40];

    fn args(kind: RelativeKind, window: Option<usize>) -> Attention {
        Attention {
            cu_seqlens: CuSeqlens::new(&LENGTHS),
            num_heads: 2,
            dropout: None,
            rotary: Some(RotaryEmbedding { theta: 1e4 }),
            window,
            relative: Some(Relative {
                kind,
                buckets: RelativeBuckets::Log {
                    position_buckets: 16,
                    max_position: 64,
                },
            }),
            precision: Precision::F32,
        }
    }

    /// Output and gradients, of the table too.
    fn outcome(args: &Attention, padded: bool) -> Vec<TchTensor> {
        let columns = args.relative.expect("a table").kind.columns(2, 32);
        let (qkv, table) = (
            numbers(1.0, &[191, 96]),
            numbers(2.0, &[32, columns as i64]),
        );
        let grad = numbers(3.0, &[191, 32]);
        let (output, gradients) = if padded {
            let (output, saved) = forward(args, &qkv, Some(&table));
            (output, backward(args, &saved, &grad))
        } else {
            let (output, saved) = libtorch::forward(args, &qkv, Some(&table), true);
            (output, libtorch::backward(args, &saved, &grad))
        };
        vec![
            output,
            gradients.0,
            gradients.1.expect("a gradient of the table"),
        ]
    }

    #[test]
    fn libtorch_equals_the_kernels() {
        let disentangled = |p2c, c2p| RelativeKind::Disentangled { p2c, c2p };
        for kind in [
            RelativeKind::Bias,
            disentangled(true, true),
            disentangled(true, false),
            disentangled(false, true),
        ] {
            for window in [None, Some(7)] {
                let args = args(kind, window);
                let expected = outcome(&args, false);
                assert_close(&outcome(&args, true), &expected, TOLERANCE);
            }
            // Negative control: another window.
            let [ours, other] = [Some(7), Some(8)].map(|window| args(kind, window));
            let [ours, other] = [outcome(&ours, true), outcome(&other, false)];
            assert!(distance(&ours[0].tensor, &other[0].tensor) > 1e-3);
        }
    }

    /// The gradient is that of the output with its own mask: both are linear in the values.
    #[test]
    fn libtorch_dropout_is_the_same_in_the_backward_pass() {
        let key = DropoutKey {
            seed: 3,
            rank: 0,
            micro_batch: 0,
            step: 1,
            site: 1,
        };
        let mut args = args(RelativeKind::Bias, None);
        args.dropout = Dropout::new(0.3, key);
        let (qkv, table) = (numbers(1.0, &[191, 96]), numbers(2.0, &[32, 2]));
        let grad = numbers(3.0, &[191, 32]);
        let (output, saved) = forward(&args, &qkv, Some(&table));
        let (grad_qkv, _) = backward(&args, &saved, &grad);
        let sum = |tensor: Tensor| tensor.sum(Kind::Double).double_value(&[]);
        let from_output = sum(&output.tensor * &grad.tensor);
        let third = |tensor: &TchTensor| tensor.tensor.narrow(1, 64, 32);
        let from_gradient = sum(third(&qkv) * third(&grad_qkv));
        let error = (from_output - from_gradient).abs();
        assert!(
            error < 1e-3 * (1.0 + from_output.abs()),
            "{from_output}, {from_gradient}"
        );
    }
}
