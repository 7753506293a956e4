use std::time::Duration;

use process_group::Timeouts;
use serde::{Deserialize, Serialize};

/// `[distributed]`: training with several processes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DistributedConfig {
    /// How several processes train one model: `none`, `ddp` (each has the whole model) or `fsdp` (each has a shard of
    /// it).
    pub strategy: Strategy,
    /// What `fsdp` shards: `full_shard` (parameters, gradients and moments) or `shard_grad_op` (gradients and moments).
    pub sharding_strategy: ShardingStrategy,
    /// Size in MiB of the buckets in which `ddp` sums gradients during the backward pass.
    pub bucket_cap_mb: f64,
    /// Sum gradients in bf16. Needs NCCL.
    pub bf16_compress: bool,
    /// Check every N optimizer steps that the parameters of all processes are bit-identical. 0: never. Not with
    /// `full_shard`.
    pub verify_params_every_steps: u32,
    /// Seconds in which all processes must have started after the first.
    pub startup_timeout: u64,
    /// Seconds after which a process that does not join a collective is an error. Must be longer than any work that one
    /// process does alone, such as writing a checkpoint. Fetching a model does not count.
    pub ddp_timeout: u64,
}

/// How several processes train one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// A single process.
    #[default]
    None,
    /// Each process has the whole model and a share of each batch.
    Ddp,
    /// Each process has a shard of the model and a share of each batch.
    Fsdp,
}

/// What [`Strategy::Fsdp`] shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardingStrategy {
    /// Parameters, gradients and moments.
    #[default]
    FullShard,
    /// Gradients and moments.
    ShardGradOp,
}

impl DistributedConfig {
    /// The timeouts of the process group.
    pub(crate) fn timeouts(&self) -> Timeouts {
        Timeouts {
            startup: Duration::from_secs(self.startup_timeout),
            collective: Duration::from_secs(self.ddp_timeout),
            ..Timeouts::default()
        }
    }
}

impl Strategy {
    /// The name in a configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ddp => "ddp",
            Self::Fsdp => "fsdp",
        }
    }
}

impl Default for DistributedConfig {
    fn default() -> Self {
        Self {
            strategy: Strategy::None,
            sharding_strategy: ShardingStrategy::FullShard,
            bucket_cap_mb: 25.0,
            bf16_compress: false,
            verify_params_every_steps: 0,
            startup_timeout: 45,
            ddp_timeout: 30 * 60,
        }
    }
}
