use std::time::Duration;

use burn::tensor::Tensor;

use crate::Error;

/// Collectives on flat tensors without autodiff. Shards are those of [`ShardRange`](process_group::ShardRange).
pub(crate) trait TensorCollectives {
    /// Starts to sum the tensors of all ranks, `[len]` on each.
    fn start_all_reduce(&self, tensor: Tensor<1>) -> Result<PendingTensor, Error>;

    /// Starts to concatenate the shards of all ranks, `[shard_len]` on each, to `[shard_len * ranks]`.
    fn start_all_gather(&self, shard: Tensor<1>) -> Result<PendingTensor, Error>;

    /// Starts to sum the tensors of all ranks, `[shard_len * ranks]` on each, to this rank's shard, `[shard_len]`.
    fn start_reduce_scatter(&self, tensor: Tensor<1>) -> Result<PendingTensor, Error>;

    /// Waits until all collectives have ended on all ranks. On a GPU, kernels may use a result after
    /// [`PendingTensor::wait`], but the host must synchronize before it reads a value that depends on one: here it learns of lost ranks.
    fn synchronize(&self) -> Result<(), Error>;

    /// How long this rank has waited for collectives so far; `None` if they run asynchronously on the device.
    fn waited(&self) -> Option<Duration>;
}

/// A started collective.
pub(crate) struct PendingTensor(Box<dyn FnOnce() -> Result<Tensor<1>, Error>>);

impl PendingTensor {
    /// A collective whose result `wait` returns.
    pub(crate) fn new(wait: impl FnOnce() -> Result<Tensor<1>, Error> + 'static) -> Self {
        Self(Box::new(wait))
    }

    /// The result. On a GPU later kernels wait for it, and the host does not.
    pub(crate) fn wait(self) -> Result<Tensor<1>, Error> {
        (self.0)()
    }
}
