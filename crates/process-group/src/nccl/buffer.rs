#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

/// Memory of a GPU on which collectives work in place, with the CUDA stream on which they run.
///
/// After a collective it is the result: the whole buffer, or this rank's shard after a reduce-scatter.
#[derive(Debug)]
pub struct DeviceBuffer {
    pub(super) pointer: *mut c_void,
    pub(super) len: usize,
    pub(super) datatype: DeviceType,
    pub(super) stream: *mut c_void,
}

// SAFETY: the pointers are not dereferenced here, and CUDA accepts them from any thread.
unsafe impl Send for DeviceBuffer {}

/// Element types that NCCL reduces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceType {
    /// IEEE single precision.
    F32,
    /// bfloat16: half the bytes between ranks. Sums are rounded to it.
    Bf16,
}

impl DeviceType {
    pub(super) fn code(self) -> c_int {
        match self {
            Self::F32 => 7,
            Self::Bf16 => 9,
        }
    }

    pub(super) fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}

impl DeviceBuffer {
    /// Describes device memory, such as that of a contiguous libtorch tensor.
    ///
    /// # Safety
    /// `pointer` points to `len` elements on the group's device. Until `stream` has passed the collectives that this
    /// buffer is given to, the elements stay allocated and only work on `stream` uses them. `stream` has passed a
    /// collective when [`Pending::wait`](crate::Pending::wait) returns; work that is enqueued on it later runs after.
    /// `stream` is a `cudaStream_t` of that device that lives as long; null is the default stream.
    #[must_use]
    pub unsafe fn new(
        pointer: *mut c_void,
        len: usize,
        datatype: DeviceType,
        stream: *mut c_void,
    ) -> Self {
        Self {
            pointer,
            len,
            datatype,
            stream,
        }
    }

    /// The address of the first element.
    #[must_use]
    pub fn pointer(&self) -> *mut c_void {
        self.pointer
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The shard of `rank`, of `shard_len` elements.
    pub(super) fn shard(self, rank: usize, shard_len: usize) -> Self {
        let offset = rank * shard_len * self.datatype.size();
        let pointer = self.pointer.wrapping_byte_add(offset);
        Self {
            pointer,
            len: shard_len,
            ..self
        }
    }
}
