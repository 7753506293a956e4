use burn::store::KeyRemapper;

use crate::model::Architecture;

/// A parameter's module path to its Hugging Face name. The path begins with the [`Architecture`].
///
/// ```
/// use bert_qa::hugging_face_name;
///
/// let path = "encoder.Bert.encoder.layer.0.attention.output.layer_norm.gamma";
/// let name = "bert.encoder.layer.0.attention.output.LayerNorm.weight";
/// assert_eq!(hugging_face_name(path), name);
///
/// let path = "encoder.DistilBert.encoder.layer.0.attention.output.layer_norm.gamma";
/// let name = "distilbert.transformer.layer.0.sa_layer_norm.weight";
/// assert_eq!(hugging_face_name(path), name);
///
/// let path = "encoder.XlmRoberta.embeddings.word_embeddings.weight";
/// assert_eq!(hugging_face_name(path), "roberta.embeddings.word_embeddings.weight");
/// ```
pub fn hugging_face_name(path: &str) -> String {
    let mut name = path.to_owned();
    for architecture in Architecture::ALL {
        let (spec, below) = (architecture.spec(), format!("{}.", architecture.path()));
        if let Some(rest) = path.strip_prefix(&below) {
            name = format!("{}.{rest}", spec.prefix);
            for [theirs, ours] in spec.names {
                name = name.replace(ours, theirs);
            }
        }
    }
    // Burn's names of LayerNorm's parameters.
    match name.rsplit_once('.') {
        Some((module, "gamma")) => format!("{module}.weight"),
        Some((module, "beta")) => format!("{module}.bias"),
        _ => name,
    }
}

/// Hugging Face names, with or without the architecture's prefix, to module paths.
pub(super) fn to_module_paths(architecture: Architecture) -> KeyRemapper {
    let spec = architecture.spec();
    let (prefix, path) = (spec.prefix, &architecture.path());
    let children = spec.children.join("|");
    let mut patterns = vec![(
        format!(r"^(?:{prefix}\.)?({children})\."),
        format!("{path}.$1."),
    )];
    for [theirs, ours] in spec.names {
        patterns.push(inside(path, theirs, ours));
    }
    remapper(patterns)
}

/// Module paths to Hugging Face names.
pub(super) fn to_hugging_face(architecture: Architecture) -> KeyRemapper {
    let (spec, path) = (architecture.spec(), &architecture.path());
    let mut patterns = Vec::new();
    for [theirs, ours] in spec.names {
        patterns.push(inside(path, ours, theirs));
    }
    patterns.push((format!("^{}", literal(path)), spec.prefix.into()));
    remapper(patterns)
}

/// A pattern that replaces a part of the names below `path` only.
fn inside(path: &str, from: &str, to: &str) -> (String, String) {
    let pattern = format!("^({}.*){}", literal(path), literal(from));
    (pattern, format!("${{1}}{to}"))
}

fn literal(text: &str) -> String {
    text.replace('.', r"\.")
}

fn remapper(patterns: Vec<(String, String)>) -> KeyRemapper {
    KeyRemapper::from_patterns(patterns).expect("the patterns are constants")
}

