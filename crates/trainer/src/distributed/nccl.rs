//! Collectives on the memory of GPUs, by NCCL on libtorch's stream.
#![allow(deprecated)] // As device.rs.

use std::time::Duration;

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use burn::tensor::{DType, Tensor};
use process_group::{Collective, NcclGroup, ShardRange};

use super::collectives::{PendingTensor, TensorCollectives};
use crate::Error;
use crate::train::state::device_error;

/// Where tensors are, in place. Nothing waits but [`synchronize`](TensorCollectives::synchronize): what libtorch
/// computes later comes after on the same stream.
pub(crate) struct NcclCollectives<S> {
    stream: S,
    /// This rank's place among so many.
    place: (usize, usize),
    /// Whether sums are made in `bf16`.
    compress: bool,
}

/// What [`NcclGroup`] does, whose methods these are.
pub(crate) trait Stream {
    fn put(
        &self,
        collective: Collective,
        tensor: tch::Tensor,
    ) -> Result<tch::Tensor, process_group::Error>;

    fn synchronize(&self) -> Result<(), process_group::Error>;
}

impl Stream for NcclGroup {
    fn put(
        &self,
        collective: Collective,
        tensor: tch::Tensor,
    ) -> Result<tch::Tensor, process_group::Error> {
        self.put(collective, tensor)
    }

    fn synchronize(&self) -> Result<(), process_group::Error> {
        self.synchronize()
    }
}

impl NcclCollectives<NcclGroup> {
    pub(crate) fn new(group: NcclGroup, compress: bool) -> Self {
        let place = (group.host().rank(), group.host().world_size());
        Self {
            stream: group,
            place,
            compress,
        }
    }
}

impl<S: Stream> NcclCollectives<S> {
    fn put(&self, collective: Collective, tensor: Tensor<1>) -> Result<Tensor<1>, Error> {
        let tensor = tensor
            .try_into_primitive::<LibTorch>()
            .map_err(|error| device_error(format!("{error:?}")))?;
        let tensor = match tensor.can_mut() && tensor.tensor.is_contiguous() {
            true => tensor.tensor,
            false => tensor.tensor.copy(),
        };
        let result = self.stream.put(collective, tensor)?;
        let result = match collective {
            // Alone in its memory: the whole can go.
            Collective::ReduceScatter => result.copy(),
            _ => result,
        };
        Ok(Tensor::from_primitive::<LibTorch>(TchTensor::new(result)))
    }

    fn sum(&self, collective: Collective, tensor: Tensor<1>) -> Result<PendingTensor, Error> {
        let sum = match self.compress {
            true => self
                .put(collective, tensor.cast(DType::BF16))?
                .cast(DType::F32),
            false => self.put(collective, tensor)?,
        };
        Ok(PendingTensor::ready(sum))
    }
}

impl<S: Stream> TensorCollectives for NcclCollectives<S> {
    fn start_all_reduce(&self, tensor: Tensor<1>) -> Result<PendingTensor, Error> {
        self.sum(Collective::AllReduce, tensor)
    }

    fn start_all_gather(&self, part: Tensor<1>) -> Result<PendingTensor, Error> {
        let (rank, world_size) = self.place;
        let len = part.dims()[0] * world_size;
        let own = ShardRange::of(len, rank, world_size).range;
        let whole = Tensor::empty([len], &part.device()).slice_assign([own], part);
        let whole = self.put(Collective::AllGather, whole)?;
        Ok(PendingTensor::ready(whole))
    }

    fn start_reduce_scatter(&self, tensor: Tensor<1>) -> Result<PendingTensor, Error> {
        self.sum(Collective::ReduceScatter, tensor)
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
