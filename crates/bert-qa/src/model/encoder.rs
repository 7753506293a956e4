use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use fused_ops::{Activation, Dropout, attention_qkv_packed};

use super::config::BertConfig;
use super::dropout::{DropoutSeed, DropoutSite};
use super::fused::{bias, layer_norm, linear};
use super::init::Init;
use super::input::PackedInput;
use super::units::ModelUnit;

/// Query, key and value projections of a layer's attention.
#[derive(Module, Debug)]
pub struct BertSelfAttention {
    query: Linear,
    key: Linear,
    value: Linear,
}

impl BertSelfAttention {
    /// Query, key and value side by side, `[tokens, 3 * hidden_size]`.
    ///
    /// One matmul with the three weights concatenated; three matmuls where the weights are larger
    /// than the output, and concatenating them would cost more than it saves.
    fn project(&self, hidden: Tensor<2>) -> Tensor<2> {
        let projections = [&self.query, &self.key, &self.value];
        let [tokens, hidden_size] = hidden.dims();
        if tokens < hidden_size {
            let project = |projection| linear(projection, hidden.clone(), Activation::Identity);
            return Tensor::cat(projections.map(project).into(), 1);
        }
        let weight = projections.map(|projection| projection.weight.val());
        let bias = projections.map(bias);
        fused_ops::linear(
            hidden,
            Tensor::cat(weight.into(), 1),
            Tensor::cat(bias.into(), 0),
            Activation::Identity,
        )
    }
}

/// The end of a sub-layer: a linear layer, dropout, and the norm of the sum with the residual.
#[derive(Module, Debug)]
pub struct BertOutput {
    dense: Linear,
    layer_norm: LayerNorm,
}

impl BertOutput {
    fn forward(
        &self,
        input: Tensor<2>,
        residual: Tensor<2>,
        eps: f64,
        dropout: Option<Dropout>,
    ) -> Tensor<2> {
        let projected = linear(&self.dense, input, Activation::Identity);
        layer_norm(&self.layer_norm, projected, residual, eps, dropout)
    }
}

/// Self-attention with its output projection.
#[derive(Module, Debug)]
pub struct BertAttention {
    self_attention: BertSelfAttention,
    output: BertOutput,
}

/// The first feed-forward layer.
#[derive(Module, Debug)]
pub struct BertIntermediate {
    dense: Linear,
}

/// The parameters of an encoder layer (Vaswani et al. 2017) with the norm after each residual, as
/// in BERT. [`EncoderLayer`] computes with them.
#[derive(Module, Debug)]
pub struct BertLayer {
    attention: BertAttention,
    intermediate: BertIntermediate,
    output: BertOutput,
    num_attention_heads: usize,
    #[module(skip)]
    hidden_act: Activation,
    layer_norm_eps: f64,
    attention_probs_dropout_prob: f64,
    attention_output_dropout_prob: f64,
    layer_output_dropout_prob: f64,
}

impl BertLayer {
    fn new(config: &BertConfig, init: &mut Init) -> Self {
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
            num_attention_heads: config.num_attention_heads,
            hidden_act: config.hidden_act,
            layer_norm_eps: config.layer_norm_eps,
            attention_probs_dropout_prob: config.attention_probs_dropout_prob,
            attention_output_dropout_prob: config.attention_output_dropout_prob(),
            layer_output_dropout_prob: config.hidden_dropout_prob,
        }
    }
}

/// A layer of the forward pass: its parameters, and its number.
#[derive(Clone, Copy, Debug)]
pub struct EncoderLayer<'a> {
    index: usize,
    unit: usize,
    parameters: &'a BertLayer,
}

