use burn::module::{Module, Param, ParamId};
use burn::nn::{Embedding, LayerNorm, Linear};
use burn::tensor::Tensor;
use fused_ops::{
    Activation, AttentionTerms, Dropout, Precision, RelativeKind, RelativeTerm, WeightCache,
    attention_probabilities, attention_with_terms, concat_columns, geglu, has_bf16_tensors,
    linear_side_by_side,
};

use super::config::BertConfig;
use super::conv::BertConv;
use super::dropout::{DropoutSeed, DropoutSite};
use super::fused::{bias, dropout, dropout_add_layer_norm, layer_norm, linear};
use super::init::Init;
use super::input::PackedInput;
use super::relative::RelativeAttentionConfig;
use super::rotary::LayerAttention;
use super::units::ModelUnit;

/// Query, key and value projections of a layer's attention.
#[derive(Module, Debug)]
pub struct BertSelfAttention {
    query: Option<Linear>,
    key: Option<Linear>,
    value: Option<Linear>,
    /// The three as one, in ModernBERT and after [`Self::fuse_qkv_projections`].
    qkv: Option<Linear>,
    /// Of positions, where DeBERTa does not use `key`.
    pos_key_proj: Option<Linear>,
    /// Of positions, where DeBERTa does not use `query`.
    pos_query_proj: Option<Linear>,
}

impl BertSelfAttention {
    fn new(config: &BertConfig, init: &mut Init) -> Self {
        let width = config.hidden_size;
        if config.architecture.spec().pre_norm {
            return Self {
                query: None,
                key: None,
                value: None,
                qkv: Some(init.linear(width, 3 * width, config.biases.attention)),
                pos_key_proj: None,
                pos_query_proj: None,
            };
        }
        let [query, key, value] = [(); 3].map(|()| Some(init.linear(width, width, true)));
        let own = config.relative_attention.filter(|own| !own.share_att_key);
        let (p2c, c2p) = match own.map(|own| own.kind) {
            Some(RelativeKind::Disentangled { p2c, c2p }) => (p2c, c2p),
            _ => (false, false),
        };
        Self {
            query,
            key,
            value,
            qkv: None,
            pos_key_proj: c2p.then(|| init.linear(width, width, true)),
            pos_query_proj: p2c.then(|| init.linear(width, width, true)),
        }
    }

    /// The three projections as one; query and key remain where positions need them (`share_att_key`).
    fn fuse_qkv_projections(self, share_att_key: bool) -> Self {
        let (None, Some(query), Some(key), Some(value)) =
            (&self.qkv, &self.query, &self.key, &self.value)
        else {
            return self;
        };
        let parts = [query, key, value];
        let weight = concat_columns(parts.map(|part| part.weight.val()));
        let bias = Tensor::cat(parts.map(bias).into(), 0);
        Self {
            qkv: Some(Linear {
                weight: Param::initialized(ParamId::new(), weight),
                bias: Some(Param::initialized(ParamId::new(), bias)),
            }),
            value: None,
            query: self.query.filter(|_| share_att_key),
            key: self.key.filter(|_| share_att_key),
            ..self
        }
    }

    /// Queries and keys of positions side by side, or those of them that there are.
    fn project_positions(&self, positions: Tensor<2>, p2c: bool, c2p: bool) -> Tensor<2> {
        let query = self.pos_query_proj.as_ref().or(self.query.as_ref());
        let key = self.pos_key_proj.as_ref().or(self.key.as_ref());
        let used = query.filter(|_| p2c).into_iter().chain(key.filter(|_| c2p));
        let project = |projection| linear(projection, positions.clone(), Activation::Identity);
        Tensor::cat(used.map(project).collect(), 1)
    }

    /// Query, key and value side by side, `[tokens, 3 * hidden_size]`.
    ///
    /// One matmul with the three weights concatenated. Three matmuls where the weights are larger than the output, because
    /// concatenating them costs more than it saves, and where packed weights are cached, because a concatenated weight is
    /// another tensor in every pass.
    fn project(&self, hidden: Tensor<2>) -> Tensor<2> {
        if let Some(qkv) = &self.qkv {
            return linear(qkv, hidden, Activation::Identity);
        }
        let projections = [&self.query, &self.key, &self.value].map(|projection| {
            projection
                .as_ref()
                .expect("a projection where `qkv` is none")
        });
        let [tokens, hidden_size] = hidden.dims();
        // Backends with `bf16` tensors cache the concatenated weight.
        let is_packed = WeightCache::current().is_some()
            && Precision::current() != Precision::F32
            && !has_bf16_tensors(&hidden.device());
        if tokens < hidden_size || is_packed {
            let project = |projection| linear(projection, hidden.clone(), Activation::Identity);
            return Tensor::cat(projections.map(project).into(), 1);
        }
        let weight = projections.map(|projection| projection.weight.val());
        let bias = projections.map(bias);
        linear_side_by_side(hidden, weight, bias)
    }
}

