/// A part of the model whose parameters are needed together, from the input up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ModelUnit {
    /// What [`embed`](super::bert::BertForQuestionAnswering::embed) needs.
    Embeddings,
    /// What all layers need.
    AllLayers,
    /// What one layer needs, or several where layers share parameters. DeBERTa-v2's convolution belongs to the first.
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
                let index = match parts.next() {
                    Some("layer") => parts.next().and_then(|index| index.parse().ok()),
                    Some("conv") => Some(0),
                    _ => None,
                };
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
            (
                "encoder.DebertaV2.encoder.conv.layer_norm.gamma",
                ModelUnit::Layer(0),
            ),
            (
                "encoder.DebertaV2.encoder.layer_norm.gamma",
                ModelUnit::AllLayers,
            ),
            ("encoder.ModernBert.final_norm.gamma", ModelUnit::Head),
            ("qa_outputs.weight", ModelUnit::Head),
        ] {
            assert_eq!(ModelUnit::of(path), unit, "{path}");
        }
    }
}
