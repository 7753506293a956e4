//! Batches: which features go together, in which order, and packed without padding.

mod batches;
#[cfg(feature = "burn")]
mod burn_data;
mod packed;
pub(crate) mod rng;
mod sampler;
mod shard;

pub use batches::{BatchSize, Shuffle, batches, batches_by_tokens};
#[cfg(feature = "burn")]
pub use burn_data::{FeatureDataset, PackedBatcher, TensorBatch};
pub use packed::PackedBatch;
pub use sampler::{BatchSampler, SamplerState};
pub use shard::Shard;
