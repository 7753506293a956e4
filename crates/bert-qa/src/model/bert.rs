use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, FloatDType, Tensor};
use fused_ops::{Activation, CuSeqlens};
use squad_data::PackedBatch;

use crate::dropout::Site;
use crate::embeddings::BertEmbeddings;
use crate::encoder::{BertEncoder, BertLayer, apply};
use crate::init::Init;
use crate::{Architecture, BertConfig, DropoutSeed, PackedInput};

/// The encoder without a head.
#[derive(Module, Debug)]
pub struct BertModel {
    pub(crate) embeddings: BertEmbeddings,
    pub(crate) encoder: BertEncoder,
}

/// An encoder, by its architecture: a parameter's path in the module says whose it is.
#[derive(Module, Debug)]
pub(crate) enum Encoder {
    Bert(BertModel),
    DistilBert(BertModel),
}

/// An encoder with a span head (Devlin et al. 2018, section 4.2): two logits per token, for the
/// start and the end of the answer. Field names follow Hugging Face's `BertForQuestionAnswering`,
/// and [`Architecture`] says how DistilBERT differs.
///
/// The forward pass of each unit (embeddings, layer, head) is public, so that a caller can run
/// them one by one; the model knows nothing of ranks.
#[derive(Module, Debug)]
pub struct BertForQuestionAnswering {
    pub(crate) encoder: Encoder,
    pub(crate) qa_outputs: Linear,
    qa_dropout_prob: f64,
    bf16: bool,
}

impl BertForQuestionAnswering {
    /// A newly initialised model, a function of `config` and `seed` on any backend.
    pub fn new(config: &BertConfig, seed: u64, device: &Device) -> Self {
        let init = &mut Init::new(
            device,
            config.initializer_range,
            config.layer_norm_eps,
            seed,
        );
        // The head is drawn first: its numbers do not depend on the size of the encoder, which is
        // loaded in most runs.
        let qa_outputs = init.linear(config.hidden_size, 2);
        let embeddings = BertEmbeddings::new(config, init);
        let layers = 0..config.num_hidden_layers;
        let layer = layers
            .map(|index| BertLayer::new(config, index, init))
            .collect();
        let model = BertModel {
            embeddings,
            encoder: BertEncoder { layer },
        };
        Self {
            encoder: match config.architecture {
                Architecture::Bert => Encoder::Bert(model),
                Architecture::DistilBert => Encoder::DistilBert(model),
            },
            qa_outputs,
            qa_dropout_prob: config.qa_dropout_prob,
            bf16: false,
        }
    }

    /// Mixed precision or not: hidden states and products in `bf16` between embeddings and head,
    /// parameters and logits in `f32`. For the LibTorch backend; others have no `bf16`.
    pub fn in_bf16(self, bf16: bool) -> Self {
        Self { bf16, ..self }
    }

    /// Which encoder it is.
    pub fn architecture(&self) -> Architecture {
        match self.encoder {
            Encoder::Bert(_) => Architecture::Bert,
            Encoder::DistilBert(_) => Architecture::DistilBert,
        }
    }

    fn encoder(&self) -> &BertModel {
        match &self.encoder {
            Encoder::Bert(model) | Encoder::DistilBert(model) => model,
        }
    }

    /// The longest window that the model has positions for, in tokens.
    pub fn max_position_embeddings(&self) -> usize {
        self.embeddings().position_embeddings.weight.dims()[0]
    }

    /// The embeddings, first unit of the forward pass.
    pub fn embeddings(&self) -> &BertEmbeddings {
        &self.encoder().embeddings
    }

    /// The encoder layers, the units between.
    pub fn layers(&self) -> &[BertLayer] {
        &self.encoder().encoder.layer
    }

    /// The first unit's forward pass: what the first layer takes, `[tokens, hidden_size]`.
    pub fn embed(&self, input: &PackedInput, dropout: Option<DropoutSeed>) -> Tensor<2> {
        let embedded = self.embeddings().forward(input, dropout);
        match self.bf16 {
            true => embedded.cast(FloatDType::BF16),
            false => embedded,
        }
    }

    /// The span head, last unit: `[tokens, hidden_size]` of the last layer to `[tokens, 2]`.
    pub fn head(&self, hidden: Tensor<2>, dropout: Option<DropoutSeed>) -> Tensor<2> {
        let hidden = match DropoutSeed::at(dropout, Site::Head, self.qa_dropout_prob) {
            Some(dropout) => fused_ops::dropout(hidden, &dropout),
            None => hidden,
        };
        let logits = apply(&self.qa_outputs, hidden, Activation::Identity);
        match self.bf16 {
            true => logits.cast(FloatDType::F32),
            false => logits,
        }
    }

    /// Start and end logits of every token, `[tokens, 2]`.
    ///
    /// Without `dropout` nothing is dropped: that is evaluation.
    pub fn forward(&self, input: &PackedInput, dropout: Option<DropoutSeed>) -> Tensor<2> {
        let embedded = self.embed(input, dropout);
        let hidden = self.layers().iter().fold(embedded, |hidden, layer| {
            layer.forward(hidden, &input.lengths, dropout)
        });
        self.head(hidden, dropout)
    }

    /// The span loss of a batch summed over its windows, `[1]`, and the logits it came from.
    pub fn loss(
        &self,
        batch: &PackedBatch,
        device: &Device,
        dropout: Option<DropoutSeed>,
    ) -> (Tensor<1>, Tensor<2>) {
        let input = PackedInput::new(batch, device);
        let logits = self.forward(&input, dropout);
        (span_loss(logits.clone(), batch, &input.lengths), logits)
    }
}

/// The span loss of a batch summed over its windows, `[1]`, from its logits, `[tokens, 2]`.
///
/// # Panics
/// If logits and lengths are not the batch's.
pub fn span_loss(logits: Tensor<2>, batch: &PackedBatch, lengths: &CuSeqlens) -> Tensor<1> {
    fused_ops::span_loss(
        logits,
        lengths,
        &batch.start_positions,
        &batch.end_positions,
    )
}
