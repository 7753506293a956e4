use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Device, FloatDType, Tensor};
use fused_ops::{Activation, Precision, WeightCache, has_bf16_tensors};

use super::architecture::{Architecture, Encoder};
use super::config::BertConfig;
use super::dropout::{DropoutSeed, DropoutSite};
use super::embeddings::BertEmbeddings;
use super::encoder::{BertEncoder, EncoderLayer};
use super::fused::{dropout, layer_norm, linear};
use super::init::Init;
use super::input::PackedInput;

/// The encoder without a head.
#[derive(Module, Debug)]
pub struct BertModel {
    embeddings: BertEmbeddings,
    /// Where embeddings are not as wide as hidden states, and in ALBERT.
    embeddings_project: Option<Linear>,
    encoder: BertEncoder,
    /// Where norms stand before sub-layers.
    final_norm: Option<LayerNorm>,
}

/// What stands before the span head in ModernBERT: a linear layer, GELU and a norm.
#[derive(Module, Debug)]
pub struct PredictionHead {
    dense: Linear,
    norm: LayerNorm,
}

/// An encoder with a span head (Devlin et al. 2018, section 4.2): two logits per token, for the
/// start and the end of the answer. Fields have the names of Hugging Face's
/// `BertForQuestionAnswering`.
///
/// Call [`forward`](Self::forward), or its stages one by one: [`embed`](Self::embed), each of
/// [`layers`](Self::layers), [`head`](Self::head).
#[derive(Module, Debug)]
pub struct BertForQuestionAnswering {
    encoder: Encoder,
    head: Option<PredictionHead>,
    qa_outputs: Option<Linear>,
    /// The span head of ModernBERT.
    classifier: Option<Linear>,
    layer_norm_eps: f64,
    max_seq_length: usize,
    qa_dropout_prob: f64,
    bf16: bool,
}

impl BertForQuestionAnswering {
    /// A newly initialized model. Equal `config` and `seed` give equal parameters on every backend.
    pub fn new(config: &BertConfig, seed: u64, device: &Device) -> Self {
        let init = &mut Init::new(
            device,
            config.initializer_range,
            config.layer_norm_eps,
            seed,
        );
        // The head comes first, so that its values do not depend on the size of the encoder: most
        // runs load the encoder and initialize only the head.
        let (width, pre_norm) = (config.hidden_size, config.architecture.spec().pre_norm);
        let span_head = init.linear(width, 2, true);
        let (qa_outputs, classifier) = if pre_norm {
            (None, Some(span_head))
        } else {
            (Some(span_head), None)
        };
        let head = pre_norm.then(|| PredictionHead {
            dense: init.linear(width, width, config.biases.classifier),
            norm: init.layer_norm(width, config.biases.norm),
        });
        let embeddings = BertEmbeddings::new(config, init);
        let (from, to) = (config.embedding_size, config.hidden_size);
        let model = BertModel {
            embeddings,
            embeddings_project: config
                .projects_embeddings()
                .then(|| init.linear(from, to, true)),
            encoder: BertEncoder::new(config, init),
            final_norm: pre_norm.then(|| init.layer_norm(width, config.biases.norm)),
        };
        Self {
            encoder: Encoder::new(config.architecture, model),
            head,
            qa_outputs,
            classifier,
            layer_norm_eps: config.layer_norm_eps,
            max_seq_length: config.max_seq_length(),
            qa_dropout_prob: config.qa_dropout_prob,
            bf16: false,
        }
    }

    /// Mixed precision where the backend has `bf16` tensors, by [`in_bf16`](Self::in_bf16). Elsewhere the caller wraps the
    /// model's passes in [`autocast`](crate::autocast).
    pub fn with_precision(self, precision: Precision, device: &Device) -> Self {
        self.in_bf16(precision == Precision::Bf16 && has_bf16_tensors(device))
    }

    /// Turns mixed precision on or off: hidden states and matmuls between embeddings and head in
    /// `bf16`, parameters and logits in `f32`. Only the LibTorch backend has `bf16`.
    pub fn in_bf16(self, bf16: bool) -> Self {
        Self { bf16, ..self }
    }