/// The end of a sub-layer: a linear layer, dropout, and the norm of the sum with the residual. Where norms stand before
/// sub-layers, the linear layer alone.
#[derive(Module, Debug)]
pub struct BertOutput {
    dense: Linear,
    layer_norm: Option<LayerNorm>,
}

impl BertOutput {
    fn new(config: &BertConfig, input: usize, bias: bool, init: &mut Init) -> Self {
        let (width, pre_norm) = (config.hidden_size, config.architecture.spec().pre_norm);
        Self {
            dense: init.linear(input, width, bias),
            layer_norm: (!pre_norm).then(|| init.layer_norm(width, true)),
        }
    }

    fn project(&self, input: Tensor<2>) -> Tensor<2> {
        linear(&self.dense, input, Activation::Identity)
    }

    fn forward(
        &self,
        input: Tensor<2>,
        residual: Tensor<2>,
        eps: f64,
        dropout: Option<Dropout>,
    ) -> Tensor<2> {
        let norm = self
            .layer_norm
            .as_ref()
            .expect("a norm after the sub-layer");
        dropout_add_layer_norm(norm, self.project(input), residual, eps, dropout)
    }
}

/// Self-attention with its output projection.
#[derive(Module, Debug)]
pub struct BertAttention {
    /// Where norms stand before sub-layers; the first layer has none.
    layer_norm: Option<LayerNorm>,
    self_attention: BertSelfAttention,
    output: BertOutput,
}

/// The first feed-forward layer.
#[derive(Module, Debug)]
pub struct BertIntermediate {
    /// Where norms stand before sub-layers.
    layer_norm: Option<LayerNorm>,
    dense: Linear,
}

/// The parameters of an encoder layer (Vaswani et al. 2017), with the norm after each residual as in
/// BERT, or before each sub-layer as in ModernBERT. [`EncoderLayer`] computes with them.
#[derive(Module, Debug)]
pub struct BertLayer {
    attention: BertAttention,
    intermediate: BertIntermediate,
    output: BertOutput,
    num_attention_heads: usize,
    #[module(skip)]
    hidden_act: Activation,
    #[module(skip)]
    positions: Option<LayerAttention>,
    pre_norm: bool,
    layer_norm_eps: f64,
    attention_probs_dropout_prob: f64,
    attention_output_dropout_prob: f64,
    layer_output_dropout_prob: f64,
}

impl BertLayer {
    fn new(config: &BertConfig, index: usize, init: &mut Init) -> Self {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let (biases, pre_norm) = (config.biases, config.architecture.spec().pre_norm);
        let gates = if pre_norm { inner } else { 0 };
        Self {
            attention: BertAttention {
                layer_norm: (pre_norm && index > 0).then(|| init.layer_norm(width, biases.norm)),
                self_attention: BertSelfAttention::new(config, init),
                output: BertOutput::new(config, width, biases.attention, init),
            },
            intermediate: BertIntermediate {
                layer_norm: pre_norm.then(|| init.layer_norm(width, biases.norm)),
                dense: init.linear(width, inner + gates, biases.mlp),
            },
            output: BertOutput::new(config, inner, biases.mlp, init),
            positions: config.layer_attention.get(index).copied(),
            pre_norm,
            num_attention_heads: config.num_attention_heads,
            hidden_act: config.hidden_act,
            layer_norm_eps: config.layer_norm_eps,
            attention_probs_dropout_prob: config.attention_probs_dropout_prob,
            attention_output_dropout_prob: config.attention_output_dropout_prob(),
            layer_output_dropout_prob: config.layer_output_dropout_prob(),
        }
    }
}

