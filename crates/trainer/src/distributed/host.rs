use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData};
use process_group::{Pending, ProcessGroup, ShardRange};

use super::collectives::{PendingTensor, TensorCollectives};
use crate::Error;

/// Collectives through host memory, for tensors of any device.
pub(crate) struct HostCollectives {
    group: Arc<dyn ProcessGroup>,
    /// Without autodiff.
    device: Device,
    waited: Stopwatch,
}

/// Sums times, in nanoseconds.
#[derive(Clone, Default)]
struct Stopwatch(Arc<AtomicU64>);

impl Stopwatch {
    fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = work();
        let nanoseconds = started.elapsed().as_nanos() as u64;
        self.0.fetch_add(nanoseconds, Ordering::Relaxed);
        result
    }
}

impl HostCollectives {
    /// `device` is without autodiff.
    pub(crate) fn new(group: Arc<dyn ProcessGroup>, device: Device) -> Self {
        Self {
            group,
            device,
            waited: Stopwatch::default(),
        }
    }

    fn start(
        &self,
        tensor: Tensor<1>,
        start: impl FnOnce(Vec<f32>) -> Pending<Vec<f32>>,
    ) -> Result<PendingTensor, Error> {
        let values = || tensor.try_into_vec_as::<f32>().map_err(Error::device);
        let pending = self.waited.time(|| values().map(start))?;
        let (device, waited) = (self.device.clone(), self.waited.clone());
        Ok(PendingTensor::new(move || {
            waited.time(|| {
                let values = pending.wait()?;
                let shape = [values.len()];
                Ok(Tensor::from_data(TensorData::new(values, shape), &device))
            })
        }))
    }
}

impl TensorCollectives for HostCollectives {
    fn start_all_reduce(&self, tensor: Tensor<1>) -> Result<PendingTensor, Error> {
        self.start(tensor, |values| self.group.start_all_reduce(values))
    }

    fn start_all_gather(&self, shard: Tensor<1>) -> Result<PendingTensor, Error> {
        let (rank, world_size) = (self.group.rank(), self.group.world_size());
        self.start(shard, |mine| {
            let mut buffer = vec![0.0; mine.len() * world_size];
            let shard = ShardRange::of(buffer.len(), rank, world_size);
            buffer[shard.range].copy_from_slice(&mine);
            self.group.start_all_gather(buffer)
        })
    }

    fn start_reduce_scatter(&self, tensor: Tensor<1>) -> Result<PendingTensor, Error> {
        self.start(tensor, |values| self.group.start_reduce_scatter(values))
    }

    fn synchronize(&self) -> Result<(), Error> {
        // `wait` has copied every result from host memory.
        Ok(())
    }

    fn waited(&self) -> Option<Duration> {
        Some(Duration::from_nanos(self.waited.0.load(Ordering::Relaxed)))
    }
}
