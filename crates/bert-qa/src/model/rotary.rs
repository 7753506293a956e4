//! Rotary positions and sliding windows of ModernBERT's layers, from `config.json`.

use fused_ops::RotaryEmbedding;
use serde_json::Value;

use super::config_reader::ConfigReader;

/// How a layer's attention sees positions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LayerAttention {
    pub(super) rotary: RotaryEmbedding,
    /// The most tokens on either side that a query attends to; all without.
    pub(super) window: Option<usize>,
}

impl LayerAttention {
    /// Of every layer, with the defaults of transformers' `ModernBertConfig`.
    pub(super) fn of_layers(file: &ConfigReader<'_>, layers: usize) -> Result<Vec<Self>, String> {
        let global = Self {
            rotary: rotary(file, "full_attention", "global_rope_theta", 160_000.0)?,
            window: None,
        };
        // In transformers 4, null stands for the theta of global layers.
        let local_default = if file.is_null("local_rope_theta") {
            global.rotary.theta
        } else {
            10_000.0
        };
        let local = Self {
            rotary: rotary(file, "sliding_attention", "local_rope_theta", local_default)?,
            window: Some(file.size("local_attention", Some(128))? / 2),
        };
        let Some(types) = file.get("layer_types") else {
            let every = file.size("global_attn_every_n_layers", Some(3))?;
            let of_layer = |layer: usize| {
                if layer.is_multiple_of(every) {
                    global
                } else {
                    local
                }
            };
            return Ok((0..layers).map(of_layer).collect());
        };
        let of_type = |name: &Value| match name.as_str() {
            Some("full_attention") => Ok(global),
            Some("sliding_attention") => Ok(local),
            _ => Err(format!(
                "layer_types has {name}: use \"full_attention\" or \"sliding_attention\""
            )),
        };
        let types = types.as_array().map(Vec::as_slice).unwrap_or_default();
        if types.len() != layers {
            return Err(format!(
                "layer_types has {} layers, num_hidden_layers {layers}",
                types.len()
            ));
        }
        types.iter().map(of_type).collect()
    }
}

/// The rotary embedding of one kind of layers: of `rope_parameters`, or of the key that older files have.
fn rotary(
    file: &ConfigReader<'_>,
    kind: &str,
    key: &str,
    default: f64,
) -> Result<RotaryEmbedding, String> {
    let parameters = file.get("rope_parameters").and_then(|all| all.get(kind));
    let parameter = |name: &str| parameters?.get(name).filter(|value| !value.is_null());
    if let Some(rope) = parameter("rope_type").filter(|rope| *rope != "default") {
        return Err(format!(
            "rope_parameters: rope_type {rope} is not supported: use \"default\""
        ));
    }
    let theta = match parameter("rope_theta").or_else(|| file.get(key)) {
        Some(value) => value
            .as_f64()
            .filter(|theta| *theta > 1.0 && theta.is_finite()),
        None => Some(default),
    };
    match theta {
        Some(theta) => Ok(RotaryEmbedding { theta }),
        None => Err(format!("the rope_theta of {kind} must be a number above 1")),
    }
}
