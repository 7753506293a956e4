use std::collections::HashMap;

use bert_qa::hugging_face_name;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};
use fused_ops::{AdamW, adamw_step};

use crate::config::TrainConfig;

/// AdamW over a model's parameters with two decay groups: biases and LayerNorm do not decay.
///
/// The state is keyed by Hugging Face's parameter names, flat, so that it can be saved and read
/// without the module.
#[derive(Debug)]
pub struct Optimizer {
    constants: AdamW,
    weight_decay: f64,
    max_grad_norm: f64,
    /// First and second moment of each parameter, `[elements]`.
    moments: HashMap<String, (Tensor<1>, Tensor<1>)>,
}

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
            moments: HashMap::new(),
        }
    }

    /// Clips the global norm of `gradients` and makes one step; returns the new model and the norm
    /// before clipping.
    pub fn step<M: Module>(
        &mut self,
        model: M,
        gradients: Gradients,
        learning_rate: f64,
    ) -> (M, f32) {
        let mut norm = SquaredNorm {
            gradients: &gradients,
            sum: None,
        };
        model.visit(&mut norm);
        let squared = norm.sum.map_or(0.0, |sum| sum.into_scalar::<f32>());
        let norm = squared.sqrt();
        self.constants.step += 1;
        self.constants.learning_rate = learning_rate;
        self.constants.gradient_scale = clip_factor(f64::from(norm), self.max_grad_norm);
        let mut step = Step {
            optimizer: self,
            gradients,
            path: Vec::new(),
        };
        (model.map(&mut step), norm)
    }
}

/// As PyTorch's `clip_grad_norm_`: `max / (norm + 1e-6)`, at most 1; a maximum of 0 does not clip.
fn clip_factor(norm: f64, max_norm: f64) -> f64 {
    match max_norm > 0.0 {
        true => (max_norm / (norm + 1e-6)).min(1.0),
        false => 1.0,
    }
}

/// Whether weight decay applies to a parameter of this Hugging Face name: not to biases, and not to
/// LayerNorms, which DistilBERT names `sa_layer_norm` and `output_layer_norm`.
pub(crate) fn decays(name: &str) -> bool {
    let is_norm = |module: &str| module.ends_with("LayerNorm") || module.ends_with("layer_norm");
    match name.rsplit_once('.') {
        Some((_, "bias")) => false,
        Some((module, _)) => !is_norm(module),
        None => true,
    }
}

/// Sums the squares of all gradients on the device.
struct SquaredNorm<'a> {
    gradients: &'a Gradients,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for SquaredNorm<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad(self.gradients) {
            let squares = fused_ops::sum_of_squares(gradient);
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + squares,
                None => squares,
            });
        }
    }
}

/// One step over all parameters.
struct Step<'a> {
    optimizer: &'a mut Optimizer,
    gradients: Gradients,
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
        let Some(gradient) = tensor.grad_remove(&mut self.gradients) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let name = hugging_face_name(&self.path.join("."));
        let Optimizer {
            constants,
            weight_decay,
            moments,
            ..
        } = &mut *self.optimizer;
        let weight_decay = if decays(&name) { *weight_decay } else { 0.0 };
        let adamw = AdamW {
            weight_decay,
            ..*constants
        };
        let shape = tensor.shape();
        let elements = [shape.num_elements()];
        let parameter = tensor.inner().reshape(elements);
        let state = moments
            .remove(&name)
            .unwrap_or_else(|| (parameter.zeros_like(), parameter.zeros_like()));
        let (parameter, state) = adamw_step(parameter, gradient.reshape(elements), state, &adamw);
        moments.insert(name, state);
        let parameter = Tensor::from_inner(parameter.reshape(shape)).require_grad();
        Param::from_mapped_value(id, parameter, mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn biases_and_layer_norm_do_not_decay() {
        for (name, decay) in [
            ("bert.encoder.layer.0.output.dense.weight", true),
            ("bert.embeddings.word_embeddings.weight", true),
            ("qa_outputs.weight", true),
            ("bert.encoder.layer.0.output.dense.bias", false),
            ("bert.encoder.layer.0.output.LayerNorm.weight", false),
            ("bert.embeddings.LayerNorm.bias", false),
            ("distilbert.transformer.layer.0.ffn.lin2.weight", true),
            ("distilbert.transformer.layer.0.ffn.lin2.bias", false),
            ("distilbert.transformer.layer.0.sa_layer_norm.weight", false),
            (
                "distilbert.transformer.layer.0.output_layer_norm.weight",
                false,
            ),
        ] {
            assert_eq!(decays(name), decay, "{name}");
        }
    }

    #[test]
    fn clipping_only_shrinks() {
        assert_eq!(clip_factor(0.5, 1.0), 1.0);
        assert!((clip_factor(4.0, 1.0) - 0.25).abs() < 1e-6);
        assert_eq!(clip_factor(4.0, 0.0), 1.0);
    }
}
