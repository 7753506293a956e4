use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::{Gradients, Tensor};
use fused_ops::{AdamW, adamw_step};

use crate::config::TrainConfig;
use crate::optim::gradients::{ParameterGradients, gradient_scale};
use crate::optim::parameters::{ParameterGroup, parameter_groups};

/// AdamW (Loshchilov & Hutter 2019, <https://arxiv.org/abs/1711.05101>) with a weight decay and a learning-rate scale
/// for each parameter: biases and LayerNorms do not decay.
///
/// Its state is keyed by Hugging Face's parameter names, so that it can be saved and loaded without the model.
#[derive(Debug)]
pub struct Optimizer {
    adamw: AdamW,
    max_grad_norm: f64,
    groups: HashMap<ParamId, ParameterGroup>,
    pub(crate) moments: Moments,
}

/// First and second moment of each parameter, or of the part of it that this rank updates, `[elements]` each, by
/// Hugging Face's names.
pub(crate) type Moments = HashMap<String, (Tensor<1>, Tensor<1>)>;

impl Optimizer {
    /// An optimizer for the parameters of `model` that has made no step.
    pub fn new<M: Module>(config: &TrainConfig, model: &M) -> Self {
        let adamw = AdamW {
            learning_rate: 0.0,
            beta1: config.adam_beta1,
            beta2: config.adam_beta2,
            eps: config.adam_epsilon,
            weight_decay: 0.0,
            step: 0,
            gradient_scale: 1.0,
        };
        Self {
            adamw,
            max_grad_norm: config.max_grad_norm,
            groups: parameter_groups(model, config),
            moments: HashMap::new(),
        }
    }

    /// The number of steps made.
    pub fn steps(&self) -> u32 {
        self.adamw.step
    }

    /// Continues from a saved state.
    pub(crate) fn restore(&mut self, step: u32, moments: Moments) {
        self.adamw.step = step;
        self.moments = moments;
    }

    /// Clips the global norm of `gradients` and makes one step. Returns the new model and the norm before clipping.
    pub fn step<M: Module>(
        &mut self,
        model: M,
        gradients: Gradients,
        learning_rate: f64,
    ) -> (M, f32) {
        let mut sums = ParameterGradients::default();
        sums.add(&model, gradients);
        let norm = sums.norm(&model);
        self.begin(gradient_scale(norm, 1, self.max_grad_norm), learning_rate);
        (self.update_all(model, sums), norm)
    }

    /// Begins a step: every gradient is multiplied by `gradient_scale` as it is used.
    pub(crate) fn begin(&mut self, gradient_scale: f64, learning_rate: f64) {
        self.adamw.step += 1;
        self.adamw.learning_rate = learning_rate;
        self.adamw.gradient_scale = gradient_scale;
    }

    /// Updates every parameter that has a gradient, in a step that has begun.
    pub(crate) fn update_all<M: Module>(&mut self, model: M, gradients: ParameterGradients) -> M {
        model.map(&mut Update {
            optimizer: self,
            gradients,
        })
    }

    /// Updates a parameter or a part of it, `[elements]`, in a step that has begun.
    pub(crate) fn update(
        &mut self,
        id: ParamId,
        parameter: Tensor<1>,
        gradient: Tensor<1>,
    ) -> Tensor<1> {
        let group = &self.groups[&id];
        let adamw = AdamW {
            weight_decay: group.weight_decay,
            learning_rate: self.adamw.learning_rate * group.lr_scale,
            ..self.adamw
        };
        let saved = self.moments.remove_entry(&group.name);
        let (name, moments) = saved.unwrap_or_else(|| {
            let zeros = || parameter.zeros_like();
            (group.name.clone(), (zeros(), zeros()))
        });
        let (parameter, moments) = adamw_step(parameter, gradient, moments, &adamw);
        self.moments.insert(name, moments);
        parameter
    }
}

/// Updates the parameters of a model.
struct Update<'a> {
    optimizer: &'a mut Optimizer,
    gradients: ParameterGradients,
}

impl ModuleMapper for Update<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let Some(gradient) = self.gradients.take(id) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let shape = tensor.shape();
        let parameter = tensor.inner().reshape([shape.num_elements()]);
        let parameter = self.optimizer.update(id, parameter, gradient);
        let parameter = Tensor::from_inner(parameter.reshape(shape)).require_grad();
        Param::from_mapped_value(id, parameter, mapper)
    }
}
