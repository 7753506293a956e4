use bert_qa::{PackedInput, Pretrained};
use burn::tensor::{Device, Tensor};
use squad_data::{Example, PackedBatch, make_features};
use trainer::Error;

use crate::{Svg, heat_map};

/// The attention probabilities of every head of every layer for one question with its context.
#[derive(Clone, Debug)]
pub struct AttentionMaps {
    /// The tokens of the feature.
    pub tokens: Vec<String>,
    /// The probabilities of each layer, `[heads, tokens, tokens]`.
    layers: Vec<Tensor<3>>,
}

impl AttentionMaps {
    /// Runs a model on the first feature of a question, in the model's own window.
    ///
    /// # Errors
    /// If the question does not fit into a feature.
    pub fn new(pretrained: &Pretrained, example: &Example, device: &Device) -> Result<Self, Error> {
        let tokenizer = &pretrained.assets.tokenizer;
        let examples = std::slice::from_ref(example);
        let options = pretrained.assets.qa_config_or_default().feature_options();
        let features = make_features(examples, tokenizer, &options)?;
        let batch = PackedBatch::new(&features, &[0]);
        let input = PackedInput::new(&batch, device);
        let mut hidden = pretrained.model.embed(&input, None);
        let mut layers = Vec::new();
        for layer in pretrained.model.layers() {
            layers.push(layer.attention_probabilities(hidden.clone()));
            hidden = layer.forward(hidden, &input, None);
        }
        let token = |id: &u32| tokenizer.token(*id).unwrap_or_else(|| id.to_string());
        Ok(Self {
            tokens: features[0].input_ids.iter().map(token).collect(),
            layers,
        })
    }

    /// The probabilities of one head, a row for each query; layers and heads are counted from 0.
    ///
    /// # Panics
    /// If the model has no such layer or head.
    pub fn head(&self, layer: usize, head: usize) -> Vec<Vec<f32>> {
        let tokens = self.tokens.len();
        let map = self.layers[layer].clone().narrow(0, head, 1);
        let values: Vec<f32> = map.into_data().iter::<f32>().collect();
        values.chunks(tokens).map(<[f32]>::to_vec).collect()
    }

    /// The probabilities of one head as a heat map.
    ///
    /// # Panics
    /// If the model has no such layer or head.
    pub fn draw(&self, layer: usize, head: usize) -> Svg {
        let title = format!("Layer {layer}, head {head}");
        heat_map(&title, &self.tokens, &self.tokens, &self.head(layer, head))
    }

    /// The mean attention of a head to the tokens at each distance up to `most`, as (distance, share): 1 is the next
    /// token, -1 the one before.
    ///
    /// # Panics
    /// If the model has no such layer or head.
    pub fn by_distance(&self, layer: usize, head: usize, most: i32) -> Vec<(f64, f64)> {
        let map = self.head(layer, head);
        let share = |distance: i32| {
            let places = 0..map.len() as i32;
            let pairs = places.clone().filter_map(|row| {
                let column = row + distance;
                places
                    .contains(&column)
                    .then(|| f64::from(map[row as usize][column as usize]))
            });
            let (sum, count) =
                pairs.fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
            sum / f64::from(count.max(1))
        };
        (-most..=most)
            .map(|distance| (f64::from(distance), share(distance)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root;

    /// The tiny model has 40 positions.
    #[test]
    fn a_context_longer_than_the_model_is_cut() {
        let folder = root().join("crates/bert-qa/tests/fixtures/tiny-bert");
        let (_, device) = trainer::device("auto").unwrap();
        let pretrained = Pretrained::load(&folder, 0, &device).unwrap();
        let example = Example::new("q", "who ate?", "the cat ate. ".repeat(50));
        let maps = AttentionMaps::new(&pretrained, &example, &device).unwrap();
        assert_eq!(maps.tokens.len(), 40);
        let map = maps.head(0, 0);
        assert_eq!((map.len(), map[39].len()), (40, 40));
        let sum: f32 = map[39].iter().sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }
}
