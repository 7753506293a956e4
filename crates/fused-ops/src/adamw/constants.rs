use burn::tensor::Tensor;

/// The constants of one AdamW step (Loshchilov & Hutter 2019; PyTorch's `torch.optim.AdamW`).
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// Decay rate of the first moment, `exp_avg`.
    pub beta1: f64,
    /// Decay rate of the second moment, `exp_avg_sq`.
    pub beta2: f64,
    /// Added to the square root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay. It is multiplied by the learning rate.
    pub weight_decay: f64,
    /// The number of this step, from 1, for the bias corrections.
    pub step: u32,
    /// Multiplies the gradient first: the factor of global-norm clipping.
    pub gradient_scale: f64,
}

/// The scale of gradients as numbers on their device, which the host need not know.
#[derive(Clone, Debug)]
pub struct GradientScale {
    /// `[1]`: gradients are divided by it.
    pub divisor: Tensor<1>,
    /// `[1]`: 1 if a gradient is NaN or infinite, so that the step changes nothing, else 0.
    pub found_inf: Tensor<1>,
}

impl GradientScale {
    /// The constants of a step with this scale; `None` if it changes nothing.
    pub(super) fn to_host(&self, adamw: &AdamW) -> Option<AdamW> {
        if self.found_inf.clone().into_scalar::<f32>() != 0.0 {
            return None;
        }
        let divisor = f64::from(self.divisor.clone().into_scalar::<f32>());
        Some(AdamW {
            gradient_scale: 1.0 / divisor,
            ..*adamw
        })
    }
}

impl AdamW {
    /// `1 - beta^step` for both moments.
    pub(crate) fn bias_corrections(&self) -> (f64, f64) {
        let step = self.step as i32;
        (1.0 - self.beta1.powi(step), 1.0 - self.beta2.powi(step))
    }
}
