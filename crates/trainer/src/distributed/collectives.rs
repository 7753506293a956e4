use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use process_group::{Part, Pending, ProcessGroup};

use crate::Error;
use crate::state::device_error;

/// Collectives over flat tensors without autodiff; parts are as [`Part`] divides them.
pub(crate) trait TensorCollectives {
    /// Starts to add up the tensors of all ranks.
    fn start_all_reduce(&self, tensor: Tensor<1>) -> Result<PendingTensor, Error>;

    /// Starts to give every rank the parts of all, one after the other.
    fn start_all_gather(&self, part: Tensor<1>) -> Result<PendingTensor, Error>;

    /// Starts to add up the tensors of all ranks, of which each gets its own part.
    fn start_reduce_scatter(&self, tensor: Tensor<1>) -> Result<PendingTensor, Error>;
}

/// A collective that was started.
pub(crate) struct PendingTensor(Box<dyn FnOnce() -> Result<Tensor<1>, Error>>);

impl PendingTensor {
    /// Its result.
    pub(crate) fn wait(self) -> Result<Tensor<1>, Error> {
        (self.0)()
    }
}

/// Through host memory, whatever the device.
pub(crate) struct HostCollectives {
    group: Arc<dyn ProcessGroup>,
    device: Device,
}

impl HostCollectives {
    /// `device` is without autodiff.
    pub(crate) fn new(group: Arc<dyn ProcessGroup>, device: Device) -> Self {
        Self { group, device }
    }

    fn result(&self, pending: Pending<Vec<f32>>) -> PendingTensor {
        let device = self.device.clone();
        PendingTensor(Box::new(move || {
            let values = pending.wait()?;
            let shape = [values.len()];
            Ok(Tensor::from_data(TensorData::new(values, shape), &device))
        }))
    }
}

fn values(tensor: Tensor<1>) -> Result<Vec<f32>, Error> {
    tensor.try_into_vec_as::<f32>().map_err(device_error)
}

impl TensorCollectives for HostCollectives {
    fn start_all_reduce(&self, tensor: Tensor<1>) -> Result<PendingTensor, Error> {
        let pending = self.group.start_all_reduce(values(tensor)?);
        Ok(self.result(pending))
    }

    fn start_all_gather(&self, part: Tensor<1>) -> Result<PendingTensor, Error> {
        let mine = values(part)?;
        let mut buffer = vec![0.0; mine.len() * self.group.world_size()];
        let part = Part::of(buffer.len(), self.group.rank(), self.group.world_size());
        buffer[part.range].copy_from_slice(&mine);
        Ok(self.result(self.group.start_all_gather(buffer)))
    }

    fn start_reduce_scatter(&self, tensor: Tensor<1>) -> Result<PendingTensor, Error> {
        let pending = self.group.start_reduce_scatter(values(tensor)?);
        Ok(self.result(pending))
    }
}
