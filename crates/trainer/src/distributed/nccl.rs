#![allow(deprecated)] // As device/mod.rs.

use std::time::Duration;

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use burn::tensor::{DType, Tensor};
use process_group::{Collective, NcclGroup, ShardRange};

use super::collectives::{PendingTensor, TensorCollectives};
use crate::Error;

/// Collectives through NCCL, in place in device memory, on a stream of their own beside libtorch's. The host waits in
/// [`synchronize`](TensorCollectives::synchronize) alone.
pub(crate) struct NcclCollectives<S> {
    stream: S,
    rank: usize,
    world_size: usize,
    /// Whether gradients are summed in `bf16`.
    compress: bool,
}

/// The methods of [`NcclGroup`] that are used here, so that tests can do without a GPU.
pub(crate) trait Stream {
    /// Starts a collective beside libtorch's work. The result joins the two.
    fn enqueue(
        &self,
        collective: Collective,
        tensor: tch::Tensor,
    ) -> Result<Join, process_group::Error>;

    fn synchronize(&self) -> Result<(), process_group::Error>;
}

/// Lets later work of libtorch wait for a collective, and returns its tensor.
type Join = Box<dyn FnOnce() -> Result<tch::Tensor, process_group::Error>>;

impl Stream for NcclGroup {
    fn enqueue(
        &self,
        collective: Collective,
        tensor: tch::Tensor,
    ) -> Result<Join, process_group::Error> {
        let enqueued = self.enqueue(collective, tensor)?;
        Ok(Box::new(|| enqueued.join()))
    }

    fn synchronize(&self) -> Result<(), process_group::Error> {
        self.synchronize()
    }
}

impl NcclCollectives<NcclGroup> {
    pub(crate) fn new(group: NcclGroup, compress: bool) -> Self {
        Self {
            rank: group.host().rank(),
            world_size: group.host().world_size(),
            stream: group,
            compress,
        }
    }
}

impl<S: Stream> NcclCollectives<S> {
    fn start(&self, collective: Collective, tensor: Tensor<1>) -> Result<PendingTensor, Error> {
        let dtype = tensor.dtype();
        let compress = self.compress && collective != Collective::AllGather;
        let tensor = if compress {
            tensor.cast(DType::BF16)
        } else {
            tensor
        };
        let tensor = tensor
            .try_into_primitive::<LibTorch>()
            .map_err(|error| Error::device(format!("{error:?}")))?;
        // The collective overwrites its tensor, which others may share.
        let tensor = if tensor.can_mut() && tensor.tensor.is_contiguous() {
            tensor.tensor
        } else {
            tensor.tensor.copy()
        };
        let join = self.stream.enqueue(collective, tensor)?;
        Ok(PendingTensor::new(move || {
            let result = join()?;
            let result = match collective {
                // A copy of the shard, so that the memory of the whole tensor is freed.
                Collective::ReduceScatter if !compress => result.copy(),
                _ => result,
            };
            let result: Tensor<1> = Tensor::from_primitive::<LibTorch>(TchTensor::new(result));
            Ok(if compress { result.cast(dtype) } else { result })
        }))
    }
}

impl<S: Stream> TensorCollectives for NcclCollectives<S> {
    fn start_all_reduce(&self, tensor: Tensor<1>) -> Result<PendingTensor, Error> {
        self.start(Collective::AllReduce, tensor)
    }

    fn start_all_gather(&self, shard: Tensor<1>) -> Result<PendingTensor, Error> {
        let len = shard.dims()[0] * self.world_size;
        let own = ShardRange::of(len, self.rank, self.world_size).range;
        let whole = Tensor::empty([len], &shard.device()).slice_assign([own], shard);
        self.start(Collective::AllGather, whole)
    }

    fn start_reduce_scatter(&self, tensor: Tensor<1>) -> Result<PendingTensor, Error> {
        self.start(Collective::ReduceScatter, tensor)
    }

    fn synchronize(&self) -> Result<(), Error> {
        Ok(self.stream.synchronize()?)
    }

    fn waited(&self) -> Option<Duration> {
        None
    }
}

#[cfg(all(test, feature = "cpu"))]
mod tests;
