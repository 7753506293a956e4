//! Collectives on libtorch's tensors.
#![allow(unsafe_code)]

use tch::{Device, Kind, Tensor};

use super::{DeviceBuffer, DeviceType, NcclGroup};
use crate::{Collective, Error};

impl NcclGroup {
    /// Enqueues a collective on libtorch's current stream, in place on all elements of a tensor; shards are those of
    /// [`ShardRange`](crate::ShardRange). Returns the result, which shares the tensor's memory: the tensor itself, or
    /// this rank's shard of a reduce-scatter, `[shard_len]`. Later work of libtorch sees the result; the host sees it
    /// after [`synchronize`](Self::synchronize).
    ///
    /// # Errors
    /// If the tensor is not contiguous, not `f32` or `bf16` or not on the group's GPU, if its length cannot be divided,
    /// if NCCL fails, or if a rank is lost.
    pub fn enqueue(&self, collective: Collective, tensor: Tensor) -> Result<Tensor, Error> {
        let buffer = buffer(&tensor, self.shared.device)?;
        let (shard_len, _) = self.enqueue_buffer(collective, &buffer)?;
        Ok(match collective {
            Collective::ReduceScatter => {
                let start = self.host.rank() * shard_len;
                tensor.view(-1).narrow(0, start as i64, shard_len as i64)
            }
            _ => tensor,
        })
    }
}

fn buffer(tensor: &Tensor, device: usize) -> Result<DeviceBuffer, Error> {
    let refused = |problem: String| Error::Tensor { device, problem };
    match tensor.device() {
        Device::Cuda(own) if own == device => {}
        Device::Cuda(other) => return Err(refused(format!("on cuda:{other}"))),
        _ => return Err(refused("not on a GPU".into())),
    }
    let datatype = datatype(tensor).map_err(refused)?;
    let stream = torch_shim::current_stream(device).map_err(|error| refused(error.to_string()))?;
    // SAFETY: `datatype` has checked that the elements are contiguous. Libtorch's allocator reuses the memory of a
    // dropped tensor only for work on its stream, and all other work of libtorch on this tensor runs on the same stream:
    // nothing in tch gives a thread another stream than the device's default one, which lives as long as the process.
    Ok(unsafe { DeviceBuffer::new(tensor.data_ptr(), tensor.numel(), datatype, stream) })
}

/// The element type of a contiguous tensor, or what is wrong with the tensor.
fn datatype(tensor: &Tensor) -> Result<DeviceType, String> {
    match tensor.kind() {
        _ if !tensor.is_contiguous() => Err("not contiguous".into()),
        Kind::Float => Ok(DeviceType::F32),
        Kind::BFloat16 => Ok(DeviceType::Bf16),
        other => Err(format!("of {other:?}, neither f32 nor bf16")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zeros(kind: Kind) -> Tensor {
        Tensor::zeros([4, 3], (kind, Device::Cpu))
    }

    #[test]
    fn tensors_in_host_memory_are_refused() {
        let error = buffer(&zeros(Kind::Float), 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "NCCL on cuda:1: the tensor is not on a GPU"
        );
    }

    #[test]
    fn only_contiguous_f32_and_bf16_tensors_are_accepted() {
        assert_eq!(datatype(&zeros(Kind::Float)), Ok(DeviceType::F32));
        assert_eq!(datatype(&zeros(Kind::BFloat16)), Ok(DeviceType::Bf16));
        let double = datatype(&zeros(Kind::Double)).unwrap_err();
        assert_eq!(double, "of Double, neither f32 nor bf16");
        assert_eq!(
            datatype(&zeros(Kind::Float).tr()).unwrap_err(),
            "not contiguous"
        );
    }
}
