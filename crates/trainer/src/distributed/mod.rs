//! Training by many processes: each works on its part of every batch, and they meet in collectives.

mod block_wise;
mod collectives;
mod data_parallel;
mod evaluation;
mod ready;
mod segments;
mod sharded;
mod shards;
mod units;

use std::sync::Arc;

use bert_qa::BertForQuestionAnswering;
use burn::tensor::Device;
use process_group::ProcessGroup;

use self::collectives::{HostCollectives, TensorCollectives};
use self::data_parallel::DataParallel;
use self::sharded::Sharded;
use crate::Error;
use crate::config::{DistributedConfig, Strategy};
use crate::engine::{Alone, Engine};
use crate::optimizer::Optimizer;

pub(crate) use self::evaluation::evaluate_together;
pub use self::ready::all_ready;
pub(crate) use self::ready::{agree, of_rank};

/// Whether a run can be divided among so many processes as it is configured.
pub(crate) fn check(config: &DistributedConfig, world_size: usize) -> Result<(), Error> {
    if world_size == 1 {
        return Ok(());
    }
    let complaint = match config.strategy {
        Strategy::None => format!(
            "distributed.strategy is none, and these are {world_size} processes: set it to ddp or fsdp"
        ),
        _ if config.bf16_compress => {
            "distributed.bf16_compress needs NCCL: through MPI, gradients are summed in f32".into()
        }
        _ => return Ok(()),
    };
    Err(Error::Config(vec![complaint]))
}

/// The engine that a configuration asks for. `model` is on `device`, which has autodiff, and
/// `optimizer` has its whole moments.
pub(crate) fn engine(
    config: &DistributedConfig,
    model: BertForQuestionAnswering,
    optimizer: Optimizer,
    device: Device,
    group: &Arc<dyn ProcessGroup>,
) -> Box<dyn Engine> {
    if group.world_size() == 1 {
        return Box::new(Alone::new(model, optimizer, device));
    }
    let collectives: Arc<dyn TensorCollectives> = Arc::new(HostCollectives::new(
        Arc::clone(group),
        device.clone().inner(),
    ));
    match config.strategy {
        Strategy::Fsdp => {
            let group = Arc::clone(group);
            let shard = config.shard;
            Box::new(Sharded::new(
                model,
                optimizer,
                device,
                shard,
                group,
                collectives,
            ))
        }
        _ => {
            let capacity = config.bucket_cap_mb * f64::from(1 << 20);
            let alone = Alone::new(model, optimizer, device);
            Box::new(DataParallel::new(alone, capacity, collectives))
        }
    }
}
