use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bert_qa::{DropoutSeed, ModelAssets, Precision};
use burn::tensor::Device;

use crate::artifacts::run_dir::RunDir;
use crate::config::Config;
use crate::device::DeviceInfo;
use crate::distributed::Ranks;

/// What stays the same throughout a run.
pub(crate) struct RunContext {
    pub(crate) config: Config,
    pub(crate) ranks: Ranks,
    pub(crate) info: DeviceInfo,
    /// Without autodiff.
    pub(crate) device: Device,
    /// Of the matmuls.
    pub(crate) precision: Precision,
    /// On rank 0 only: no other rank writes files.
    pub(crate) run_dir: Option<RunDir>,
    /// The model's configuration and tokenizer.
    pub(crate) assets: ModelAssets,
    pub(crate) stop: StopFlag,
    pub(crate) started: Instant,
}

impl RunContext {
    /// Whether any rank was asked to stop: a signal may reach only one of them.
    pub(crate) fn should_stop(&self) -> Result<bool, crate::Error> {
        self.ranks.any(self.stop.is_set())
    }

    /// The dropout masks of a micro-batch; `None` without dropout.
    pub(crate) fn dropout_seed(&self, step: u32, micro_batch: usize) -> Option<DropoutSeed> {
        let train = &self.config.train;
        train.dropout.then_some(DropoutSeed {
            seed: train.seed,
            rank: self.ranks.rank() as u16,
            step,
            micro_batch: micro_batch as u16,
        })
    }
}

/// Cooperative stop flag: it can be set from another thread or from a signal handler. The run then finishes its step,
/// writes a checkpoint and returns.
#[derive(Clone, Debug, Default)]
pub struct StopFlag {
    flag: Arc<AtomicBool>,
}

impl StopFlag {
    /// Asks the run to stop.
    pub fn stop(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// Whether the run was asked to stop.
    pub fn is_set(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// The flag itself, for libraries that set one in a signal handler.
    pub fn shared(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }
}