/// A layer of the forward pass: its parameters, and its number.
#[derive(Clone, Copy, Debug)]
pub struct EncoderLayer<'a> {
    index: usize,
    unit: usize,
    parameters: &'a BertLayer,
    encoder: &'a BertEncoder,
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
        if layer.pre_norm {
            return self.forward_pre_norm(hidden, input, seed);
        }
        let (attention, output) = (&layer.attention.output, &layer.output);
        let eps = layer.layer_norm_eps;
        let conv = self.encoder.conv.as_ref().filter(|_| self.index == 0);
        let conv = conv.map(|conv| (conv, hidden.clone()));
        let context = self.attend(hidden.clone(), input, seed);
        let hidden = attention.forward(context, hidden, eps, self.attention_output_dropout(seed));
        let inner = linear(&layer.intermediate.dense, hidden.clone(), layer.hidden_act);
        let hidden = output.forward(inner, hidden, eps, self.layer_output_dropout(seed));
        match conv {
            Some((conv, embedded)) => conv.forward(embedded, hidden, &input.cu_seqlens, seed),
            None => hidden,
        }
    }

    /// [`EncoderLayer::forward`] with norms before the sub-layers and a gated feed-forward layer.
    fn forward_pre_norm(
        &self,
        hidden: Tensor<2>,
        input: &PackedInput,
        seed: Option<DropoutSeed>,
    ) -> Tensor<2> {
        let layer = self.parameters;
        let normed = self.before_attention(hidden.clone());
        let context = self.attend(normed, input, seed);
        let context = layer.attention.output.project(context);
        let context = dropout(context, self.attention_output_dropout(seed));
        let norm = layer.intermediate.layer_norm.as_ref();
        let norm = norm.expect("a norm before the sub-layer");
        let normed = dropout_add_layer_norm(
            norm,
            context.clone(),
            hidden.clone(),
            layer.layer_norm_eps,
            None,
        );
        let inner = geglu(linear(
            &layer.intermediate.dense,
            normed,
            Activation::Identity,
        ));
        let inner = dropout(inner, self.layer_output_dropout(seed));
        hidden + context + layer.output.project(inner)
    }

    fn attention_output_dropout(&self, seed: Option<DropoutSeed>) -> Option<Dropout> {
        let prob = self.parameters.attention_output_dropout_prob;
        DropoutSeed::at(seed, DropoutSite::AttentionOutput(self.index), prob)
    }

    fn layer_output_dropout(&self, seed: Option<DropoutSeed>) -> Option<Dropout> {
        let prob = self.parameters.layer_output_dropout_prob;
        DropoutSeed::at(seed, DropoutSite::LayerOutput(self.index), prob)
    }

    /// What attention's projections get.
    fn before_attention(&self, hidden: Tensor<2>) -> Tensor<2> {
        match &self.parameters.attention.layer_norm {
            Some(norm) => layer_norm(norm, hidden, self.parameters.layer_norm_eps),
            None => hidden,
        }
    }

    /// Attention without its output projection.
    fn attend(
        &self,
        hidden: Tensor<2>,
        input: &PackedInput,
        seed: Option<DropoutSeed>,
    ) -> Tensor<2> {
        let layer = self.parameters;
        let terms = self.terms(&hidden, seed);
        attention_with_terms(
            layer.attention.self_attention.project(hidden),
            &input.cu_seqlens,
            layer.num_attention_heads,
            &terms,
            DropoutSeed::at(
                seed,
                DropoutSite::AttentionProbabilities(self.index),
                layer.attention_probs_dropout_prob,
            ),
        )
    }

    /// What attention adds; `hidden` has the type of its tensors.
    fn terms(&self, hidden: &Tensor<2>, seed: Option<DropoutSeed>) -> AttentionTerms {
        let positions = self.parameters.positions;
        AttentionTerms {
            rotary: positions.map(|positions| positions.rotary),
            window: positions.and_then(|positions| positions.window),
            relative: self.relative_term(hidden, seed),
        }
    }

    fn relative_term(&self, hidden: &Tensor<2>, seed: Option<DropoutSeed>) -> Option<RelativeTerm> {
        let config = self.encoder.relative_attention?;
        let mut table = self.encoder.relative_table()?;
        if let RelativeKind::Disentangled { p2c, c2p } = config.kind {
            let prob = self.parameters.layer_output_dropout_prob;
            let site = DropoutSite::PositionEmbeddings(self.index);
            let positions = dropout(table, DropoutSeed::at(seed, site, prob)).cast(hidden.dtype());
            let projections = &self.parameters.attention.self_attention;
            table = projections.project_positions(positions, p2c, c2p);
        }
        Some(RelativeTerm {
            table,
            kind: config.kind,
            buckets: config.buckets,
        })
    }

    /// The attention probabilities of one feature, `[heads, tokens, tokens]`: row `i` of a head is
    /// the softmax over the keys for query `i`.
    ///
    /// `hidden` is `[tokens, hidden_size]`, the input of [`EncoderLayer::forward`]. For plots: the
    /// forward pass does not materialize them.
    pub fn attention_probabilities(&self, hidden: Tensor<2>) -> Tensor<3> {
        let hidden = self.before_attention(hidden);
        let terms = self.terms(&hidden, None);
        let qkv = self.parameters.attention.self_attention.project(hidden);
        attention_probabilities(qkv, self.parameters.num_attention_heads, &terms)
    }
}

