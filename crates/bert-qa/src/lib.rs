//! BERT encoders for extractive question answering on [Burn](https://burn.dev), with Hugging Face
//! model folders in and out.
//!
//! ```no_run
//! use bert_qa::QuestionAnswerer;
//! use burn::tensor::Device;
//!
//! fn main() -> Result<(), bert_qa::Error> {
//!     let answerer = QuestionAnswerer::from_pretrained("runs/quickstart/model", &Device::default())?;
//!     let context = "Bees collect nectar and pollen from flowers.";
//!     let prediction = answerer.answer("What do bees collect?", context)?;
//!     println!("{}", prediction.text);
//!     Ok(())
//! }
//! ```
//!
//! A program needs two dependencies:
//!
//! ```toml
//! [dependencies]
//! bert-qa = { path = "../squad-burn/crates/bert-qa", features = ["ndarray"] }
//! burn = { version = "=0.22.1", default-features = false, features = ["std", "ndarray"] }
//! ```
//!
//! To train or inspect a model, use the parts: [`ModelSource`] finds or downloads a model folder,
//! [`Pretrained`] loads it, [`PackedInput`] copies a batch to a device,
//! [`BertForQuestionAnswering`] computes start and end logits, [`span_loss`] their loss, and
//! [`ModelAssets`] saves a model folder with a [`ModelCard`].
//!
//! The crate names no backend: the caller passes a device. A model on a device with autodiff can be
//! trained.
#![deny(missing_docs)]

/// Compiles the examples.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/from-transformers.md")]
struct FromTransformers;

mod answerer;
mod error;
mod hub;
mod logits;
mod model;
mod pretrained;

pub use answerer::QuestionAnswerer;
pub use download::{DownloadEvent, DownloadOptions};
pub use error::Error;
#[doc(hidden)]
pub use hub::check_wheel;
pub use hub::{Hub, ModelSource, Wheel, model_cache};
pub use logits::{check_finite_logits, predict_logits, try_predict_logits};
pub use model::{
    Architecture, BertAttention, BertConfig, BertConv, BertEmbeddings, BertEncoder,
    BertForQuestionAnswering, BertIntermediate, BertLayer, BertModel, BertOutput,
    BertSelfAttention, DropoutSeed, EncoderLayer, ModelUnit, PackedInput, PredictionHead,
    span_loss,
};
pub use pretrained::{
    CardData, CardFile, LoadReport, ModelAssets, ModelCard, Pretrained, QaConfig, burn_version,
    hugging_face_name,
};

// Types of `fused-ops` in the interface of the model.
pub use fused_ops::{Precision, WeightCache, autocast};
// Types of `squad-data` in the interface of `QuestionAnswerer`.
pub use squad_data::{
    AnswerOptions, Error as DataError, Example, FeatureOptions, LabelAnswer, LongQuestions,
    PipelineAnswer, PipelineOptions, Prediction, QaTokenizer, SpanAnswer, StrideKind,
};

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
