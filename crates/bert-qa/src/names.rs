use burn::store::KeyRemapper;

/// Hugging Face's name of a parameter, from its path in the module: the names differ only where
/// Rust's do not allow theirs (`self`, `LayerNorm`) and in Burn's names for LayerNorm's parts.
///
/// ```
/// let path = "bert.encoder.layer.0.attention.output.layer_norm.gamma";
/// let name = "bert.encoder.layer.0.attention.output.LayerNorm.weight";
/// assert_eq!(bert_qa::hugging_face_name(path), name);
/// ```
pub fn hugging_face_name(path: &str) -> String {
    let name = path.replace(".self_attention.", ".self.");
    match name.split_once("layer_norm.") {
        Some((module, "gamma")) => format!("{module}LayerNorm.weight"),
        Some((module, "beta")) => format!("{module}LayerNorm.bias"),
        _ => name.replace("layer_norm.", "LayerNorm."),
    }
}

/// From the names in a Hugging Face file, with or without the prefix `bert.`, to module paths.
pub(crate) fn to_module_paths() -> KeyRemapper {
    patterns(&[
        (r"^(embeddings|encoder|pooler)\.", "bert.$1."),
        (r"\.attention\.self\.", ".attention.self_attention."),
        (r"\.LayerNorm\.", ".layer_norm."),
    ])
}

/// From module paths to Hugging Face's names.
pub(crate) fn to_hugging_face() -> KeyRemapper {
    patterns(&[
        (r"\.attention\.self_attention\.", ".attention.self."),
        (r"\.layer_norm\.", ".LayerNorm."),
    ])
}

fn patterns(patterns: &[(&str, &str)]) -> KeyRemapper {
    KeyRemapper::from_patterns(patterns.to_vec()).expect("the patterns are constants")
}
