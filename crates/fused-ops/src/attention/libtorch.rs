//! Attention on libtorch's tensors: the kernels of this crate on the CPU, libtorch's on a GPU.

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use tch::{Kind, Tensor};
use torch_shim::AttentionOutput;

use super::kernel::Attention;
use super::padded;
use crate::backend::libtorch::{cast, on_cpu, seed, to_f32};
use crate::philox::Dropout;

/// Saves what the backward pass needs, the relative term's table last where there is one.
pub(super) fn forward(
    args: &Attention,
    qkv: &TchTensor,
    table: Option<&TchTensor>,
) -> (TchTensor, Vec<TchTensor>) {
    if !on_cpu(qkv) {
        return if args.is_plain() {
            forward_on_gpu(args, qkv)
        } else {
            padded::forward(args, qkv, table)
        };
    }
    let single = table.map(to_f32);
    let (output, mut saved) = args.forward_on_host::<LibTorch>(&to_f32(qkv), single.as_ref());
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
    if !on_cpu(qkv) {
        return if args.is_plain() {
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

/// Query, key and value from side by side.
fn thirds(qkv: &TchTensor) -> [Tensor; 3] {
    let (_, columns) = qkv.tensor.size2().expect("a matrix");
    [0, 1, 2].map(|part| qkv.tensor.narrow(1, part * columns / 3, columns / 3))
}

/// Matrices as `[tokens, heads, head_size]`.
fn heads(tensors: [&Tensor; 3], num_heads: usize) -> [Tensor; 3] {
    tensors.map(|tensor| {
        let (tokens, hidden_size) = tensor.size2().expect("a matrix");
        let shape = [tokens, num_heads as i64, hidden_size / num_heads as i64];
        tensor.contiguous().view(shape)
    })
}

fn is_bf16(tensor: &Tensor) -> bool {
    tensor.kind() == Kind::BFloat16
}

/// Saves query, key and value, the output, the log-sum-exps, the random seed and offset, and the cumulative lengths.
fn forward_on_gpu(args: &Attention, qkv: &TchTensor) -> (TchTensor, Vec<TchTensor>) {
    let offsets = args.cu_seqlens.offsets().iter();
    let cu_seqlens: Vec<i32> = offsets.map(|offset| *offset as i32).collect();
    let cu_seqlens = Tensor::from_slice(&cu_seqlens).to_device(qkv.tensor.device());
    let max_seqlen = args.cu_seqlens.max_seqlen() as i64;
    let inputs = thirds(qkv);
    let [query, key, value] = heads(inputs.each_ref(), args.num_heads);
    let dropout = args.dropout.as_ref().map_or(0.0, |dropout| {
        seed(dropout);
        dropout.prob()
    });
    let output = if is_bf16(&query) {
        let inputs = [&query, &key, &value];
        torch_shim::flash_attention(inputs, &cu_seqlens, max_seqlen, dropout)
    } else {
        let [query, key, value] = [&query, &key, &value].map(|tensor| tensor.unsqueeze(0));
        let inputs = [&query, &key, &value];
        torch_shim::efficient_attention(inputs, &cu_seqlens, max_seqlen, dropout)
    };
    let AttentionOutput {
        output,
        lse,
        seed,
        offset,
    } = output.expect("libtorch's attention takes the shapes and types of a BERT encoder");
    let output = TchTensor::new(output.reshape(inputs[0].size()));
    let mut saved = vec![qkv.clone(), output.clone()];
    saved.extend([lse, seed, offset, cu_seqlens].map(TchTensor::new));
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
    let inputs = thirds(qkv);
    let shape = inputs[0].size();
    let [query, key, value] = heads(inputs.each_ref(), args.num_heads);
    let (output, grad) = (&output.tensor, &grad.tensor);
    let [output, grad, _] = heads([output, grad, grad], args.num_heads);
    let gradients = if is_bf16(&query) {
        let (grad_query, grad_key, grad_value) = Tensor::internal_flash_attention_backward(
            &grad, &query, &key, &value, &output, lse, cu_seqlens, cu_seqlens, max_seqlen,
            max_seqlen, dropout, false, seed, offset, None, None, None,
        );
        [grad_query, grad_key, grad_value]
    } else {
        let batch = [&grad, &query, &key, &value, &output].map(|tensor| tensor.unsqueeze(0));
        let [grad, query, key, value, output] = &batch;
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
            false,
        );
        [grad_query, grad_key, grad_value]
    };
    let gradients = gradients.map(|gradient| gradient.reshape(&shape));
    TchTensor::new(Tensor::cat(&gradients, 1))
}
