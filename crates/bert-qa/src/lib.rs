//! BERT-family encoders for extractive question answering, on Burn, with Hugging Face weights in
//! and out.
//!
//! To ask questions of texts, these three lines in a `Cargo.toml` are enough:
//!
//! ```toml
//! [dependencies]
//! bert-qa = { path = "../squad-burn/crates/bert-qa", features = ["ndarray"] }
//! burn = { version = "=0.22.1", default-features = false, features = ["std", "ndarray"] }
//! ```
//!
//! ```no_run
//! use bert_qa::QuestionAnswerer;
//! use burn::tensor::Device;
//!
//! let answerer = QuestionAnswerer::from_pretrained("runs/quickstart/model", &Device::default())?
//!     .with_no_answer(0.0)
//!     .with_top_k(3);
//! let prediction = answerer.answer("Who built it?", "Ane Holm built it in 1871.")?;
//! println!("{} {:?}", prediction.text, prediction.n_best[0].chars);
//! # Ok::<(), bert_qa::Error>(())
//! ```
//!
//! Underneath, [`ModelSource`] finds a model's folder, [`Pretrained`] loads it (and its [`Companions`]
//! save it again, with a [`ModelCard`]), and its [`BertForQuestionAnswering`] turns a [`PackedInput`]
//! into start and end logits. The crate names no backend and knows nothing of training: the device
//! comes from the caller, and a device with autodiff makes a model that can be trained.
#![deny(missing_docs)]

mod answerer;
mod architecture;
mod checkpoint;
mod config;
mod dropout;
mod embeddings;
mod encoder;
mod error;
mod file_kind;
mod finite;
mod hub;
mod init;
mod input;
mod logits;
mod model;
mod model_card;
mod names;
mod pretrained;
mod report;
mod saving;
mod source;
mod weights;
mod wheel;

pub use answerer::QuestionAnswerer;
pub use architecture::Architecture;
pub use config::BertConfig;
pub use download::{DownloadEvent, DownloadOptions};
pub use dropout::DropoutSeed;
pub use embeddings::BertEmbeddings;
pub use encoder::{
    BertAttention, BertEncoder, BertIntermediate, BertLayer, BertOutput, BertSelfAttention,
};
pub use error::Error;
pub use hub::Hub;
pub use input::PackedInput;
pub use logits::{predict_logits, try_predict_logits};
pub use model::{BertForQuestionAnswering, BertModel, span_loss};
pub use model_card::{CardData, CardFile, ModelCard};
pub use names::hugging_face_name;
pub use pretrained::{Companions, Pretrained};
pub use report::LoadReport;
pub use source::{ModelSource, model_cache};
pub use wheel::Wheel;

// What a caller of [`QuestionAnswerer`] needs of `squad-data`.
pub use squad_data::{
    AnswerOptions, Error as DataError, Example, FeatureOptions, Prediction, SpanAnswer,
};
