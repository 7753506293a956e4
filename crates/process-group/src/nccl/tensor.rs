//! Collectives on libtorch's tensors.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::ffi::{Event, set_device};
use super::streams::{self, Stream, Streams};
use super::{DeviceBuffer, DeviceType, NcclGroup};
use crate::{Collective, Error};

/// A collective on a tensor, beside the work on libtorch's stream. Dropping it joins it.
pub struct EnqueuedTensor {
    device: usize,
    /// `None` once it is joined.
    result: Option<Tensor>,
    end: Arc<Event>,
}

impl EnqueuedTensor {
    /// Lets later work on libtorch's current stream wait for the collective, without the host waiting. Returns the result,
    /// which shares the memory of the tensor that was enqueued.
    ///
    /// # Errors
    /// If CUDA fails.
    pub fn join(mut self) -> Result<Tensor, Error> {
        let result = self.result.take().expect("joined once");
        self.block().map(|()| result)
    }

    fn block(&self) -> Result<(), Error> {
        set_device(self.device)?;
        let stream = current_stream(self.device)?;
        // SAFETY: libtorch's stream lives as long as the process.
        unsafe { self.end.block(stream) }
    }
}

impl Drop for EnqueuedTensor {
    /// libtorch reuses the memory for later work on its stream, which has to wait.
    fn drop(&mut self) {
        if self.result.is_some() {
            let _ = self.block();
        }
    }
}

/// libtorch's stream and that of the group.
struct TwoStreams {
    computation: *mut c_void,
    communication: *mut c_void,
}

impl TwoStreams {
    fn pointer(&self, stream: Stream) -> *mut c_void {
        match stream {
            Stream::Computation => self.computation,
            Stream::Communication => self.communication,
        }
    }
}

impl Streams for TwoStreams {
    type Event = Arc<Event>;

    fn record(&self, stream: Stream) -> Result<Self::Event, Error> {
        // SAFETY: libtorch's stream lives as long as the process, and the group's as long as the group, which is borrowed
        // where it is used.
        unsafe { Event::on(self.pointer(stream)).map(Arc::new) }
    }

    fn block(&self, stream: Stream, event: &Self::Event) -> Result<(), Error> {
        // SAFETY: as above.
        unsafe { event.block(self.pointer(stream)) }
    }
}

impl NcclGroup {
    /// Enqueues a collective in place on all elements of a tensor; shards are those of
    /// [`ShardRange`](crate::ShardRange). It runs after the work that is on libtorch's current stream now, and beside
    /// later work on it. The result is the tensor itself, or this rank's shard of a reduce-scatter, `[shard_len]`:
    /// libtorch sees it after [`EnqueuedTensor::join`], the host after [`synchronize`](Self::synchronize). Nothing else may
    /// use the tensor's memory before.
    ///
    /// # Errors
    /// If the tensor is not contiguous, not `f32` or `bf16` or not on the group's GPU, if its length cannot be divided,
    /// if NCCL fails, or if a rank is lost.
    pub fn enqueue(&self, collective: Collective, tensor: Tensor) -> Result<EnqueuedTensor, Error> {
        let device = self.shared.device;
        let communication = self.stream.as_ptr();
        let buffer = buffer(&tensor, device, communication)?;
        set_device(device)?;
        let streams = TwoStreams {
            computation: current_stream(device)?,
            communication,
        };
        let (shard_len, enqueued) =
            streams::fork(&streams, || self.enqueue_buffer(collective, &buffer))?;
        let result = match collective {
            Collective::ReduceScatter => {
                let start = self.host.rank() * shard_len;
                tensor.view(-1).narrow(0, start as i64, shard_len as i64)
            }
            _ => tensor,
        };
        Ok(EnqueuedTensor {
            device,
            result: Some(result),
            end: enqueued.end,
        })
    }
}

/// libtorch's current stream.
fn current_stream(device: usize) -> Result<*mut c_void, Error> {
    torch_shim::current_stream(device).map_err(|error| Error::Tensor {
        device,
        problem: error.to_string(),
    })
}

/// A tensor's memory, for work on `stream`, which lives as long as the collectives on the tensor.
fn buffer(tensor: &Tensor, device: usize, stream: *mut c_void) -> Result<DeviceBuffer, Error> {
    let refused = |problem: String| Error::Tensor { device, problem };
    match tensor.device() {
        Device::Cuda(own) if own == device => {}
        Device::Cuda(other) => return Err(refused(format!("on cuda:{other}"))),
        _ => return Err(refused("not on a GPU".into())),
    }
    let datatype = datatype(tensor).map_err(refused)?;
    // SAFETY: `datatype` has checked that the elements are contiguous. Libtorch's allocator reuses the memory of a
    // dropped tensor only for work on its stream, which waits for the collective before `EnqueuedTensor` frees the tensor.
    // Nothing in tch gives a thread another stream than the device's default one.
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
        let error = buffer(&zeros(Kind::Float), 1, std::ptr::null_mut()).unwrap_err();
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
