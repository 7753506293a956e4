//! Attention on libtorch's tensors: the kernels of this crate on the CPU, libtorch's on a GPU.

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use tch::{Kind, Tensor};
use torch_shim::AttentionOutput;

use super::kernel::Attention;
use super::padded;
use crate::backend::libtorch::{cast, is_in_host_memory, to_f32, with_seed};
use crate::philox::Dropout;

/// Whether libtorch's fused kernels compute this attention on a GPU. The rest takes libtorch's operations on padded features.
fn has_kernel(args: &Attention, qkv: &Tensor) -> bool {
    let (_, columns) = qkv.size2().expect("a matrix");
    let head_size = columns as usize / 3 / args.num_heads;
    args.is_plain() && supports_head_size(qkv.kind(), head_size)
}

/// Whether libtorch's kernels have this head size, forward and backward, with dropout, on every GPU that has the type.
fn supports_head_size(kind: Kind, head_size: usize) -> bool {
    match kind {
        Kind::BFloat16 => head_size.is_multiple_of(8) && head_size <= 192,
        _ => head_size.is_multiple_of(4),
    }
}

/// Saves what the backward pass needs, the relative term's table last where there is one.
pub(super) fn forward(
    args: &Attention,
    qkv: &TchTensor,
    table: Option<&TchTensor>,
    save: bool,
) -> (TchTensor, Vec<TchTensor>) {
    if !is_in_host_memory(qkv) {
        return if has_kernel(args, &qkv.tensor) {
            forward_on_gpu(args, qkv)
        } else {
            padded::forward(args, qkv, table)
        };
    }
    let single = table.map(to_f32);
    let (output, mut saved) = args.forward_on_host::<LibTorch>(&to_f32(qkv), single.as_ref(), save);
    let output = cast(&output, qkv.tensor.kind());
    saved.splice(..2, [qkv.clone(), output.clone()]);
    saved.splice(3.., table.cloned());
    (output, saved)
}

/// Gradients of query, key and value, and of the table.
pub(super) fn backward(
    args: &Attention,
    saved: &[TchTensor],
    grad: &TchTensor,
) -> (TchTensor, Option<TchTensor>) {
    let qkv = &saved[0];
    if !is_in_host_memory(qkv) {
        return if has_kernel(args, &qkv.tensor) {
            (backward_on_gpu(args, saved, grad), None)
        } else {
            padded::backward(args, saved, grad)
        };
    }
    let table_kind = saved.get(3).map(|table| table.tensor.kind());
    let saved: Vec<_> = saved.iter().map(to_f32).collect();
    let (grad_qkv, grad_table) = args.backward_on_host::<LibTorch>(&saved, &to_f32(grad));
    let grad_table = grad_table.zip(table_kind);
    (
        cast(&grad_qkv, qkv.tensor.kind()),
        grad_table.map(|(grad, kind)| cast(&grad, kind)),
    )
}

/// Query, key and value from side by side, `[tokens, heads, head_size]` each: views, which the kernels read with strides.
fn thirds(qkv: &Tensor, num_heads: usize) -> [Tensor; 3] {
    let (tokens, columns) = qkv.size2().expect("a matrix");
    let [heads, head_size] = [num_heads as i64, columns / 3 / num_heads as i64];
    let qkv = qkv.view([tokens, 3, heads, head_size]);
    [0, 1, 2].map(|part| qkv.select(1, part))
}

/// A matrix as `[tokens, heads, head_size]`.
fn heads(matrix: &Tensor, num_heads: usize) -> Tensor {
    let (tokens, columns) = matrix.size2().expect("a matrix");
    let heads = num_heads as i64;
    matrix.contiguous().view([tokens, heads, columns / heads])
}

/// Gradients of query, key and value side by side, `[tokens, 3 * hidden_size]`: without a copy if they lie so already.
fn side_by_side(gradients: [Tensor; 3]) -> Tensor {
    let [tokens, heads, head_size] = gradients[0]
        .size3()
        .expect("[tokens, heads, head_size]")
        .into();
    let hidden_size = heads * head_size;
    let strides = [3 * hidden_size, head_size, 1];
    let place = |gradient: &Tensor| gradient.data_ptr() as usize;
    let bytes = hidden_size as usize * gradients[0].kind().elt_size_in_bytes();
    let [query, key, value] = gradients.each_ref().map(place);
    let are_together = gradients
        .iter()
        .all(|gradient| gradient.stride() == strides)
        && key == query + bytes
        && value == key + bytes;
    if are_together {
        return gradients[0].as_strided([tokens, 3 * hidden_size], [3 * hidden_size, 1], None);
    }
    Tensor::cat(
        &gradients.map(|gradient| gradient.reshape([tokens, hidden_size])),
        1,
    )
}

fn is_bf16(tensor: &Tensor) -> bool {
    tensor.kind() == Kind::BFloat16
}

