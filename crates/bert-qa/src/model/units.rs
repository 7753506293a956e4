/// A part of the model whose parameters are needed together, from the input up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ModelUnit {
    /// What [`embed`](super::bert::BertForQuestionAnswering::embed) needs.
    Embeddings,
    /// What all layers need.
    AllLayers,
    /// What one layer needs, or several where layers share parameters.
    Layer(usize),
    /// What [`head`](super::bert::BertForQuestionAnswering::head) needs.
    Head,
}

impl ModelUnit {
    /// The unit of the parameter with this module path.
    pub fn of(path: &str) -> Self {
        let mut parts = path.split('.');
        match [(); 3].map(|()| parts.next().unwrap_or_default()) {
            ["encoder", _, part] if part.starts_with("embeddings") => Self::Embeddings,
            ["encoder", _, "encoder"] => {
                let layer = parts.next().filter(|part| *part == "layer");
                let index = layer.and_then(|_| parts.next()?.parse().ok());
                index.map_or(Self::AllLayers, Self::Layer)
            }
            _ => Self::Head,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_follow_module_paths() {
        for (path, unit) in [
            (
                "encoder.Bert.embeddings.layer_norm.gamma",
                ModelUnit::Embeddings,
            ),
            (
                "encoder.Electra.embeddings_project.weight",
                ModelUnit::Embeddings,
            ),
            (
                "encoder.Bert.encoder.layer.10.output.dense.bias",
                ModelUnit::Layer(10),
            ),
            (
                "encoder.MpNet.encoder.relative_attention_bias.weight",
                ModelUnit::AllLayers,
            ),
            ("encoder.ModernBert.final_norm.gamma", ModelUnit::Head),
            ("qa_outputs.weight", ModelUnit::Head),
        ] {
            assert_eq!(ModelUnit::of(path), unit, "{path}");
        }
    }
}
