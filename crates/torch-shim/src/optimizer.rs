use std::ffi::c_char;

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

use crate::error::check;

unsafe extern "C" {
    fn shim_fused_adamw(
        count: usize,
        parameters: *const *mut C_tensor,
        gradients: *const *mut C_tensor,
        exp_avg: *const *mut C_tensor,
        exp_avg_sq: *const *mut C_tensor,
        steps: *const *mut C_tensor,
        learning_rate: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
        grad_scale: *const C_tensor,
    ) -> *mut c_char;
}

/// The constants of one AdamW step.
#[derive(Clone, Copy, Debug)]
pub struct FusedAdamW {
    /// The learning rate.
    pub learning_rate: f64,
    /// Decay rate of the first moment, `exp_avg`.
    pub beta1: f64,
    /// Decay rate of the second moment, `exp_avg_sq`.
    pub beta2: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Added to the square root of the second moment.
    pub eps: f64,
}

/// `at::_fused_adamw_` on one parameter, in place. It first divides the gradient by `grad_scale` and writes it back.
///
/// `step`, an `f32` scalar, is the number of this step. All tensors are on one device.
///
/// # Errors
/// Those of libtorch, if shapes, types or devices do not fit.
pub fn fused_adamw(
    parameter: &mut Tensor,
    gradient: &mut Tensor,
    [exp_avg, exp_avg_sq]: [&mut Tensor; 2],
    step: &mut Tensor,
    grad_scale: &Tensor,
    adamw: &FusedAdamW,
) -> Result<(), TchError> {
    let [parameter, gradient, exp_avg, exp_avg_sq, step] =
        [parameter, gradient, exp_avg, exp_avg_sq, step].map(Tensor::as_mut_ptr);
    // SAFETY: live tensors in lists of one, which the call does not keep.
    check(unsafe {
        shim_fused_adamw(
            1,
            &raw const parameter,
            &raw const gradient,
            &raw const exp_avg,
            &raw const exp_avg_sq,
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
