use std::time::Duration;

use burn::tensor::Tensor;

use crate::Error;

/// Collectives over flat tensors without autodiff; parts are as [`Part`] divides them.
pub(crate) trait TensorCollectives {
    /// Starts to add up the tensors of all ranks.
    fn start_all_reduce(&self, tensor: Tensor<1>) -> Result<PendingTensor, Error>;

    /// Starts to give every rank the parts of all, one after the other.
    fn start_all_gather(&self, part: Tensor<1>) -> Result<PendingTensor, Error>;

    /// Starts to add up the tensors of all ranks, of which each gets its own part.
    fn start_reduce_scatter(&self, tensor: Tensor<1>) -> Result<PendingTensor, Error>;

    /// Waits until all that was started has ended, on all ranks. On a device, results are there before for
    /// what is computed with them; before the host looks at anything that follows from them, this is where a
    /// lost rank is found.
    fn synchronize(&self) -> Result<(), Error>;

    /// How long they have kept the caller so far; none where they go on beside it.
    fn waited(&self) -> Option<Duration>;
}

/// A collective that was started.
pub(crate) struct PendingTensor(Box<dyn FnOnce() -> Result<Tensor<1>, Error>>);

impl PendingTensor {
    /// A collective whose result comes from `wait`.
    pub(crate) fn new(wait: impl FnOnce() -> Result<Tensor<1>, Error> + 'static) -> Self {
        Self(Box::new(wait))
    }

    /// One that is there already for what is computed with it.
    #[cfg(feature = "nccl")]
    pub(crate) fn ready(tensor: Tensor<1>) -> Self {
        Self(Box::new(|| Ok(tensor)))
    }

    /// Its result.
    pub(crate) fn wait(self) -> Result<Tensor<1>, Error> {
        (self.0)()
    }
}
