use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;
use fused_ops::{Activation, PackedLengths, attention, linear};

use crate::dropout::Site;
use crate::embeddings::layer_norm;
use crate::init::Init;
use crate::{BertConfig, DropoutSeed};

/// Query, key and value projections of one layer's attention.
#[derive(Module, Debug)]
pub struct BertSelfAttention {
    pub(crate) query: Linear,
    pub(crate) key: Linear,
    pub(crate) value: Linear,
}

/// A projection, and the norm of its sum with the residual.
#[derive(Module, Debug)]
pub struct BertOutput {
    pub(crate) dense: Linear,
    pub(crate) layer_norm: LayerNorm,
}

/// Attention with its output projection.
#[derive(Module, Debug)]
pub struct BertAttention {
    pub(crate) self_attention: BertSelfAttention,
    pub(crate) output: BertOutput,
}

/// The first feed-forward layer.
#[derive(Module, Debug)]
pub struct BertIntermediate {
    pub(crate) dense: Linear,
}

/// One encoder layer (Vaswani et al. 2017, post-norm as in BERT).
#[derive(Module, Debug)]
pub struct BertLayer {
    pub(crate) attention: BertAttention,
    pub(crate) intermediate: BertIntermediate,
    pub(crate) output: BertOutput,
    index: usize,
    num_attention_heads: usize,
    layer_norm_eps: f64,
    attention_probs_dropout_prob: f64,
    attention_output_dropout_prob: f64,
    layer_output_dropout_prob: f64,
}

impl BertLayer {
    pub(crate) fn new(config: &BertConfig, index: usize, init: &mut Init) -> Self {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        Self {
            attention: BertAttention {
                self_attention: BertSelfAttention {
                    query: init.linear(width, width),
                    key: init.linear(width, width),
                    value: init.linear(width, width),
                },
                output: BertOutput {
                    dense: init.linear(width, width),
                    layer_norm: init.layer_norm(width),
                },
            },
            intermediate: BertIntermediate {
                dense: init.linear(width, inner),
            },
            output: BertOutput {
                dense: init.linear(inner, width),
                layer_norm: init.layer_norm(width),
            },
            index,
            num_attention_heads: config.num_attention_heads,
            layer_norm_eps: config.layer_norm_eps,
            attention_probs_dropout_prob: config.attention_probs_dropout_prob,
            attention_output_dropout_prob: config.attention_output_dropout_prob(),
            layer_output_dropout_prob: config.hidden_dropout_prob,
        }
    }

    /// `[tokens, hidden_size]` to `[tokens, hidden_size]`.
    pub fn forward(
        &self,
        hidden: Tensor<2>,
        lengths: &PackedLengths,
        dropout: Option<DropoutSeed>,
    ) -> Tensor<2> {
        let drop = |site, prob| DropoutSeed::at(dropout, site, prob);
        let projections = &self.attention.self_attention;
        let context = attention(
            apply(&projections.query, hidden.clone(), Activation::Identity),
            apply(&projections.key, hidden.clone(), Activation::Identity),
            apply(&projections.value, hidden.clone(), Activation::Identity),
            lengths,
            self.num_attention_heads,
            drop(
                Site::AttentionProbabilities(self.index),
                self.attention_probs_dropout_prob,
            ),
        );
        let hidden = self.sub_layer(
            &self.attention.output,
            context,
            hidden,
            drop(
                Site::AttentionOutput(self.index),
                self.attention_output_dropout_prob,
            ),
        );
        let inner = apply(&self.intermediate.dense, hidden.clone(), Activation::Gelu);
        self.sub_layer(
            &self.output,
            inner,
            hidden,
            drop(
                Site::LayerOutput(self.index),
                self.layer_output_dropout_prob,
            ),
        )
    }

    /// The end of both sub-layers: project, drop, add the residual, normalise.
    fn sub_layer(
        &self,
        output: &BertOutput,
        input: Tensor<2>,
        residual: Tensor<2>,
        dropout: Option<fused_ops::Dropout>,
    ) -> Tensor<2> {
        let projected = apply(&output.dense, input, Activation::Identity);
        layer_norm(
            &output.layer_norm,
            projected,
            residual,
            self.layer_norm_eps,
            dropout,
        )
    }
}

/// The layers, one after the other.
#[derive(Module, Debug)]
pub struct BertEncoder {
    pub(crate) layer: Vec<BertLayer>,
}

/// A linear module through the fused operation.
pub(crate) fn apply(module: &Linear, input: Tensor<2>, activation: Activation) -> Tensor<2> {
    let bias = module
        .bias
        .as_ref()
        .expect("every linear layer here has a bias")
        .val();
    linear(input, module.weight.val(), bias, activation)
}
