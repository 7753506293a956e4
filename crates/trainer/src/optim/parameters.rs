//! The parameters of a model by their Hugging Face names, and the parameter groups of the optimizer.

use std::collections::HashMap;

use bert_qa::hugging_face_name;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Shape, Tensor};
use sha2::{Digest, Sha256};

use crate::config::TrainConfig;

/// SHA-256 of the values of all parameters, in the model's order.
pub(crate) fn digest<M: Module>(model: &M) -> Vec<u8> {
    let mut values = Values(Sha256::new());
    model.visit(&mut values);
    values.0.finalize().to_vec()
}

struct Values(Sha256);

impl ModuleVisitor for Values {
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
    let layers = parameters.iter().filter_map(|p| match depth(&p.name) {
        Depth::Layer(layer) => Some(layer + 1),
        Depth::Embeddings | Depth::Head => None,
    });
    let num_layers = layers.max().unwrap_or(0);
    let group = |Parameter { id, name, .. }| {
        let decay = if decays(&name) {
            config.weight_decay
        } else {
            0.0
        };
        let group = ParameterGroup {
            weight_decay: decay,
            lr_scale: learning_rate_scale(&name, num_layers, config.layerwise_lr_decay),
            is_frozen: is_frozen(&name, config),
            name,
        };
        (id, group)
    };
    parameters.into_iter().map(group).collect()
}

/// Whether weight decay applies to a parameter: not to biases, and not to LayerNorms, which
/// DistilBERT names `sa_layer_norm` and `output_layer_norm`.
fn decays(name: &str) -> bool {
    let is_norm = |module: &str| module.ends_with("LayerNorm") || module.ends_with("layer_norm");
    match name.rsplit_once('.') {
        Some((_, "bias")) => false,
        Some((module, _)) => !is_norm(module),
        None => true,
    }
}

/// The part of the model that a parameter belongs to, from the input up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    Embeddings,
    Layer(usize),
    Head,
}

pub(crate) fn depth(name: &str) -> Depth {
    if name.contains("embeddings.") {
        return Depth::Embeddings;
    }
    let layer = name
        .split_once(".layer.")
        .and_then(|(_, rest)| rest.split('.').next()?.parse().ok());
    layer.map_or(Depth::Head, Depth::Layer)
}

/// The factor of the learning rate in a model of `num_layers` layers: 1 for the head, and `decay` times as much with
/// each layer further down (Howard & Ruder 2018, section 3.2).
fn learning_rate_scale(name: &str, num_layers: usize, decay: f64) -> f64 {
    let below_the_head = match depth(name) {
        Depth::Head => 0,
        Depth::Layer(layer) => num_layers.saturating_sub(layer),
        Depth::Embeddings => num_layers + 1,
    };
    decay.powi(below_the_head as i32)
}

/// Whether the configuration freezes a parameter.
fn is_frozen(name: &str, config: &TrainConfig) -> bool {
    match depth(name) {
        Depth::Embeddings => config.freeze_embeddings,
        Depth::Layer(layer) => layer < config.freeze_layers,
        Depth::Head => false,
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
    pub(crate) shape: Shape,
    /// Whether it gets a gradient.
    pub(crate) is_trained: bool,
}

/// Every parameter, in the model's order.
pub(crate) fn parameters<M: Module>(model: &M) -> Vec<Parameter> {
    let mut names = Names::default();
    model.visit(&mut names);
    names.found
}

#[derive(Default)]
struct Names {
    path: Vec<String>,
    found: Vec<Parameter>,
}

impl ModuleVisitor for Names {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found.push(Parameter {
            id: param.id,
            name: hugging_face_name(&self.path.join(".")),
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
        ] {
            assert_eq!(decays(name), decay, "{name}");
        }
    }

    #[test]
    fn learning_rates_fall_from_the_head_down() {
        for (name, scale) in [
            ("qa_outputs.weight", 1.0),
            ("bert.encoder.layer.1.output.dense.bias", 0.5),
            ("bert.encoder.layer.0.attention.self.query.weight", 0.25),
            ("bert.embeddings.LayerNorm.weight", 0.125),
            ("distilbert.transformer.layer.1.ffn.lin1.weight", 0.5),
        ] {
            assert_eq!(learning_rate_scale(name, 2, 0.5), scale, "{name}");
            assert_eq!(learning_rate_scale(name, 2, 1.0), 1.0, "{name}");
        }
    }

    #[test]
    fn only_configured_layers_are_frozen() {
        let config = TrainConfig {
            freeze_layers: 2,
            ..TrainConfig::default()
        };
        assert!(is_frozen("bert.encoder.layer.1.output.dense.bias", &config));
        assert!(!is_frozen(
            "bert.encoder.layer.2.output.dense.bias",
            &config
        ));
        assert!(!is_frozen("bert.embeddings.LayerNorm.weight", &config));
        assert!(!is_frozen("qa_outputs.weight", &config));
    }
}
