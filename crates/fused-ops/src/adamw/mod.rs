//! The AdamW optimizer step.

mod constants;
#[cfg(kernels)]
mod kernel;
#[cfg(feature = "tch")]
mod libtorch;
#[cfg(kernels)]
mod update;

use burn::tensor::Tensor;

pub use constants::{AdamW, GradientScale};

/// A parameter with its gradient and moments, `[elements]` each, on one device without autodiff.
#[derive(Clone, Debug)]
pub struct AdamWTensors {
    /// The parameter.
    pub parameter: Tensor<1>,
    /// Its gradient.
    pub grad: Tensor<1>,
    /// Its first moment.
    pub exp_avg: Tensor<1>,
    /// Its second moment.
    pub exp_avg_sq: Tensor<1>,
}

/// [`adamw_step`] of all parameters of a group; on a GPU in one operation. Returns each new parameter with its moments.
///
/// `scale` replaces `adamw.gradient_scale` where it is given: then the host does not wait for the gradient's norm.
pub fn adamw_step_group(
    group: Vec<AdamWTensors>,
    adamw: &AdamW,
    scale: Option<&GradientScale>,
) -> Vec<(Tensor<1>, (Tensor<1>, Tensor<1>))> {
    #[cfg(feature = "tch")]
    if let Some(first) = group.first()
        && crate::backend::has_operations_of_gpu(&first.parameter.device())
    {
        return libtorch::step_group(group, adamw, scale);
    }
    let Some(adamw) = scale.map_or(Some(*adamw), |scale| scale.to_host(adamw)) else {
        let unchanged = |tensors: AdamWTensors| {
            let moments = (tensors.exp_avg, tensors.exp_avg_sq);
            (tensors.parameter, moments)
        };
        return group.into_iter().map(unchanged).collect();
    };
    let step = |tensors: AdamWTensors| {
        let moments = (tensors.exp_avg, tensors.exp_avg_sq);
        adamw_step(tensors.parameter, tensors.grad, moments, &adamw)
    };
    group.into_iter().map(step).collect()
}

/// One AdamW step of one parameter. Returns the new parameter and moments.
///
/// All four tensors have the same shape and no autodiff. A tensor whose memory nothing else holds is updated in place.
pub fn adamw_step<const D: usize>(
    parameter: Tensor<D>,
    grad: Tensor<D>,
    (exp_avg, exp_avg_sq): (Tensor<D>, Tensor<D>),
    adamw: &AdamW,
) -> (Tensor<D>, (Tensor<D>, Tensor<D>)) {
    #[cfg(kernels)]
    if crate::backend::is_supported(&parameter) {
        let tensors = [parameter, exp_avg, exp_avg_sq];
        let [parameter, exp_avg, exp_avg_sq] = crate::backend::update(tensors, grad, *adamw);
        return (parameter, (exp_avg, exp_avg_sq));
    }
    reference(parameter, grad, (exp_avg, exp_avg_sq), adamw)
}

/// [`adamw_step`] from Burn primitives.
pub fn reference<const D: usize>(
    parameter: Tensor<D>,
    grad: Tensor<D>,
    (exp_avg, exp_avg_sq): (Tensor<D>, Tensor<D>),
    adamw: &AdamW,
) -> (Tensor<D>, (Tensor<D>, Tensor<D>)) {
    let grad = grad * adamw.gradient_scale;
    let exp_avg = exp_avg * adamw.beta1 + grad.clone() * (1.0 - adamw.beta1);
    let exp_avg_sq = exp_avg_sq * adamw.beta2 + grad.square() * (1.0 - adamw.beta2);
    let (correction1, correction2) = adamw.bias_corrections();
    let denominator = (exp_avg_sq.clone() / correction2).sqrt() + adamw.eps;
    let update = exp_avg.clone() / denominator * (adamw.learning_rate / correction1);
    let decayed = parameter * (1.0 - adamw.learning_rate * adamw.weight_decay);
    (decayed - update, (exp_avg, exp_avg_sq))
}
