use std::collections::HashMap;

use bert_qa::hugging_face_name;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Gradients, Tensor};
use fused_ops::{AdamW, adamw_step};

use crate::config::TrainConfig;
use crate::optim::gradients::ParameterGradients;
use crate::optim::parameters::{decays, learning_rate_scale, num_layers};

/// AdamW over a model's parameters with two decay groups: biases and LayerNorm do not decay.
///
/// The state is keyed by Hugging Face's parameter names, flat, so that it can be saved and read
/// without the module.
#[derive(Debug)]
pub struct Optimizer {
    constants: AdamW,
    weight_decay: f64,
    max_grad_norm: f64,
    layerwise_lr_decay: f64,
    /// Of the model, where the rate depends on it; none before the first step.
    num_layers: Option<usize>,
    pub(crate) moments: Moments,
}

/// First and second moment of each parameter, or of the part of it that is updated here,
/// `[elements]`, by Hugging Face's names.
pub(crate) type Moments = HashMap<String, (Tensor<1>, Tensor<1>)>;

impl Optimizer {
    /// An optimizer that has made no step.
    pub fn new(config: &TrainConfig) -> Self {
        let constants = AdamW {
            learning_rate: 0.0,
            beta1: config.adam_beta1,
            beta2: config.adam_beta2,
            eps: config.adam_epsilon,
            weight_decay: 0.0,
            step: 0,
            gradient_scale: 1.0,
        };
        Self {
            constants,
            weight_decay: config.weight_decay,
            max_grad_norm: config.max_grad_norm,
            layerwise_lr_decay: config.layerwise_lr_decay,
            num_layers: None,
            moments: HashMap::new(),
        }
    }

    /// Steps made.
    pub fn steps(&self) -> u32 {
        self.constants.step
    }

    /// Goes on from a saved state.
    pub(crate) fn restore(&mut self, step: u32, moments: Moments) {
        self.constants.step = step;
        self.moments = moments;
    }

    /// Clips the global norm of `gradients` and makes one step; returns the new model and the norm
    /// before clipping.
    pub fn step<M: Module>(
        &mut self,
        model: M,
        gradients: Gradients,
        learning_rate: f64,
    ) -> (M, f32) {
        let mut sums = ParameterGradients::default();
        sums.add(&model, gradients);
        let norm = sums.norm(&model);
        (self.apply(model, sums, norm, learning_rate), norm)
    }

    /// One step with gradients whose global norm is `norm`.
    pub fn apply<M: Module>(
        &mut self,
        model: M,
        gradients: ParameterGradients,
        norm: f32,
        learning_rate: f64,
    ) -> M {
        self.begin(&model, norm, 1, learning_rate);
        self.update_all(model, gradients)
    }

    /// Begins a step with gradients that are sums over `count` windows: `norm` is theirs. They are
    /// divided, then clipped, as they are used.
    pub(crate) fn begin<M: Module>(
        &mut self,
        model: &M,
        norm: f32,
        count: usize,
        learning_rate: f64,
    ) {
        if self.layerwise_lr_decay < 1.0 && self.num_layers.is_none() {
            self.num_layers = Some(num_layers(model));
        }
        let count = count as f64;
        self.constants.step += 1;
        self.constants.learning_rate = learning_rate;
        self.constants.gradient_scale =
            clip_factor(f64::from(norm) / count, self.max_grad_norm) / count;
    }

    /// Updates every parameter that has a gradient, in a step that was begun.
    pub(crate) fn update_all<M: Module>(&mut self, model: M, gradients: ParameterGradients) -> M {
        let mut step = Step {
            optimizer: self,
            gradients,
            path: Vec::new(),
        };
        model.map(&mut step)
    }

    /// Updates a parameter or a part of it, `[elements]`, in a step that was begun.
    pub(crate) fn update(
        &mut self,
        name: &str,
        parameter: Tensor<1>,
        gradient: Tensor<1>,
    ) -> Tensor<1> {
        let weight_decay = if decays(name) { self.weight_decay } else { 0.0 };
        let num_layers = self.num_layers.unwrap_or_default();
        let scale = learning_rate_scale(name, num_layers, self.layerwise_lr_decay);
        let adamw = AdamW {
            weight_decay,
            learning_rate: self.constants.learning_rate * scale,
            ..self.constants
        };
        let (name, state) = self.moments.remove_entry(name).unwrap_or_else(|| {
            let zeros = || parameter.zeros_like();
            (name.to_owned(), (zeros(), zeros()))
        });
        let (parameter, state) = adamw_step(parameter, gradient, state, &adamw);
        self.moments.insert(name, state);
        parameter
    }
}

/// As PyTorch's `clip_grad_norm_`: `max / (norm + 1e-6)`, at most 1; a maximum of 0 does not clip.
fn clip_factor(norm: f64, max_norm: f64) -> f64 {
    match max_norm > 0.0 {
        true => (max_norm / (norm + 1e-6)).min(1.0),
        false => 1.0,
    }
}

/// One step over all parameters.
struct Step<'a> {
    optimizer: &'a mut Optimizer,
    gradients: ParameterGradients,
    path: Vec<String>,
}

impl ModuleMapper for Step<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let Some(gradient) = self.gradients.take(id) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let name = hugging_face_name(&self.path.join("."));
        let shape = tensor.shape();
        let parameter = tensor.inner().reshape([shape.num_elements()]);
        let parameter = self.optimizer.update(&name, parameter, gradient);
        let parameter = Tensor::from_inner(parameter.reshape(shape)).require_grad();
        Param::from_mapped_value(id, parameter, mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_only_shrinks() {
        assert_eq!(clip_factor(0.5, 1.0), 1.0);
        assert!((clip_factor(4.0, 1.0) - 0.25).abs() < 1e-6);
        assert_eq!(clip_factor(4.0, 0.0), 1.0);
    }
}
