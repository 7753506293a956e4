//! The parameters of a model by their Hugging Face names, and the parameter groups of the optimizer.

use std::collections::HashMap;

use bert_qa::{ModelUnit, hugging_face_name};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Shape, Tensor};
use sha2::{Digest, Sha256};

use crate::config::TrainConfig;

/// SHA-256 of the values of all parameters, in the model's order.
pub(crate) fn digest<M: Module>(model: &M) -> Vec<u8> {
    let mut values = HashValues(Sha256::new());
    model.visit(&mut values);
    values.0.finalize().to_vec()
}

struct HashValues(Sha256);

impl ModuleVisitor for HashValues {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.update(param.val().into_data().as_bytes());
    }
}

/// How the optimizer treats a parameter.
#[derive(Clone, Debug)]
pub(crate) struct ParameterGroup {
    /// The parameter's Hugging Face name.
    pub(crate) name: String,
    pub(crate) weight_decay: f64,
    /// A factor of the learning rate.
    pub(crate) lr_scale: f64,
    /// Whether it gets no gradient and stays as it is.
    pub(crate) is_frozen: bool,
}

/// The groups of all parameters.
pub(crate) fn parameter_groups<M: Module>(
    model: &M,
    config: &TrainConfig,
) -> HashMap<ParamId, ParameterGroup> {
    let parameters = parameters(model);
    let layers = parameters.iter().filter_map(|p| match p.unit {
        ModelUnit::Layer(layer) => Some(layer + 1),
        _ => None,
    });
    let num_layers = layers.max().unwrap_or(0);
    let group = |Parameter { id, name, unit, .. }| {
        let decay = if decays(&name) {
            config.weight_decay
        } else {
            0.0
        };
        let group = ParameterGroup {
            weight_decay: decay,
            lr_scale: learning_rate_scale(unit, num_layers, config.layerwise_lr_decay),
            is_frozen: is_frozen(unit, config),
            name,
        };
        (id, group)
    };
    parameters.into_iter().map(group).collect()
}

/// Whether weight decay applies to a parameter: not to biases and norms, found by their names as in
/// transformers' `Trainer.get_decay_parameter_names`.
fn decays(name: &str) -> bool {
    let name = name.to_lowercase();
    let is_excluded = |part: &str| {
        ["bias", "layernorm", "rmsnorm"]
            .iter()
            .any(|word| part.contains(word))
            || part == "norm"
            || part.ends_with("_norm")
    };
    !name.split('.').any(is_excluded)
}

/// The factor of the learning rate in a model of `num_layers` layers: 1 for the head, and `decay` times as much with
/// each layer further down (Howard & Ruder 2018, section 3.2).
fn learning_rate_scale(unit: ModelUnit, num_layers: usize, decay: f64) -> f64 {
    let below_the_head = match unit {
        ModelUnit::Head => 0,
        ModelUnit::Layer(layer) => num_layers.saturating_sub(layer),
        ModelUnit::AllLayers => num_layers,
        ModelUnit::Embeddings => num_layers + 1,
    };
    decay.powi(below_the_head as i32)
}

/// Whether the configuration freezes a parameter.
fn is_frozen(unit: ModelUnit, config: &TrainConfig) -> bool {
    match unit {
        ModelUnit::Embeddings => config.freeze_embeddings,
        ModelUnit::Layer(layer) => layer < config.freeze_layers,
        // A frozen layer computes the same throughout.
        ModelUnit::AllLayers => config.freeze_layers > 0,
        ModelUnit::Head => false,
    }
}

/// Freezes the parameters that the configuration says: they get no gradient, and no gradient is computed below the
/// lowest parameter that gets one.
pub(crate) fn freeze<M: Module>(model: M, config: &TrainConfig) -> M {
    if !config.freeze_embeddings && config.freeze_layers == 0 {
        return model;
    }
    let mut freeze = Freeze(parameter_groups(&model, config));
    model.map(&mut freeze)
}

struct Freeze(HashMap<ParamId, ParameterGroup>);

impl ModuleMapper for Freeze {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.0[&param.id].is_frozen {
            param.set_require_grad(false)
        } else {
            param
        }
    }
}

/// A parameter of a model.
pub(crate) struct Parameter {
    pub(crate) id: ParamId,
    /// Its Hugging Face name.
    pub(crate) name: String,
    pub(crate) unit: ModelUnit,
    pub(crate) shape: Shape,
    /// Whether it gets a gradient.
    pub(crate) is_trained: bool,
}

/// Every parameter, in the model's order.
pub(crate) fn parameters<M: Module>(model: &M) -> Vec<Parameter> {
    let mut names = ListParameters::default();
    model.visit(&mut names);
    names.found
}

#[derive(Default)]
struct ListParameters {
    path: Vec<String>,
    found: Vec<Parameter>,
}

impl ModuleVisitor for ListParameters {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        self.found.push(Parameter {
            id: param.id,
            name: hugging_face_name(&path),
            unit: ModelUnit::of(&path),
            shape: param.val().shape(),
            is_trained: param.is_require_grad(),
        });
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
            ("mpnet.encoder.relative_attention_bias.weight", false),
            ("deberta.encoder.conv.conv.weight", true),
            ("deberta.encoder.conv.conv.bias", false),
            ("deberta.encoder.conv.LayerNorm.weight", false),
            ("model.layers.0.mlp_norm.weight", false),
            ("head.norm.weight", false),
            ("model.normalizer.weight", true),
        ] {
            assert_eq!(decays(name), decay, "{name}");
        }
    }

    #[test]
    fn learning_rates_fall_from_the_head_down() {
        for (unit, scale) in [
            (ModelUnit::Head, 1.0),
            (ModelUnit::Layer(1), 0.5),
            (ModelUnit::Layer(0), 0.25),
            (ModelUnit::AllLayers, 0.25),
            (ModelUnit::Embeddings, 0.125),
        ] {
            assert_eq!(learning_rate_scale(unit, 2, 0.5), scale, "{unit:?}");
            assert_eq!(learning_rate_scale(unit, 2, 1.0), 1.0, "{unit:?}");
        }
    }

    #[test]
    fn only_configured_layers_are_frozen() {
        let config = TrainConfig {
            freeze_layers: 2,
            ..TrainConfig::default()
        };
        assert!(is_frozen(ModelUnit::Layer(1), &config));
        assert!(is_frozen(ModelUnit::AllLayers, &config));
        assert!(!is_frozen(ModelUnit::Layer(2), &config));
        assert!(!is_frozen(ModelUnit::Embeddings, &config));
        assert!(!is_frozen(ModelUnit::Head, &config));
    }
}
