//! What attention adds for the distance between query and key, from `config.json`.

use fused_ops::{RelativeBuckets, RelativeKind};
use serde_json::Value;

use super::config_reader::ConfigReader;

/// How scores depend on the distance between query and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RelativeAttentionConfig {
    pub(super) kind: RelativeKind,
    pub(super) buckets: RelativeBuckets,
    /// Whether queries and keys of positions are projected as those of tokens.
    pub(super) share_att_key: bool,
    /// Whether the embeddings of positions are normalized.
    pub(super) normalize: bool,
}

impl RelativeAttentionConfig {
    /// MPNet's bias; transformers has these numbers in its code.
    pub(super) const MPNET: Self = Self {
        kind: RelativeKind::Bias,
        buckets: RelativeBuckets::T5 {
            num_buckets: 32,
            max_distance: 128,
        },
        share_att_key: false,
        normalize: false,
    };

    /// DeBERTa's keys, with the defaults of transformers' `DebertaV2Config` and of its attention.
    pub(super) fn disentangled(
        file: &ConfigReader<'_>,
        max_position_embeddings: usize,
    ) -> Result<Self, String> {
        if !file.flag("relative_attention", false)? {
            return Err("relative_attention false is not supported: use true".into());
        }
        let [p2c, c2p] = pos_att_type(file)?;
        let max_position = file
            .positive("max_relative_positions")?
            .unwrap_or(max_position_embeddings);
        let buckets = match file.positive("position_buckets")? {
            Some(position_buckets) if position_buckets < 4 || max_position < position_buckets => {
                return Err(format!(
                    "position_buckets {position_buckets} is not supported: it must be at least 4 and at most \
                     max_relative_positions {max_position}"
                ));
            }
            Some(position_buckets) => RelativeBuckets::Log {
                position_buckets,
                max_position,
            },
            None => RelativeBuckets::Linear { max_position },
        };
        let norm = file
            .get("norm_rel_ebd")
            .map_or("none", |value| value.as_str().unwrap_or(""));
        let normalize = match norm.trim().to_lowercase().as_str() {
            "none" => false,
            "layer_norm" => true,
            other => {
                return Err(format!(
                    "norm_rel_ebd {other:?} is not supported: use \"layer_norm\" or \"none\""
                ));
            }
        };
        Ok(Self {
            kind: RelativeKind::Disentangled { p2c, c2p },
            buckets,
            share_att_key: file.flag("share_att_key", false)?,
            normalize,
        })
    }
}

/// Whether positions have queries and keys: a list, or a text with bars between its parts.
fn pos_att_type(file: &ConfigReader<'_>) -> Result<[bool; 2], String> {
    let parts: Vec<String> = match file.get("pos_att_type") {
        Some(Value::String(text)) => {
            let parts = text.split('|').map(|part| part.trim().to_lowercase());
            parts.collect()
        }
        Some(Value::Array(parts)) => {
            let texts = parts.iter().map(|part| part.as_str().map(str::to_owned));
            texts.collect::<Option<_>>().unwrap_or_default()
        }
        _ => Vec::new(),
    };
    let has = |kind: &str| parts.iter().any(|part| part == kind);
    let found = [has("p2c"), has("c2p")];
    let known = parts.iter().all(|part| part == "p2c" || part == "c2p");
    if parts.is_empty() || !known {
        let value = file.get("pos_att_type").unwrap_or(&Value::Null);
        return Err(format!(
            "pos_att_type {value} is not supported: use \"p2c\", \"c2p\" or \"p2c|c2p\""
        ));
    }
    Ok(found)
}
