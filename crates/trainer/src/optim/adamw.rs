use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::{Gradients, Shape, Tensor};
use fused_ops::{AdamW, AdamWTensors, GradientScale, adamw_step_group};

use crate::config::TrainConfig;
use crate::optim::gradients::{ParameterGradients, StepScale, gradient_scale};
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
    /// Replaces the gradient scale of `adamw` if it is on the device.
    scale: Option<GradientScale>,
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
            scale: None,
            moments: HashMap::new(),
        }
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
        let norm = sums.norm(&model).to_host();
        let scale = gradient_scale(norm, 1, self.max_grad_norm);
        self.begin(StepScale::Host(scale), learning_rate);
        (self.update_all(model, sums), norm)
    }

    /// Begins a step: every gradient is multiplied by `scale` as it is used.
    pub(crate) fn begin(&mut self, scale: StepScale, learning_rate: f64) {
        self.adamw.step += 1;
        self.adamw.learning_rate = learning_rate;
        self.scale = None;
        match scale {
            StepScale::Host(scale) => self.adamw.gradient_scale = scale,
            StepScale::Device(scale) => self.scale = Some(*scale),
        }
    }

    /// Updates every parameter that has a gradient, in a step that has begun.
    pub(crate) fn update_all<M: Module>(&mut self, model: M, gradients: ParameterGradients) -> M {
        let mut take = TakeUpdates {
            gradients,
            updates: Vec::new(),
            shapes: Vec::new(),
        };
        let model = model.map(&mut take);
        let updated = self.update(take.updates).into_iter().zip(take.shapes);
        let updated = updated.map(|((id, parameter), shape)| (id, (parameter, shape)));
        model.map(&mut PutParameters(updated.collect()))
    }

    /// Updates parameters or parts of them, in a step that has begun: those of a parameter group together. Returns each id
    /// with the new values, `[elements]`, in the same order.
    pub(crate) fn update(&mut self, updates: Vec<Update>) -> Vec<(ParamId, Tensor<1>)> {
        let mut groups: Vec<(AdamW, Vec<usize>, Vec<AdamWTensors>)> = Vec::new();
        let ids: Vec<_> = updates.iter().map(|update| update.id).collect();
        for (index, update) in updates.into_iter().enumerate() {
            let (adamw, tensors) = self.prepare(update);
            let is_same = |other: &AdamW| {
                other.weight_decay == adamw.weight_decay
                    && other.learning_rate == adamw.learning_rate
            };
            match groups.iter_mut().find(|(other, ..)| is_same(other)) {
                Some((_, indices, all)) => {
                    indices.push(index);
                    all.push(tensors);
                }
                None => groups.push((adamw, vec![index], vec![tensors])),
            }
        }
        let mut updated: Vec<_> = ids.iter().map(|_| None).collect();
        for (adamw, indices, tensors) in groups {
            let results = adamw_step_group(tensors, &adamw, self.scale.as_ref());
            for (index, (parameter, moments)) in indices.into_iter().zip(results) {
                let name = self.groups[&ids[index]].name.clone();
                self.moments.insert(name, moments);
                updated[index] = Some(parameter);
            }
        }
        let updated = updated.into_iter().flatten();
        ids.into_iter().zip(updated).collect()
    }

    /// The constants and tensors of one update. The first step begins with moments of zero.
    fn prepare(&mut self, update: Update) -> (AdamW, AdamWTensors) {
        let group = &self.groups[&update.id];
        let adamw = AdamW {
            weight_decay: group.weight_decay,
            learning_rate: self.adamw.learning_rate * group.lr_scale,
            ..self.adamw
        };
        let zeros = || update.parameter.zeros_like();
        let moments = self.moments.remove(&group.name);
        let (exp_avg, exp_avg_sq) = moments.unwrap_or_else(|| (zeros(), zeros()));
        let tensors = AdamWTensors {
            exp_avg,
            exp_avg_sq,
            parameter: update.parameter,
            grad: update.gradient,
        };
        (adamw, tensors)
    }
}

/// A parameter or a part of it with its gradient, `[elements]` each, without autodiff.
#[derive(Debug)]
pub(crate) struct Update {
    pub(crate) id: ParamId,
    pub(crate) parameter: Tensor<1>,
    pub(crate) gradient: Tensor<1>,
}

/// Takes the parameters that have a gradient out of a model, so that nothing else holds them while they change.
struct TakeUpdates {
    gradients: ParameterGradients,
    updates: Vec<Update>,
    /// Of the parameters of `updates`.
    shapes: Vec<Shape>,
}

impl ModuleMapper for TakeUpdates {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let Some(gradient) = self.gradients.take(id) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let (shape, tensor) = (tensor.shape(), tensor.inner());
        let placeholder = Tensor::empty([1; D], &tensor.device());
        self.updates.push(Update {
            id,
            parameter: tensor.reshape([shape.num_elements()]),
            gradient,
        });
        self.shapes.push(shape);
        Param::from_mapped_value(id, placeholder, mapper)
    }
}

/// Puts parameters back.
struct PutParameters(HashMap<ParamId, (Tensor<1>, Shape)>);

impl ModuleMapper for PutParameters {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let Some((parameter, shape)) = self.0.remove(&id) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let parameter = Tensor::from_inner(parameter.reshape(shape)).require_grad();
        Param::from_mapped_value(id, parameter, mapper)
    }
}
