//! The model: configuration, modules, dropout, the batch on a device, and the loss.

mod architecture;
mod bert;
mod config;
mod config_reader;
mod conv;
mod dropout;
mod embeddings;
mod encoder;
mod fused;
mod init;
mod input;
mod loss;
mod relative;
mod rotary;
mod units;

pub use architecture::Architecture;
pub use bert::{BertForQuestionAnswering, BertModel, PredictionHead};
pub use config::BertConfig;
pub use conv::BertConv;
pub use dropout::DropoutSeed;
pub use embeddings::BertEmbeddings;
pub use encoder::{
    BertAttention, BertEncoder, BertIntermediate, BertLayer, BertOutput, BertSelfAttention,
    EncoderLayer,
};
pub use input::PackedInput;
pub use loss::span_loss;
pub use units::ModelUnit;
