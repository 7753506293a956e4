use serde::{Deserialize, Serialize};

/// `[distributed]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DistributedConfig {
    /// How the work is divided.
    pub strategy: Strategy,
    /// What `fsdp` divides among the processes.
    pub sharding_strategy: ShardingStrategy,
    /// `ddp` sums gradients in portions of so many MiB, while the backward pass goes on.
    pub bucket_cap_mb: f64,
    /// Sum gradients in `bf16`, where what carries them can: NCCL.
    pub bf16_compress: bool,
    /// Compare the processes' parameters after every so many optimizer steps; 0 does not.
    pub verify_params_every_steps: u32,
}

/// How several processes divide a run; one process alone has nothing to divide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Not at all.
    #[default]
    None,
    /// Each process has the whole model and a part of each batch.
    Ddp,
    /// Each process has a part of the model as well.
    Fsdp,
}

/// What of the model each process has a part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardingStrategy {
    /// Parameters, gradients and moments.
    #[default]
    FullShard,
    /// Gradients and moments.
    ShardGradOp,
}

impl Strategy {
    /// As it is written in a configuration.
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
        }
    }
}
