use std::ffi::c_char;

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

use crate::error::check;

unsafe extern "C" {
    fn shim_layer_norm_backward(
        out: *mut *mut C_tensor,
        grad: *const C_tensor,
        input: *const C_tensor,
        mean: *const C_tensor,
        inverse_std: *const C_tensor,
        weight: *const C_tensor,
    ) -> *mut c_char;
}

/// `at::native_layer_norm_backward` over the last dimension: the gradients of input, weight and bias, from that of the
/// output and the mean and inverse standard deviation that the forward pass returns.
///
/// # Errors
/// Those of libtorch, if shapes, types or devices do not fit.
pub fn layer_norm_backward(
    grad: &Tensor,
    input: &Tensor,
    [mean, inverse_std]: [&Tensor; 2],
    weight: &Tensor,
) -> Result<[Tensor; 3], TchError> {
    let mut out = [std::ptr::null_mut(); 3];
    let [grad, input, mean, inverse_std, weight] =
        [grad, input, mean, inverse_std, weight].map(Tensor::as_ptr);
    // SAFETY: the inputs are live tensors; on success all three results are new tensors, which the caller owns.
    unsafe {
        check(shim_layer_norm_backward(
            out.as_mut_ptr(),
            grad,
            input,
            mean,
            inverse_std,
            weight,
        ))?;
        Ok(out.map(|tensor| Tensor::from_ptr(tensor)))
    }
}