/// The encoder's layers.
#[derive(Module, Debug)]
pub struct BertEncoder {
    layer: Vec<BertLayer>,
    /// MPNet's biases, `[buckets, heads]`.
    relative_attention_bias: Option<Embedding>,
    /// DeBERTa's embeddings of relative positions.
    rel_embeddings: Option<Embedding>,
    /// Of `rel_embeddings`.
    layer_norm: Option<LayerNorm>,
    /// DeBERTa-v2's, a part of the first layer.
    conv: Option<BertConv>,
    #[module(skip)]
    relative_attention: Option<RelativeAttentionConfig>,
    layer_norm_eps: f64,
    num_hidden_layers: usize,
}

impl BertEncoder {
    pub(super) fn new(config: &BertConfig, init: &mut Init) -> Self {
        let layers = 0..config.num_hidden_groups;
        let layer = layers
            .map(|index| BertLayer::new(config, index, init))
            .collect();
        let relative = config.relative_attention;
        let (biases, positions) = match relative {
            Some(relative) if relative.kind == RelativeKind::Bias => (Some(relative), None),
            relative => (None, relative),
        };
        let normalized = positions.filter(|positions| positions.normalize);
        Self {
            layer,
            relative_attention_bias: biases
                .map(|biases| init.embedding(biases.buckets.rows(), config.num_attention_heads)),
            rel_embeddings: positions
                .map(|positions| init.embedding(positions.buckets.rows(), config.hidden_size)),
            layer_norm: normalized.map(|_| init.layer_norm(config.hidden_size, true)),
            conv: config.conv.map(|conv| BertConv::new(config, conv, init)),
            relative_attention: relative,
            layer_norm_eps: config.layer_norm_eps,
            num_hidden_layers: config.num_hidden_layers,
        }
    }

    pub(super) fn fuse_qkv_projections(self) -> Self {
        let relative = self.relative_attention;
        let share_att_key = relative.is_some_and(|relative| relative.share_att_key);
        let fuse = |layer: BertLayer| {
            let attention = layer.attention;
            BertLayer {
                attention: BertAttention {
                    self_attention: attention.self_attention.fuse_qkv_projections(share_att_key),
                    ..attention
                },
                ..layer
            }
        };
        Self {
            layer: self.layer.into_iter().map(fuse).collect(),
            ..self
        }
    }

    /// The table of biases, or the embeddings of relative positions.
    fn relative_table(&self) -> Option<Tensor<2>> {
        let table = self.relative_attention_bias.as_ref();
        let table = table.or(self.rel_embeddings.as_ref())?.weight.val();
        Some(match &self.layer_norm {
            Some(norm) => layer_norm(norm, table, self.layer_norm_eps),
            None => table,
        })
    }

    /// In the order of the forward pass. Where layers share parameters, several in a row have the
    /// same.
    pub(super) fn layers(&self) -> impl ExactSizeIterator<Item = EncoderLayer<'_>> {
        (0..self.num_hidden_layers).map(|index| {
            let unit = index * self.layer.len() / self.num_hidden_layers;
            EncoderLayer {
                index,
                unit,
                parameters: &self.layer[unit],
                encoder: self,
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
        let encoder = BertEncoder::new(&small(width, heads), init);
        let layer = encoder.layers().next().unwrap();
        let parameters = layer.parameters();
        let hidden = Tensor::<2>::random([tokens, width], Distribution::Default, &device);
        let probabilities = layer.attention_probabilities(hidden.clone());
        assert_eq!(probabilities.dims(), [heads, tokens, tokens]);

        let projections = &parameters.attention.self_attention;
        let project = |projection| linear(projection, hidden.clone(), Activation::Identity);
        let value = project(projections.value.as_ref().unwrap())
            .reshape([tokens, heads, width / heads])
            .swap_dims(0, 1);
        let ours = probabilities.clone().matmul(value).swap_dims(0, 1);
        let expected = attention(
            project(projections.query.as_ref().unwrap()),
            project(projections.key.as_ref().unwrap()),
            project(projections.value.as_ref().unwrap()),
            &CuSeqlens::new(&[tokens]),
            heads,
            None,
        );
        let largest = |difference: Tensor<2>| difference.abs().max().into_scalar::<f32>();
        let ours = ours.reshape([tokens, width]);
        assert!(largest(ours - expected.clone()) < 1e-5);
        // Negative control: the mean over heads gives other numbers.
        let mean = probabilities.mean_dim(0).expand([heads, tokens, tokens]);
        let value = project(projections.value.as_ref().unwrap())
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
