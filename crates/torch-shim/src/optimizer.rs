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
        step: *const C_tensor,
        learning_rate: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
        grad_scale: *const C_tensor,
        found_inf: *const C_tensor,
    ) -> *mut c_char;
    fn shim_foreach_norm(
        out: *mut *mut C_tensor,
        count: usize,
        tensors: *const *const C_tensor,
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

/// A parameter with its gradient and moments, all of one shape.
#[derive(Debug)]
pub struct AdamWTensors {
    /// The parameter.
    pub parameter: Tensor,
    /// Its gradient.
    pub gradient: Tensor,
    /// Its first moment.
    pub exp_avg: Tensor,
    /// Its second moment.
    pub exp_avg_sq: Tensor,
}

/// `at::_fused_adamw_` on parameters of one device, in place. It first divides the gradients by `grad_scale` and writes
/// them back; where `found_inf` is 1, it changes nothing else.
///
/// `step` is the number of this step. It, `grad_scale` and `found_inf` are `f32` scalars on the device.
///
/// # Errors
/// Those of libtorch, if shapes, types or devices do not fit.
pub fn fused_adamw(
    tensors: &mut [AdamWTensors],
    step: &Tensor,
    [grad_scale, found_inf]: [&Tensor; 2],
    adamw: &FusedAdamW,
) -> Result<(), TchError> {
    let mut list = |of: fn(&mut AdamWTensors) -> &mut Tensor| -> Vec<_> {
        tensors.iter_mut().map(|all| of(all).as_mut_ptr()).collect()
    };
    let parameters = list(|all| &mut all.parameter);
    let gradients = list(|all| &mut all.gradient);
    let exp_avg = list(|all| &mut all.exp_avg);
    let exp_avg_sq = list(|all| &mut all.exp_avg_sq);
    // SAFETY: live tensors in lists of equal length, which the call does not keep.
    check(unsafe {
        shim_fused_adamw(
            parameters.len(),
            parameters.as_ptr(),
            gradients.as_ptr(),
            exp_avg.as_ptr(),
            exp_avg_sq.as_ptr(),
            step.as_ptr(),
            adamw.learning_rate,
            adamw.beta1,
            adamw.beta2,
            adamw.weight_decay,
            adamw.eps,
            grad_scale.as_ptr(),
            found_inf.as_ptr(),
        )
    })
}

/// `at::_foreach_norm`: the 2-norm of each tensor, `[tensors]`. All tensors are on one device.
///
/// # Errors
/// Those of libtorch, such as for no tensor at all.
pub fn foreach_norm(tensors: &[&Tensor]) -> Result<Tensor, TchError> {
    let pointers: Vec<_> = tensors.iter().map(|tensor| tensor.as_ptr()).collect();
    let mut out = std::ptr::null_mut();
    // SAFETY: live tensors, which the call does not keep; on success the result is a new tensor, which the caller owns.
    unsafe {
        check(shim_foreach_norm(
            &raw mut out,
            pointers.len(),
            pointers.as_ptr(),
        ))?;
        Ok(Tensor::from_ptr(out))
    }
}
