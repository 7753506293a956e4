use burn::module::Module;
use burn::nn::{Embedding, LayerNorm};
use burn::tensor::{Int, Tensor};

use super::architecture::{Positions, TokenTypes};
use super::config::BertConfig;
use super::dropout::{DropoutSeed, DropoutSite};
use super::fused::{dropout, dropout_add_layer_norm, embedding};
use super::init::Init;
use super::input::PackedInput;

/// Word, position and token-type embeddings, summed and normalized (Devlin et al. 2018, figure 2).
/// DistilBERT has no token types, DeBERTa-v3 and ModernBERT no positions here.
#[derive(Module, Debug)]
pub struct BertEmbeddings {
    word_embeddings: Embedding,
    position_embeddings: Option<Embedding>,
    token_type_embeddings: Option<Embedding>,
    layer_norm: LayerNorm,
    #[module(skip)]
    positions: Positions,
    #[module(skip)]
    token_types: TokenTypes,
    pad_token_id: usize,
    layer_norm_eps: f64,
    dropout_prob: f64,
}

impl BertEmbeddings {
    pub(super) fn new(config: &BertConfig, init: &mut Init) -> Self {
        let (width, spec) = (config.embedding_size, config.architecture.spec());
        Self {
            word_embeddings: init.embedding(config.vocab_size, width),
            position_embeddings: config.position_biased_input.then(|| {
                if config.sinusoidal_positions {
                    init.sinusoidal_embedding(config.max_position_embeddings, width)
                } else {
                    init.embedding(config.max_position_embeddings, width)
                }
            }),
            token_type_embeddings: match config.type_vocab_size {
                0 => None,
                types => Some(init.embedding(types, width)),
            },
            layer_norm: init.layer_norm(width, config.biases.norm),
            positions: spec.positions,
            token_types: spec.token_types,
            pad_token_id: config.pad_token_id,
            layer_norm_eps: config.layer_norm_eps,
            dropout_prob: config.embedding_dropout_prob(),
        }
    }

    /// The normalized sum, `[tokens, embedding_size]`.
    pub fn forward(&self, input: &PackedInput, seed: Option<DropoutSeed>) -> Tensor<2> {
        let mut sum = embedding(&self.word_embeddings, &input.input_ids);
        if let Some(types) = &self.token_type_embeddings {
            sum = sum + embedding(types, &self.token_type_ids(input));
        }
        let positions = match &self.position_embeddings {
            Some(positions) => embedding(positions, &self.position_ids(input)),
            None => sum.zeros_like(),
        };
        // Dropout follows the norm here, while the fused operation's own precedes it.
        let (norm, eps) = (&self.layer_norm, self.layer_norm_eps);
        let hidden = dropout_add_layer_norm(norm, sum, positions, eps, None);
        let site = DropoutSite::Embeddings;
        dropout(hidden, DropoutSeed::at(seed, site, self.dropout_prob))
    }

    /// Rows of the token-type embedding, `[tokens]`.
    fn token_type_ids(&self, input: &PackedInput) -> Tensor<1, Int> {
        match self.token_types {
            TokenTypes::QuestionAndContext | TokenTypes::IfAny => input.token_type_ids.clone(),
            TokenTypes::First | TokenTypes::None => input.token_type_ids.zeros_like(),
        }
    }

    /// Rows of the position embedding, `[tokens]`.
    fn position_ids(&self, input: &PackedInput) -> Tensor<1, Int> {
        let in_feature = input.position_ids.clone();
        match self.positions {
            Positions::FromZero | Positions::Rotary => in_feature,
            Positions::AfterPadding => {
                let pad = self.pad_token_id as i64;
                let counts = input.input_ids.clone().not_equal_elem(pad).int();
                let up_to = counts.clone().cumsum(0);
                let before = up_to.clone() - counts.clone();
                // The first token of each token's feature.
                let tokens = up_to.dims()[0] as i64;
                let first = Tensor::arange(0..tokens, &up_to.device()) - in_feature;
                (up_to - before.gather(0, first)) * counts + pad
            }
        }
    }
}
