//! Training by several processes: each computes its share of every batch, and collectives combine their gradients.

mod agreement;
mod collectives;
mod ddp;
mod fsdp;
mod host;
mod layerwise;
#[cfg(feature = "nccl")]
mod nccl;
mod ranks;
mod units;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use burn::tensor::Device;
use process_group::{ProcessGroup, SingleProcess};

pub(crate) use self::collectives::TensorCollectives;
use self::ddp::DdpEngine;
use self::fsdp::FsdpEngine;
use self::host::HostCollectives;
use crate::Error;
use crate::build_info::{shared_features, versions};
use crate::config::{DistributedConfig, Strategy};
use crate::device::DeviceInfo;
use crate::train::engine::{Engine, SingleProcessEngine};

pub use self::agreement::check_all_ranks;
pub(crate) use self::agreement::{assert_same_on_all_ranks, with_rank};
pub(crate) use self::ranks::Ranks;

/// Checks that the configured strategy supports `world_size` processes.
pub(crate) fn check(config: &DistributedConfig, world_size: usize) -> Result<(), Error> {
    if world_size > 1 && config.strategy == Strategy::None {
        return Err(Error::config(format!(
            "distributed.strategy is none, but there are {world_size} processes: set it to ddp or fsdp"
        )));
    }
    Ok(())
}

/// Checks that the configured collectives exist on the device.
pub(crate) fn check_device(
    config: &DistributedConfig,
    world_size: usize,
    info: &DeviceInfo,
) -> Result<(), Error> {
    if config.bf16_compress && world_size > 1 && !uses_nccl(info) {
        return Err(Error::config(
            "distributed.bf16_compress needs NCCL: MPI sums gradients in f32",
        ));
    }
    Ok(())
}

/// Connects the processes that were launched together. A single process starts no library.
///
/// # Errors
/// If this build cannot reach the other processes, they do not start in time, or one runs another build.
pub fn connect(config: &DistributedConfig) -> Result<Arc<dyn ProcessGroup>, Error> {
    if config.strategy == Strategy::None && !process_group::is_launched() {
        return Ok(Arc::new(SingleProcess));
    }
    let group = process_group::connect(config.timeouts())?;
    assert_same_build(&*group)?;
    Ok(group)
}

/// Checks that all ranks run the same version with the same features, before they exchange anything else.
pub(crate) fn assert_same_build(group: &dyn ProcessGroup) -> Result<(), Error> {
    let build = format!("{:?} {:?}", versions(), shared_features());
    assert_same_on_all_ranks(
        group,
        "the program (version and features)",
        build.as_bytes(),
    )
}

/// Runs `work` on the ranks that have some, while the others wait, however long it takes. All ranks must call it at the
/// same time.
pub(crate) fn without_timeout<T: Send + 'static>(
    group: &dyn ProcessGroup,
    work: Option<impl FnOnce() -> T + Send + 'static>,
) -> Result<Option<T>, Error> {
    if group.world_size() == 1 {
        return Ok(work.map(|work| work()));
    }
    // A thread that outlives an error: if a rank is lost, nobody waits for the end of the work.
    let thread = work.map(std::thread::spawn);
    let mut wait = Duration::from_millis(1);
    loop {
        let is_done = thread.as_ref().is_none_or(JoinHandle::is_finished);
        let all = group.all_gather_bytes(vec![u8::from(is_done)])?;
        if all.iter().all(|done| *done == [1]) {
            break;
        }
        std::thread::sleep(wait);
        wait = (2 * wait).min(Duration::from_secs(1));
    }
    let joined = thread.map(|thread| thread.join());
    Ok(joined.map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))))
}

/// Whether collectives run on the device, through NCCL, instead of through host memory.
pub(crate) fn uses_nccl(info: &DeviceInfo) -> bool {
    cfg!(feature = "nccl") && info.gpu().is_some()
}

/// The collectives for tensors on `device`, which is without autodiff; `None` for a single rank. All ranks must call it at
/// the same time.
pub(crate) fn collectives(
    config: &DistributedConfig,
    info: &DeviceInfo,
    device: &Device,
    group: &Arc<dyn ProcessGroup>,
) -> Result<Option<Arc<dyn TensorCollectives>>, Error> {
    if group.world_size() == 1 {
        return Ok(None);
    }
    assert_same_on_all_ranks(&**group, "the use of NCCL", &[uses_nccl(info).into()])?;
    #[cfg(feature = "nccl")]
    if let Some(gpu) = info.gpu() {
        use process_group::NcclGroup;
        let group = NcclGroup::connect(Arc::clone(group), gpu, config.timeouts())?;
        let on_gpu = nccl::NcclCollectives::new(group, config.bf16_compress);
        return Ok(Some(Arc::new(on_gpu)));
    }
    #[cfg(not(feature = "nccl"))]
    let _ = config;
    let host = HostCollectives::new(Arc::clone(group), device.clone());
    Ok(Some(Arc::new(host)))
}