impl<'a> EncoderLayer<'a> {
    /// The layer's parameters.
    pub fn parameters(&self) -> &'a BertLayer {
        self.parameters
    }

    /// The unit of its parameters. Layers that share parameters have the same.
    pub fn unit(&self) -> ModelUnit {
        ModelUnit::Layer(self.unit)
    }

    /// `[tokens, hidden_size]` to `[tokens, hidden_size]`.
    pub fn forward(
        &self,
        hidden: Tensor<2>,
        input: &PackedInput,
        seed: Option<DropoutSeed>,
    ) -> Tensor<2> {
        let layer = self.parameters;
        let hidden = layer.attention.output.forward(
            self.attend(hidden.clone(), input, seed),
            hidden,
            layer.layer_norm_eps,
            DropoutSeed::at(
                seed,
                DropoutSite::AttentionOutput(self.index),
                layer.attention_output_dropout_prob,
            ),
        );
        let inner = linear(&layer.intermediate.dense, hidden.clone(), layer.hidden_act);
        layer.output.forward(
            inner,
            hidden,
            layer.layer_norm_eps,
            DropoutSeed::at(
                seed,
                DropoutSite::LayerOutput(self.index),
                layer.layer_output_dropout_prob,
            ),
        )
    }

    /// Attention without its output projection.
    fn attend(
        &self,
        hidden: Tensor<2>,
        input: &PackedInput,
        seed: Option<DropoutSeed>,
    ) -> Tensor<2> {
        let layer = self.parameters;
        attention_qkv_packed(
            layer.attention.self_attention.project(hidden),
            &input.cu_seqlens,
            layer.num_attention_heads,
            DropoutSeed::at(
                seed,
                DropoutSite::AttentionProbabilities(self.index),
                layer.attention_probs_dropout_prob,
            ),
        )
    }

    /// The attention probabilities of one feature, `[heads, tokens, tokens]`: row `i` of a head is
    /// the softmax over the keys for query `i`.
    ///
    /// `hidden` is `[tokens, hidden_size]`, the input of [`EncoderLayer::forward`]. For plots: the
    /// forward pass does not materialize them.
    pub fn attention_probabilities(&self, hidden: Tensor<2>) -> Tensor<3> {
        let [tokens, hidden_size] = hidden.dims();
        let layer = self.parameters;
        let head_size = hidden_size / layer.num_attention_heads;
        let heads = |projection: &Linear| -> Tensor<3> {
            linear(projection, hidden.clone(), Activation::Identity)
                .reshape([tokens, layer.num_attention_heads, head_size])
                .swap_dims(0, 1)
        };
        let projections = &layer.attention.self_attention;
        let scores = heads(&projections.query).matmul(heads(&projections.key).transpose());
        softmax(scores / (head_size as f64).sqrt(), 2)
    }
}

/// The encoder's layers.
#[derive(Module, Debug)]
pub struct BertEncoder {
    layer: Vec<BertLayer>,
    num_hidden_layers: usize,
}

impl BertEncoder {
    pub(super) fn new(config: &BertConfig, init: &mut Init) -> Self {
        let layers = 0..config.num_hidden_layers;
        Self {
            layer: layers.map(|_| BertLayer::new(config, init)).collect(),
            num_hidden_layers: config.num_hidden_layers,
        }
    }

    /// In the order of the forward pass. Where there are fewer layers with parameters of their own,
    /// each of them serves as several in a row.
    pub(super) fn layers(&self) -> impl ExactSizeIterator<Item = EncoderLayer<'_>> {
        (0..self.num_hidden_layers).map(|index| {
            let unit = index * self.layer.len() / self.num_hidden_layers;
            EncoderLayer {
                index,
                unit,
                parameters: &self.layer[unit],
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};
    use fused_ops::{CuSeqlens, attention};

    use super::*;

    #[test]
    #[allow(deprecated)] // Burn marks NdArray as superseded; this project runs on it.
    fn attention_probabilities_match_the_fused_attention() {
        let device = Device::ndarray();
        let (tokens, width, heads) = (7, 24, 3);
        let init = &mut Init::new(&device, 0.5, 1e-12, 3);
        let parameters = &BertLayer::new(&small(width, heads), init);
        let layer = EncoderLayer {
            index: 0,
            unit: 0,
            parameters,
        };
        let hidden = Tensor::<2>::random([tokens, width], Distribution::Default, &device);
        let probabilities = layer.attention_probabilities(hidden.clone());
        assert_eq!(probabilities.dims(), [heads, tokens, tokens]);

        let projections = &parameters.attention.self_attention;
        let project = |projection| linear(projection, hidden.clone(), Activation::Identity);
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
        // Negative control: the mean over heads gives other numbers.
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