    /// What saves the passes of one training step casting a weight more than once, in [`WeightCache::scope`]. `None` on
    /// backends without `bf16` tensors.
    pub fn weight_cache(&self, device: &Device) -> Option<WeightCache> {
        let mut weights = CastWeights::default();
        if self.bf16 {
            self.visit(&mut weights);
        }
        WeightCache::for_step(device, weights.found)
    }

    /// For inference: query, key and value become one projection, whose weight is put together now and not at every pass, so
    /// that a [`WeightCache`](crate::WeightCache) can keep it. Such a model has other parameters than its architecture: it
    /// cannot be saved.
    pub fn fuse_qkv_projections(self) -> Self {
        let encoder = self.encoder.map(|model| BertModel {
            encoder: model.encoder.fuse_qkv_projections(),
            ..model
        });
        Self { encoder, ..self }
    }

    /// The encoder's architecture.
    pub fn architecture(&self) -> Architecture {
        self.encoder.architecture()
    }

    /// The most tokens that a feature may have.
    pub fn max_seq_length(&self) -> usize {
        self.max_seq_length
    }

    /// The embeddings, without projection and mixed precision's cast; see [`embed`](Self::embed).
    pub fn embeddings(&self) -> &BertEmbeddings {
        &self.encoder.model().embeddings
    }

    /// The encoder's layers, in the order of the forward pass.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = EncoderLayer<'_>> {
        self.encoder.model().encoder.layers()
    }

    /// The first stage of the forward pass: the first layer's input, `[tokens, hidden_size]`.
    pub fn embed(&self, input: &PackedInput, seed: Option<DropoutSeed>) -> Tensor<2> {
        let embedded = self.embeddings().forward(input, seed);
        let embedded = if self.bf16 {
            embedded.cast(FloatDType::BF16)
        } else {
            embedded
        };
        match &self.encoder.model().embeddings_project {
            Some(project) => linear(project, embedded, Activation::Identity),
            None => embedded,
        }
    }

    /// The last stage: the last layer's output, `[tokens, hidden_size]`, to logits, `[tokens, 2]`.
    pub fn head(&self, hidden: Tensor<2>, seed: Option<DropoutSeed>) -> Tensor<2> {
        let (mut hidden, eps) = (hidden, self.layer_norm_eps);
        if let Some(final_norm) = &self.encoder.model().final_norm {
            hidden = layer_norm(final_norm, hidden, eps);
        }
        if let Some(head) = &self.head {
            let dense = linear(&head.dense, hidden, Activation::Gelu);
            hidden = layer_norm(&head.norm, dense, eps);
        }
        let site = DropoutSite::Head;
        let hidden = dropout(hidden, DropoutSeed::at(seed, site, self.qa_dropout_prob));
        let span_head = self.qa_outputs.as_ref().or(self.classifier.as_ref());
        let span_head = span_head.expect("every model has a span head");
        let logits = linear(span_head, hidden, Activation::Identity);
        if self.bf16 {
            logits.cast(FloatDType::F32)
        } else {
            logits
        }
    }

    /// Start and end logits of every token, `[tokens, 2]`. Without `seed` nothing is dropped.
    ///
    /// # Panics
    /// If a feature has more than [`Self::max_seq_length`] tokens, or a token that the vocabulary does not have.
    pub fn forward(&self, input: &PackedInput, seed: Option<DropoutSeed>) -> Tensor<2> {
        let embedded = self.embed(input, seed);
        let hidden = self
            .layers()
            .fold(embedded, |hidden, layer| layer.forward(hidden, input, seed));
        self.head(hidden, seed)
    }
}

/// Lists the weights that mixed precision casts, without autodiff: all but embeddings.
#[derive(Default)]
struct CastWeights {
    in_embedding: bool,
    found: Vec<Tensor<1>>,
}

impl ModuleVisitor for CastWeights {
    fn enter_module(&mut self, _name: &str, container_type: &str) {
        self.in_embedding = container_type == "Struct:Embedding";
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.in_embedding = false;
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !self.in_embedding {
            let weight = param.val().inner();
            self.found.push(weight.reshape([-1]));
        }
    }
}