/// The engine of the configured strategy, from that of a single process. Without collectives it is the latter.
pub(crate) fn engine(
    config: &DistributedConfig,
    local: SingleProcessEngine,
    group: &Arc<dyn ProcessGroup>,
    collectives: Option<Arc<dyn TensorCollectives>>,
) -> Box<dyn Engine> {
    let Some(collectives) = collectives else {
        return Box::new(local);
    };
    match config.strategy {
        Strategy::Fsdp => {
            let (sharding, group) = (config.sharding_strategy, Arc::clone(group));
            Box::new(FsdpEngine::new(local, sharding, group, collectives))
        }
        _ => {
            let capacity = config.bucket_cap_mb * f64::from(1 << 20);
            Box::new(DdpEngine::new(local, capacity, collectives))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use process_group::{Collective, Collectives, Pending};

    use super::*;

    /// One of two ranks; the other never has work. Counts collectives, and fails after some of them.
    struct Waiting {
        collectives: AtomicUsize,
        lost_after: usize,
    }

    impl Collectives<Vec<f32>> for Waiting {
        fn start(&self, _: Collective, buffer: Vec<f32>) -> Pending<Vec<f32>> {
            Pending::ready(Ok(buffer))
        }
    }

    impl ProcessGroup for Waiting {
        fn rank(&self) -> usize {
            0
        }

        fn world_size(&self) -> usize {
            2
        }

        fn local_rank(&self) -> usize {
            0
        }

        fn barrier(&self) -> Result<(), process_group::Error> {
            Ok(())
        }

        fn all_gather_bytes(&self, mine: Vec<u8>) -> Result<Vec<Vec<u8>>, process_group::Error> {
            if self.collectives.fetch_add(1, Ordering::Relaxed) == self.lost_after {
                return Err(process_group::Error::Closed { here: 0 });
            }
            Ok(vec![mine, vec![1]])
        }

        fn health(&self) -> Result<(), process_group::Error> {
            Ok(())
        }

        fn abort(&self, _: i32) -> ! {
            unreachable!("nobody asks for it")
        }
    }

    /// So no collective waits for the end of the work.
    #[test]
    fn ranks_meet_again_and_again_while_one_works() {
        let group = |lost_after| Waiting {
            collectives: AtomicUsize::new(0),
            lost_after,
        };
        let work = |time| {
            move || {
                std::thread::sleep(time);
                7
            }
        };
        let whole = group(usize::MAX);
        let done = without_timeout(&whole, Some(work(Duration::from_millis(200)))).unwrap();
        assert_eq!(done, Some(7));
        let collectives = whole.collectives.into_inner();
        assert!(collectives >= 4, "{collectives}");
        let none = without_timeout(&group(usize::MAX), None::<fn() -> u8>);
        assert_eq!(none.unwrap(), None);
        // A lost rank ends the wait, not the work.
        let started = Instant::now();
        let lost = without_timeout(&group(3), Some(work(Duration::from_secs(60))));
        assert!(matches!(lost, Err(Error::Group(_))), "{lost:?}");
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn ranks_share_the_features_that_read_and_compute() {
        let features = shared_features();
        assert_eq!(features.contains(&"csv"), cfg!(feature = "csv"));
        assert_eq!(features.contains(&"flex"), cfg!(feature = "flex"));
    }

    #[test]
    fn bf16_compress_needs_nccl() {
        let compressed = DistributedConfig {
            bf16_compress: true,
            ..DistributedConfig::default()
        };
        let on = |name: &str| DeviceInfo {
            name: name.into(),
            description: String::new(),
        };
        for name in ["ndarray", "libtorch", "cuda:1"] {
            let nccl = cfg!(feature = "nccl") && name == "cuda:1";
            let result = check_device(&compressed, 2, &on(name));
            assert_eq!(result.is_ok(), nccl, "{name}: {result:?}");
            check_device(&compressed, 1, &on(name)).unwrap();
            check_device(&DistributedConfig::default(), 2, &on(name)).unwrap();
        }
    }
}
