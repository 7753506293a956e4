//! BERT-family encoders for extractive question answering, on Burn, with Hugging Face weights in
//! and out.
//!
//! [`ModelSource`] finds a model's folder, [`Pretrained`] loads it (and saves it again), and its
//! [`BertForQuestionAnswering`] turns a [`PackedInput`] into start and end logits. The crate names
//! no backend and knows nothing of training: the device comes from the caller, and a device with
//! autodiff makes a model that can be trained.
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
mod model;
mod names;
mod pretrained;
mod report;
mod source;
mod weights;
mod wheel;

pub use answerer::{QuestionAnswerer, predict_logits};
pub use architecture::Architecture;
pub use config::BertConfig;
pub use dropout::DropoutSeed;
pub use embeddings::BertEmbeddings;
pub use encoder::{
    BertAttention, BertEncoder, BertIntermediate, BertLayer, BertOutput, BertSelfAttention,
};
pub use error::Error;
pub use hub::Hub;
pub use input::PackedInput;
pub use model::{BertForQuestionAnswering, BertModel};
pub use names::hugging_face_name;
pub use pretrained::{Companions, Pretrained};
pub use report::LoadReport;
pub use source::{ModelSource, Watch};
pub use wheel::Wheel;
