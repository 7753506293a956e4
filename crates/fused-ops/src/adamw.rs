use burn::tensor::Tensor;

/// One AdamW step's constants (Loshchilov & Hutter 2019; PyTorch's `torch.optim.AdamW`).
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// Decay rate of the first moment.
    pub beta1: f64,
    /// Decay rate of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay, multiplied by the learning rate.
    pub weight_decay: f64,
    /// The number of this step, counted from 1, for the bias corrections.
    pub step: u32,
    /// The gradient is multiplied by this first: the factor of global-norm clipping.
    pub gradient_scale: f64,
}

impl AdamW {
    /// `1 - beta^step` for both moments.
    pub(crate) fn bias_corrections(&self) -> (f64, f64) {
        let step = self.step as i32;
        (1.0 - self.beta1.powi(step), 1.0 - self.beta2.powi(step))
    }
}

/// One AdamW step of one parameter; returns the new parameter and moments.
///
/// All four tensors have the same shape and no autodiff. Where a backend owns a tensor alone, it
/// is updated in place.
pub fn adamw_step<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    moments: (Tensor<D>, Tensor<D>),
    adamw: &AdamW,
) -> (Tensor<D>, (Tensor<D>, Tensor<D>)) {
    #[cfg(any(feature = "ndarray", feature = "tch"))]
    if crate::extension::takes(&parameter) {
        return crate::extension::adamw_step(parameter, gradient, moments, adamw);
    }
    reference(parameter, gradient, moments, adamw)
}

/// [`adamw_step`] from Burn primitives.
pub fn reference<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    (first, second): (Tensor<D>, Tensor<D>),
    adamw: &AdamW,
) -> (Tensor<D>, (Tensor<D>, Tensor<D>)) {
    let gradient = gradient * adamw.gradient_scale;
    let first = first * adamw.beta1 + gradient.clone() * (1.0 - adamw.beta1);
    let second = second * adamw.beta2 + gradient.square() * (1.0 - adamw.beta2);
    let (correction1, correction2) = adamw.bias_corrections();
    let denominator = (second.clone() / correction2).sqrt() + adamw.eps;
    let update = first.clone() / denominator * (adamw.learning_rate / correction1);
    let decayed = parameter * (1.0 - adamw.learning_rate * adamw.weight_decay);
    (decayed - update, (first, second))
}
