use burn::module::Module;
use burn::nn::{Embedding, LayerNorm};
use burn::tensor::Tensor;

use super::config::BertConfig;
use super::dropout::{DropoutSeed, DropoutSite};
use super::fused::{dropout, embedding, layer_norm};
use super::init::Init;
use super::input::PackedInput;

/// Word, position and token-type embeddings, summed and normalized (Devlin et al. 2018, figure 2).
/// DistilBERT has no token types.
#[derive(Module, Debug)]
pub struct BertEmbeddings {
    pub(super) word_embeddings: Embedding,
    pub(super) position_embeddings: Embedding,
    token_type_embeddings: Option<Embedding>,
    layer_norm: LayerNorm,
    layer_norm_eps: f64,
    dropout_prob: f64,
}

impl BertEmbeddings {
    pub(super) fn new(config: &BertConfig, init: &mut Init) -> Self {
        let width = config.hidden_size;
        Self {
            word_embeddings: init.embedding(config.vocab_size, width),
            position_embeddings: if config.sinusoidal_positions {
                init.sinusoidal_embedding(config.max_position_embeddings, width)
            } else {
                init.embedding(config.max_position_embeddings, width)
            },
            token_type_embeddings: match config.type_vocab_size {
                0 => None,
                types => Some(init.embedding(types, width)),
            },
            layer_norm: init.layer_norm(width),
            layer_norm_eps: config.layer_norm_eps,
            dropout_prob: config.hidden_dropout_prob,
        }
    }

    /// The first layer's input, `[tokens, hidden_size]`.
    pub fn forward(&self, input: &PackedInput, seed: Option<DropoutSeed>) -> Tensor<2> {
        let mut sum = embedding(&self.word_embeddings, &input.input_ids);
        if let Some(types) = &self.token_type_embeddings {
            sum = sum + embedding(types, &input.token_type_ids);
        }
        let positions = embedding(&self.position_embeddings, &input.position_ids);
        // Dropout follows the norm here, while the fused operation's own precedes it.
        let hidden = layer_norm(&self.layer_norm, sum, positions, self.layer_norm_eps, None);
        let site = DropoutSite::Embeddings;
        dropout(hidden, DropoutSeed::at(seed, site, self.dropout_prob))
    }
}