/// A tensor's name after a remapper's patterns.
pub(super) fn renamed(remapper: &KeyRemapper, name: &str) -> String {
    let mut name = name.to_owned();
    for (pattern, replacement) in &remapper.patterns {
        name = pattern.replace_all(&name, replacement).into_owned();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One parameter of every module: transformers' name, and the module path.
    const BERT: [[&str; 2]; 6] = [
        ["embeddings.word_embeddings.weight"; 2],
        ["embeddings.LayerNorm.weight", "embeddings.layer_norm.gamma"],
        [
            "encoder.layer.10.attention.self.query.bias",
            "encoder.layer.10.attention.self_attention.query.bias",
        ],
        ["encoder.layer.1.attention.output.dense.weight"; 2],
        [
            "encoder.layer.1.attention.output.LayerNorm.bias",
            "encoder.layer.1.attention.output.layer_norm.beta",
        ],
        ["encoder.layer.1.intermediate.dense.weight"; 2],
    ];
    const DISTILBERT: [[&str; 2]; 10] = [
        ["embeddings.position_embeddings.weight"; 2],
        ["embeddings.LayerNorm.bias", "embeddings.layer_norm.beta"],
        [
            "transformer.layer.3.attention.q_lin.weight",
            "encoder.layer.3.attention.self_attention.query.weight",
        ],
        [
            "transformer.layer.3.attention.k_lin.bias",
            "encoder.layer.3.attention.self_attention.key.bias",
        ],
        [
            "transformer.layer.3.attention.v_lin.bias",
            "encoder.layer.3.attention.self_attention.value.bias",
        ],
        [
            "transformer.layer.12.attention.out_lin.weight",
            "encoder.layer.12.attention.output.dense.weight",
        ],
        [
            "transformer.layer.3.sa_layer_norm.weight",
            "encoder.layer.3.attention.output.layer_norm.gamma",
        ],
        [
            "transformer.layer.3.ffn.lin1.bias",
            "encoder.layer.3.intermediate.dense.bias",
        ],
        [
            "transformer.layer.3.ffn.lin2.weight",
            "encoder.layer.3.output.dense.weight",
        ],
        [
            "transformer.layer.3.output_layer_norm.bias",
            "encoder.layer.3.output.layer_norm.beta",
        ],
    ];

    const ELECTRA: [[&str; 2]; 2] = [
        ["embeddings_project.weight"; 2],
        [
            "encoder.layer.3.attention.self.value.weight",
            "encoder.layer.3.attention.self_attention.value.weight",
        ],
    ];
    const ALBERT: [[&str; 2]; 11] = [
        ["embeddings.LayerNorm.weight", "embeddings.layer_norm.gamma"],
        [
            "encoder.embedding_hidden_mapping_in.bias",
            "embeddings_project.bias",
        ],
        [
            "encoder.albert_layer_groups.0.albert_layers.0.attention.query.weight",
            "encoder.layer.0.attention.self_attention.query.weight",
        ],
        [
            "encoder.albert_layer_groups.1.albert_layers.0.attention.key.bias",
            "encoder.layer.1.attention.self_attention.key.bias",
        ],
        [
            "encoder.albert_layer_groups.12.albert_layers.0.attention.value.bias",
            "encoder.layer.12.attention.self_attention.value.bias",
        ],
        [
            "encoder.albert_layer_groups.0.albert_layers.0.attention.dense.bias",
            "encoder.layer.0.attention.output.dense.bias",
        ],
        [
            "encoder.albert_layer_groups.0.albert_layers.0.attention.LayerNorm.bias",
            "encoder.layer.0.attention.output.layer_norm.beta",
        ],
        [
            "encoder.albert_layer_groups.0.albert_layers.0.ffn.weight",
            "encoder.layer.0.intermediate.dense.weight",
        ],
        [
            "encoder.albert_layer_groups.0.albert_layers.0.ffn_output.weight",
            "encoder.layer.0.output.dense.weight",
        ],
        [
            "encoder.albert_layer_groups.0.albert_layers.0.full_layer_layer_norm.weight",
            "encoder.layer.0.output.layer_norm.gamma",
        ],
        ["embeddings.position_embeddings.weight"; 2],
    ];

    /// A module path with PyTorch's names of LayerNorm's parameters, which Burn's adapter expects.
    fn with_pytorch_parameters(path: &str) -> String {
        path.replace("gamma", "weight").replace("beta", "bias")
    }

    #[test]
    fn names_map_to_module_paths_and_back() {
        for (architecture, table) in [
            (Architecture::Bert, &BERT[..]),
            (Architecture::DistilBert, &DISTILBERT[..]),
            (Architecture::Roberta, &BERT[..]),
            (Architecture::Camembert, &BERT[..]),
            (Architecture::XlmRoberta, &BERT[..]),
            (Architecture::Electra, &ELECTRA[..]),
            (Architecture::Albert, &ALBERT[..]),
        ] {
            let (prefix, path) = (architecture.spec().prefix, architecture.path());
            let incoming = to_module_paths(architecture);
            for [theirs, ours] in table {
                let (full, ours) = (format!("{prefix}.{theirs}"), format!("{path}.{ours}"));
                assert_eq!(hugging_face_name(&ours), full);
                let ours = with_pytorch_parameters(&ours);
                assert_eq!(renamed(&incoming, theirs), ours);
                assert_eq!(renamed(&incoming, &full), ours);
                assert_eq!(renamed(&to_hugging_face(architecture), &ours), full);
                // An unexpected tensor is reported by its own name.
                assert_eq!(hugging_face_name(&ours), full);
            }
        }
    }

    #[test]
    fn unknown_names_do_not_change() {
        for name in [
            "qa_outputs.weight",
            "cls.predictions.transform.LayerNorm.weight",
            "vocab_layer_norm.bias",
            "transformer_old.layer.0.ffn.lin1.weight",
        ] {
            for &architecture in Architecture::ALL {
                assert_eq!(renamed(&to_module_paths(architecture), name), name);
                assert_eq!(renamed(&to_hugging_face(architecture), name), name);
            }
            assert_eq!(hugging_face_name(name), name);
        }
    }
}
