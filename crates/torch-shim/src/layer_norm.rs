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

/// `at::native_layer_norm_backward` over the last dimension: gradients of input, weight and bias
/// from that of the output, and the statistics that the forward pass gave.
///
/// # Errors
/// libtorch's, if shapes, types or devices disagree.
pub fn layer_norm_backward(
    grad: &Tensor,
    input: &Tensor,
    [mean, inverse_std]: [&Tensor; 2],
    weight: &Tensor,
) -> Result<[Tensor; 3], TchError> {
    let mut out = [std::ptr::null_mut(); 3];
    let [grad, input, mean, inverse_std, weight] =
        [grad, input, mean, inverse_std, weight].map(Tensor::as_ptr);
    // SAFETY: the inputs are live tensors, and without a message all three results are new
    // tensors that are ours.
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
