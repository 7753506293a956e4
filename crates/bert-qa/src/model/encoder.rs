use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use fused_ops::{Activation, CuSeqlens, attention_qkv_packed, linear};

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

impl BertSelfAttention {
    /// Query, key and value side by side, `[tokens, 3 * hidden_size]`: one product instead of three, unless the weights
    /// are more to copy than what comes out.
    fn project(&self, hidden: Tensor<2>) -> Tensor<2> {
        let projections = [&self.query, &self.key, &self.value];
        let [tokens, hidden_size] = hidden.dims();
        if tokens < hidden_size {
            let project = |projection| apply(projection, hidden.clone(), Activation::Identity);
            return Tensor::cat(projections.map(project).into(), 1);
        }
        let weight = projections.map(|projection| projection.weight.val());
        let bias = projections.map(bias);
        linear(
            hidden,
            Tensor::cat(weight.into(), 1),
            Tensor::cat(bias.into(), 0),
            Activation::Identity,
        )
    }
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
        lengths: &CuSeqlens,
        dropout: Option<DropoutSeed>,
    ) -> Tensor<2> {
        let drop = |site, prob| DropoutSeed::at(dropout, site, prob);
        let context = attention_qkv_packed(
            self.attention.self_attention.project(hidden.clone()),
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

    /// What each token of one window looks at: `[heads, tokens, tokens]`, a query's row sums to 1.
    ///
    /// `hidden` is `[tokens, hidden_size]`, as [`BertLayer::forward`] has it. For pictures: the forward
    /// pass itself never holds these probabilities.
    pub fn attention_probabilities(&self, hidden: Tensor<2>) -> Tensor<3> {
        let [tokens, hidden_size] = hidden.dims();
        let head_size = hidden_size / self.num_attention_heads;
        let heads = |projection: &Linear| -> Tensor<3> {
            apply(projection, hidden.clone(), Activation::Identity)
                .reshape([tokens, self.num_attention_heads, head_size])
                .swap_dims(0, 1)
        };
        let projections = &self.attention.self_attention;
        let scores = heads(&projections.query).matmul(heads(&projections.key).transpose());
        softmax(scores / (head_size as f64).sqrt(), 2)
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
    linear(input, module.weight.val(), bias(module), activation)
}

fn bias(module: &Linear) -> Tensor<1> {
    let bias = module.bias.as_ref();
    bias.expect("every linear layer here has a bias").val()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};
    use fused_ops::attention;

    use super::*;

    /// Attention from its probabilities is what the fused operation computes without them.
    #[test]
    #[allow(deprecated)] // Burn marks NdArray as superseded; it is what this project runs on.
    fn probabilities_are_those_of_the_forward_pass() {
        let device = Device::ndarray();
        let (tokens, width, heads) = (7, 24, 3);
        let init = &mut Init::new(&device, 0.5, 1e-12, 3);
        let layer = BertLayer::new(&small(width, heads), 0, init);
        let hidden = Tensor::<2>::random([tokens, width], Distribution::Default, &device);
        let probabilities = layer.attention_probabilities(hidden.clone());
        assert_eq!(probabilities.dims(), [heads, tokens, tokens]);

        let projections = &layer.attention.self_attention;
        let project = |projection| apply(projection, hidden.clone(), Activation::Identity);
        let value = project(&projections.value)
            .reshape([tokens, heads, width / heads])
            .swap_dims(0, 1);
        let ours = probabilities.clone().matmul(value).swap_dims(0, 1);
        let expected = attention(
            project(&projections.query),
            project(&projections.key),
            project(&projections.value),
            &CuSeqlens::new(&[tokens]),
            heads,
            None,
        );
        let largest = |difference: Tensor<2>| difference.abs().max().into_scalar::<f32>();
        let ours = ours.reshape([tokens, width]);
        assert!(largest(ours - expected.clone()) < 1e-5);
        // The mean over heads is another thing.
        let mean = probabilities.mean_dim(0).expand([heads, tokens, tokens]);
        let value = project(&projections.value)
            .reshape([tokens, heads, width / heads])
            .swap_dims(0, 1);
        let other = mean.matmul(value).swap_dims(0, 1).reshape([tokens, width]);
        assert!(largest(other - expected) > 1e-3);
    }

    fn small(hidden_size: usize, num_attention_heads: usize) -> BertConfig {
        let fixture = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/tiny-bert/config.json"
        );
        let mut config = BertConfig::read(fixture.as_ref()).expect("the fixture can be read");
        (config.hidden_size, config.num_attention_heads) = (hidden_size, num_attention_heads);
        config
    }
}
