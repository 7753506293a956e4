use std::ffi::c_char;

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

use crate::error::check;

unsafe extern "C" {
    fn shim_fused_adamw(
        count: usize,
        parameters: *const *mut C_tensor,
        gradients: *const *mut C_tensor,
        first: *const *mut C_tensor,
        second: *const *mut C_tensor,
        steps: *const *mut C_tensor,
        learning_rate: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
        grad_scale: *const C_tensor,
    ) -> *mut c_char;
}

/// The constants of a step of AdamW.
#[derive(Clone, Copy, Debug)]
pub struct FusedAdamW {
    /// The learning rate.
    pub learning_rate: f64,
    /// Decay rate of the first moment.
    pub beta1: f64,
    /// Decay rate of the second moment.
    pub beta2: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
}

/// `at::_fused_adamw_` on one parameter: changes the parameter, its moments and nothing else.
/// The gradient is divided by `grad_scale` first (and written back so); `step`, an `f32` of no
/// dimensions, is the number of this step. All are on one device.
///
/// # Errors
/// libtorch's, if shapes, types or devices disagree.
pub fn fused_adamw(
    parameter: &mut Tensor,
    gradient: &mut Tensor,
    [first, second]: [&mut Tensor; 2],
    step: &mut Tensor,
    grad_scale: &Tensor,
    adamw: &FusedAdamW,
) -> Result<(), TchError> {
    let [parameter, gradient, first, second, step] =
        [parameter, gradient, first, second, step].map(Tensor::as_mut_ptr);
    // SAFETY: live tensors, lists of one each, which the call does not keep.
    check(unsafe {
        shim_fused_adamw(
            1,
            &raw const parameter,
            &raw const gradient,
            &raw const first,
            &raw const second,
            &raw const step,
            adamw.learning_rate,
            adamw.beta1,
            adamw.beta2,
            adamw.weight_decay,
            adamw.eps,
            grad_scale.as_ptr(),
        )
    })
}
