//! Features to batches: size, order, ranks, packing.

mod batches;
#[cfg(feature = "burn")]
mod data_loader;
mod packed;
pub(crate) mod rng;
mod sampler;
mod shard;

pub use batches::{BatchSize, Shuffle, batches, batches_by_tokens};
#[cfg(feature = "burn")]
pub use data_loader::{FeatureDataset, PackedBatcher, TensorBatch};
pub use packed::PackedBatch;
pub use sampler::{BatchSampler, SamplerState};
pub use shard::Shard;
