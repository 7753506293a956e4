use std::ffi::c_char;

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

use crate::error::check;

type Forward = unsafe extern "C" fn(
    *mut *mut C_tensor,
    *const C_tensor,
    *const C_tensor,
    *const C_tensor,
    *const C_tensor,
    i64,
    f64,
) -> *mut c_char;

unsafe extern "C" {
    fn shim_efficient_attention(
        out: *mut *mut C_tensor,
        query: *const C_tensor,
        key: *const C_tensor,
        value: *const C_tensor,
        cu_seqlens: *const C_tensor,
        max_seqlen: i64,
        dropout: f64,
    ) -> *mut c_char;
    fn shim_flash_attention(
        out: *mut *mut C_tensor,
        query: *const C_tensor,
        key: *const C_tensor,
        value: *const C_tensor,
        cu_seqlens: *const C_tensor,
        max_seqlen: i64,
        dropout: f64,
    ) -> *mut c_char;
}

/// The results of an attention kernel, all of which its backward pass takes.
#[derive(Debug)]
pub struct AttentionOutput {
    /// Of the query's shape.
    pub output: Tensor,
    /// The log-sum-exp of each row of scores.
    pub lse: Tensor,
    /// The random seed of the dropout mask.
    pub seed: Tensor,
    /// The random offset of the dropout mask.
    pub offset: Tensor,
}

/// `at::_efficient_attention_forward` on a GPU, for sequences of several lengths.
///
/// `query`, `key` and `value` are `[1, tokens, heads, head_size]`; `cu_seqlens` are the cumulative sequence lengths,
/// `[sequences + 1]` of `i32` from 0; `max_seqlen` is the length of the longest sequence.
///
/// # Errors
/// Those of libtorch, which has no such kernel on the CPU.
pub fn efficient_attention(
    [query, key, value]: [&Tensor; 3],
    cu_seqlens: &Tensor,
    max_seqlen: i64,
    dropout: f64,
) -> Result<AttentionOutput, TchError> {
    let inputs = [query, key, value, cu_seqlens];
    forward(shim_efficient_attention, inputs, max_seqlen, dropout)
}

/// `at::_flash_attention_forward` on a GPU, for half precision: as [`efficient_attention`], with query, key and value of
/// `[tokens, heads, head_size]`.
///
/// # Errors
/// Those of libtorch, which has no such kernel on the CPU or for `f32`.
pub fn flash_attention(
    [query, key, value]: [&Tensor; 3],
    cu_seqlens: &Tensor,
    max_seqlen: i64,
    dropout: f64,
) -> Result<AttentionOutput, TchError> {
    let inputs = [query, key, value, cu_seqlens];
    forward(shim_flash_attention, inputs, max_seqlen, dropout)
}

fn forward(
    kernel: Forward,
    inputs: [&Tensor; 4],
    max_seqlen: i64,
    dropout: f64,
) -> Result<AttentionOutput, TchError> {
    let mut out = [std::ptr::null_mut(); 4];
    let [query, key, value, cu_seqlens] = inputs.map(Tensor::as_ptr);
    // SAFETY: the inputs are live tensors; on success all four results are new tensors, which the caller owns.
    unsafe {
        check(kernel(
            out.as_mut_ptr(),
            query,
            key,
            value,
            cu_seqlens,
            max_seqlen,
            dropout,
        ))?;
        let [output, lse, seed, offset] = out.map(|tensor| Tensor::from_ptr(tensor));
        Ok(AttentionOutput {
            output,
            lse,
            seed,
            offset,
        })
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    /// Shows that both kernels are linked and that an exception becomes an error.
    #[test]
    fn cpu_tensors_are_errors() {
        let cu_seqlens = Tensor::from_slice(&[0, 2, 5]);
        let on_cpu = |shape: &[i64]| Tensor::ones(shape, (Kind::Float, Device::Cpu));
        let x = on_cpu(&[1, 5, 2, 4]);
        let error = super::efficient_attention([&x, &x, &x], &cu_seqlens, 3, 0.1).unwrap_err();
        assert!(error.to_string().contains("CPU"), "{error}");
        let x = on_cpu(&[5, 2, 4]);
        let error = super::flash_attention([&x, &x, &x], &cu_seqlens, 3, 0.1).unwrap_err();
        assert!(error.to_string().contains("CPU"), "{error}");
    }
}
