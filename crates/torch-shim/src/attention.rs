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
        bounds: *const C_tensor,
        longest: i64,
        dropout: f64,
    ) -> *mut c_char;
    fn shim_flash_attention(
        out: *mut *mut C_tensor,
        query: *const C_tensor,
        key: *const C_tensor,
        value: *const C_tensor,
        bounds: *const C_tensor,
        longest: i64,
        dropout: f64,
    ) -> *mut c_char;
}

/// What an attention kernel of libtorch gives, all of which its backward pass needs.
#[derive(Debug)]
pub struct Attention {
    /// Of the query's shape.
    pub output: Tensor,
    /// The logarithms of the rows' sums of exponentials.
    pub log_sum_exp: Tensor,
    /// The random seed of the dropout mask.
    pub seed: Tensor,
    /// The random offset of the dropout mask.
    pub offset: Tensor,
}

/// `at::_efficient_attention_forward` inside windows, on a GPU: `query`, `key` and `value` are
/// `[1, tokens, heads, head_size]`, `bounds` is `[windows + 1]` of `i32`, the windows' running
/// lengths from 0; `longest` is the longest window's length.
///
/// # Errors
/// libtorch's: there is no such kernel on the CPU.
pub fn efficient_attention(
    [query, key, value]: [&Tensor; 3],
    bounds: &Tensor,
    longest: i64,
    dropout: f64,
) -> Result<Attention, TchError> {
    let inputs = [query, key, value, bounds];
    forward(shim_efficient_attention, inputs, longest, dropout)
}

/// `at::_flash_attention_forward` inside windows, on a GPU, for half precision: as
/// [`efficient_attention`] with `[tokens, heads, head_size]`.
///
/// # Errors
/// libtorch's: there is no such kernel on the CPU, nor for `f32`.
pub fn flash_attention(
    [query, key, value]: [&Tensor; 3],
    bounds: &Tensor,
    longest: i64,
    dropout: f64,
) -> Result<Attention, TchError> {
    let inputs = [query, key, value, bounds];
    forward(shim_flash_attention, inputs, longest, dropout)
}

fn forward(
    kernel: Forward,
    inputs: [&Tensor; 4],
    longest: i64,
    dropout: f64,
) -> Result<Attention, TchError> {
    let mut out = [std::ptr::null_mut(); 4];
    let [query, key, value, bounds] = inputs.map(Tensor::as_ptr);
    // SAFETY: the inputs are live tensors, and without a message all four results are new tensors
    // that are ours.
    unsafe {
        check(kernel(
            out.as_mut_ptr(),
            query,
            key,
            value,
            bounds,
            longest,
            dropout,
        ))?;
        let [output, log_sum_exp, seed, offset] = out.map(|tensor| Tensor::from_ptr(tensor));
        Ok(Attention {
            output,
            log_sum_exp,
            seed,
            offset,
        })
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    /// Proves that both are linked and that libtorch's refusal arrives as an error.
    #[test]
    fn refusals_on_the_cpu_are_errors() {
        let bounds = Tensor::from_slice(&[0, 2, 5]);
        let on_cpu = |shape: &[i64]| Tensor::ones(shape, (Kind::Float, Device::Cpu));
        let x = on_cpu(&[1, 5, 2, 4]);
        let error = super::efficient_attention([&x, &x, &x], &bounds, 3, 0.1).unwrap_err();
        assert!(error.to_string().contains("CPU"), "{error}");
        let x = on_cpu(&[5, 2, 4]);
        let error = super::flash_attention([&x, &x, &x], &bounds, 3, 0.1).unwrap_err();
        assert!(error.to_string().contains("CPU"), "{error}");
    }
}
