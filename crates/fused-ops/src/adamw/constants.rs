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

impl AdamW {
    /// `1 - beta^step` for both moments.
    pub(crate) fn bias_corrections(&self) -> (f64, f64) {
        let step = self.step as i32;
        (1.0 - self.beta1.powi(step), 1.0 - self.beta2.powi(step))
    }
}
