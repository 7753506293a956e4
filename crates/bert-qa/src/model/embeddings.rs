use burn::module::Module;
use burn::nn::{Embedding, LayerNorm};
use burn::tensor::{Int, Tensor};
use fused_ops::{dropout_add_layer_norm, embedding};

use crate::dropout::Site;
use crate::init::Init;
use crate::{BertConfig, DropoutSeed, PackedInput};

/// Word, position and token-type embeddings, summed and normalised (Devlin et al. 2018, figure 2);
/// DistilBERT has no token types.
#[derive(Module, Debug)]
pub struct BertEmbeddings {
    pub(crate) word_embeddings: Embedding,
    pub(crate) position_embeddings: Embedding,
    pub(crate) token_type_embeddings: Option<Embedding>,
    pub(crate) layer_norm: LayerNorm,
    layer_norm_eps: f64,
    dropout_prob: f64,
}

impl BertEmbeddings {
    pub(crate) fn new(config: &BertConfig, init: &mut Init) -> Self {
        let width = config.hidden_size;
        Self {
            word_embeddings: init.embedding(config.vocab_size, width),
            position_embeddings: match config.sinusoidal_positions {
                true => init.sinusoidal_embedding(config.max_position_embeddings, width),
                false => init.embedding(config.max_position_embeddings, width),
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

    /// `[tokens, hidden_size]`.
    pub fn forward(&self, input: &PackedInput, dropout: Option<DropoutSeed>) -> Tensor<2> {
        let rows =
            |table: &Embedding, ids: &Tensor<1, Int>| embedding(table.weight.val(), ids.clone());
        let mut sum = rows(&self.word_embeddings, &input.input_ids);
        if let Some(types) = &self.token_type_embeddings {
            sum = sum + rows(types, &input.token_type_ids);
        }
        let places = rows(&self.position_embeddings, &input.position_ids);
        // Dropout stands after the norm here, so the fused operation's own is not used.
        let hidden = layer_norm(&self.layer_norm, sum, places, self.layer_norm_eps, None);
        match DropoutSeed::at(dropout, Site::Embeddings, self.dropout_prob) {
            Some(dropout) => fused_ops::dropout(hidden, &dropout),
            None => hidden,
        }
    }
}

/// `LayerNorm(dropout(input) + residual)` with a module's parameters.
pub(crate) fn layer_norm(
    norm: &LayerNorm,
    input: Tensor<2>,
    residual: Tensor<2>,
    eps: f64,
    dropout: Option<fused_ops::Dropout>,
) -> Tensor<2> {
    let beta = norm
        .beta
        .as_ref()
        .expect("every LayerNorm here has a bias")
        .val();
    dropout_add_layer_norm(input, residual, norm.gamma.val(), beta, eps, dropout)
}
