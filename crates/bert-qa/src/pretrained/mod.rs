//! Model folders in Hugging Face layout: names, weights, configuration, tokenizer, model card.

mod assets;
mod checkpoint_files;
mod conv_weight;
mod file_kind;
mod finite;
mod load;
mod missing;
mod model_card;
mod names;
mod qa_config;
mod safetensors_file;
mod weights;

pub use assets::ModelAssets;
pub use load::Pretrained;
pub use model_card::{CardData, CardFile, ModelCard, burn_version};
pub use names::hugging_face_name;
pub use qa_config::QaConfig;
pub use weights::LoadReport;

pub(crate) use assets::{CONFIG, MAKE_TOKENIZER, TOKENIZER, has_tokenizer};
pub(crate) use checkpoint_files::{CheckpointFiles, WEIGHTS, is_index, read_index, shards};
pub(crate) use missing::is_archive;
