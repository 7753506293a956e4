//! Values of `config.json`, each checked on its own.

use fused_ops::Activation;
use serde_json::{Map, Value};

/// The activations by transformers' names.
pub(super) const ACTIVATIONS: &[(&str, Activation)] = &[
    ("gelu", Activation::Gelu),
    ("gelu_python", Activation::Gelu),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("gelu_accurate", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("gelu_python_tanh", Activation::GeluTanh),
    ("gelu_10", Activation::Gelu10),
    ("quick_gelu", Activation::QuickGelu),
    ("relu", Activation::Relu),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("tanh", Activation::Tanh),
];

/// Reads values of `config.json`; `null` counts as missing.
pub(super) struct ConfigReader<'a>(pub(super) &'a Map<String, Value>);

impl ConfigReader<'_> {
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// Whether the file has the key, with `null`.
    pub(super) fn is_null(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(Value::is_null)
    }

    /// A size. The bound is far above any published encoder, so that a damaged file cannot ask for more
    /// memory than a machine has.
    pub(super) fn size(&self, key: &str, default: Option<usize>) -> Result<usize, String> {
        let Some(value) = self.get(key) else {
            return default.ok_or_else(|| format!("no {key}: is the file complete?"));
        };
        let size = value
            .as_u64()
            .filter(|size| (1..=1 << 20).contains(size))
            .and_then(|size| usize::try_from(size).ok());
        size.ok_or_else(|| {
            format!("{key} is {value}: it must be a whole number between 1 and 1048576")
        })
    }

    /// A size; a number that is not positive counts as missing.
    pub(super) fn positive(&self, key: &str) -> Result<Option<usize>, String> {
        let is_unset = self
            .get(key)
            .is_none_or(|value| value.as_f64().is_some_and(|n| n < 1.0));
        if is_unset {
            return Ok(None);
        }
        self.size(key, None).map(Some)
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, String> {
        let Some(value) = self.get(key) else {
            return Ok(default);
        };
        let flag = value.as_bool();
        flag.ok_or_else(|| format!("{key} is {value}: it must be true or false"))
    }

    pub(super) fn id(&self, key: &str, default: usize) -> Result<usize, String> {
        let Some(value) = self.get(key) else {
            return Ok(default);
        };
        let id = value.as_u64().and_then(|id| usize::try_from(id).ok());
        id.ok_or_else(|| format!("{key} is {value}: it must be the id of a token"))
    }

    pub(super) fn activation(&self, (key, default): (&str, &str)) -> Result<Activation, String> {
        let default = Value::from(default);
        let value = self.get(key).unwrap_or(&default);
        let found = ACTIVATIONS.iter().find(|(name, _)| value == name);
        found.map(|(_, activation)| *activation).ok_or_else(|| {
            let known: Vec<_> = ACTIVATIONS.iter().map(|(name, _)| *name).collect();
            format!(
                "{key} {value} is not supported: use one of {}",
                known.join(", ")
            )
        })
    }

    pub(super) fn number(&self, key: &str, default: f64) -> Result<f64, String> {
        let Some(value) = self.get(key) else {
            return Ok(default);
        };
        let number = value.as_f64();
        number.ok_or_else(|| format!("{key} is {value}: it must be a number"))
    }
}