/// Saves query, key and value, the output, the log-sum-exps, the random seed and offset, and the cumulative lengths.
fn forward_on_gpu(args: &Attention, qkv: &TchTensor) -> (TchTensor, Vec<TchTensor>) {
    let cu_seqlens = args.cu_seqlens.offsets_on(qkv.tensor.device());
    let max_seqlen = args.cu_seqlens.max_seqlen() as i64;
    let inputs = thirds(&qkv.tensor, args.num_heads);
    let attend = |dropout| {
        if is_bf16(&qkv.tensor) {
            torch_shim::flash_attention(inputs.each_ref(), &cu_seqlens.tensor, max_seqlen, dropout)
        } else {
            let inputs = inputs.each_ref().map(|tensor| tensor.unsqueeze(0));
            let inputs = inputs.each_ref();
            torch_shim::efficient_attention(inputs, &cu_seqlens.tensor, max_seqlen, dropout)
        }
    };
    let output = match &args.dropout {
        Some(dropout) => with_seed(dropout, || attend(dropout.prob())),
        None => attend(0.0),
    };
    let AttentionOutput {
        output,
        lse,
        seed,
        offset,
    } = output.expect("`has_kernel` has checked what libtorch's attention takes");
    let (tokens, columns) = qkv.tensor.size2().expect("a matrix");
    let output = TchTensor::new(output.reshape([tokens, columns / 3]));
    let mut saved = vec![qkv.clone(), output.clone()];
    saved.extend([lse, seed, offset].map(TchTensor::new));
    saved.push(cu_seqlens);
    (output, saved)
}

fn backward_on_gpu(args: &Attention, saved: &[TchTensor], grad: &TchTensor) -> TchTensor {
    let [qkv, output, lse, seed, offset, cu_seqlens] = saved else {
        unreachable!("`forward_on_gpu` saves six tensors");
    };
    let [lse, seed, offset, cu_seqlens] =
        [lse, seed, offset, cu_seqlens].map(|tensor| &tensor.tensor);
    let max_seqlen = args.cu_seqlens.max_seqlen() as i64;
    let dropout = args.dropout.as_ref().map_or(0.0, Dropout::prob);
    let [query, key, value] = thirds(&qkv.tensor, args.num_heads);
    let [output, grad] = [output, grad].map(|matrix| heads(&matrix.tensor, args.num_heads));
    let gradients = if is_bf16(&query) {
        let (grad_query, grad_key, grad_value) = Tensor::internal_flash_attention_backward(
            &grad, &query, &key, &value, &output, lse, cu_seqlens, cu_seqlens, max_seqlen,
            max_seqlen, dropout, false, seed, offset, None, None, None,
        );
        [grad_query, grad_key, grad_value]
    } else {
        let batch = [&grad, &query, &key, &value, &output].map(|tensor| tensor.unsqueeze(0));
        let [grad, query, key, value, output] = &batch;
        let shared_storage = true; // The gradients lie side by side.
        let (grad_query, grad_key, grad_value, _) = Tensor::internal_efficient_attention_backward(
            grad,
            query,
            key,
            value,
            None::<&Tensor>,
            output,
            Some(cu_seqlens),
            Some(cu_seqlens),
            max_seqlen,
            max_seqlen,
            lse,
            dropout,
            seed,
            offset,
            0,
            false,
            None,
            None,
            None,
            shared_storage,
        );
        [grad_query, grad_key, grad_value].map(|gradient| gradient.squeeze_dim(0))
    };
    TchTensor::new(side_by_side(gradients))
}

/// What surrounds libtorch's kernels, which have no form for the CPU.
#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::backend::libtorch::testing::numbers;

    #[test]
    fn query_key_and_value_are_views_of_their_columns() {
        let qkv = numbers(1.0, &[5, 3 * 8]).tensor;
        for (part, view) in thirds(&qkv, 2).iter().enumerate() {
            assert_eq!(view.size(), [5, 2, 4]);
            // The kernels need the last dimension without gaps.
            assert_eq!(view.stride(), [24, 4, 1]);
            let columns = qkv.narrow(1, 8 * part as i64, 8);
            assert_eq!(view.data_ptr(), columns.data_ptr());
            assert_eq!(view.reshape([5, 8]), columns);
        }
    }

    #[test]
    fn gradients_that_lie_side_by_side_are_not_copied() {
        let expected = numbers(2.0, &[5, 24]).tensor;
        // As `shared_storage_dqdkdv` lays them out.
        let chunk = expected.copy().view([1, 5, 3, 2, 4]);
        let part = |part| chunk.select(2, part).squeeze_dim(0);
        let shared = side_by_side([part(0), part(1), part(2)]);
        assert_eq!(shared, expected);
        assert_eq!(shared.data_ptr(), chunk.data_ptr());
        // Otherwise, and in another order, they are.
        let apart = side_by_side([0, 1, 2].map(|i| part(i).contiguous()));
        assert_eq!(apart, expected);
        let swapped = side_by_side([part(0), part(2), part(1)]);
        assert_ne!(swapped, expected);
        assert_ne!(swapped.data_ptr(), chunk.data_ptr());
    }

    #[test]
    fn head_sizes_without_a_kernel_are_known() {
        for (kind, head_size, expected) in [
            (Kind::BFloat16, 64, true),
            (Kind::BFloat16, 20, false),
            (Kind::BFloat16, 200, false),
            (Kind::Float, 20, true),
            (Kind::Float, 10, false),
        ] {
            assert_eq!(
                supports_head_size(kind, head_size),
                expected,
                "{kind:?} {head_size}"
            );
        }
    }

    #[test]
    fn cumulative_lengths_are_uploaded_once() {
        let cu_seqlens = crate::CuSeqlens::new(&[3, 1, 4]);
        let first = cu_seqlens.offsets_on(Device::Cpu);
        assert_eq!(first.tensor, Tensor::from_slice(&[0i32, 3, 4, 8]));
        let again = cu_seqlens.clone().offsets_on(Device::Cpu);
        assert_eq!(first.tensor.data_ptr(), again.tensor.data_ptr());
        assert!(!first.can_mut());
    }
}
