//! Collectives on libtorch's tensors.
#![allow(unsafe_code)]

use tch::{Device, Kind, Tensor};

use super::{DeviceBuffer, DeviceType, NcclGroup};
use crate::{Collective, Error};

impl NcclGroup {
    /// Puts a collective on libtorch's current stream, in place on all elements of a tensor; parts are as
    /// [`Part`](crate::Part) divides them. Gives the result, which shares the tensor's memory: all of it, or
    /// this rank's part of a reduce-scatter, flat. Work that libtorch does later has it; the host has it after
    /// [`settle`](Self::settle).
    ///
    /// # Errors
    /// If the tensor is not contiguous `f32` or `bf16` on the group's GPU, its length does not fit, NCCL fails
    /// or a rank is lost.
    pub fn put(&self, collective: Collective, tensor: Tensor) -> Result<Tensor, Error> {
        let (part, _) = self.enqueue(collective, &buffer(&tensor, self.shared.device)?)?;
        Ok(match collective {
            Collective::ReduceScatter => {
                let start = self.host.rank() * part;
                tensor.view(-1).narrow(0, start as i64, part as i64)
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
    // SAFETY: `datatype` has checked that the elements lie one after the other. Libtorch's allocator gives
    // the memory of a tensor, dropped or not, to work of its stream alone, and everything that libtorch does
    // with its other handles comes after on the same stream: nothing in tch gives a thread another stream than
    // the device's first, which lives as long as the process.
    Ok(unsafe { DeviceBuffer::new(tensor.data_ptr(), tensor.numel(), datatype, stream) })
}

/// Of a contiguous tensor, or what is wrong with it.
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
    fn contiguous_f32_and_bf16_are_what_nccl_takes() {
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
