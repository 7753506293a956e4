#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

/// Memory of a GPU that collectives work on in place, and the stream on which they do.
///
/// After a collective, the part that is its result: all of it, or this rank's part of a
/// reduce-scatter.
#[derive(Debug)]
pub struct DeviceBuffer {
    pub(super) pointer: *mut c_void,
    pub(super) len: usize,
    pub(super) datatype: DeviceType,
    pub(super) stream: *mut c_void,
}

// SAFETY: the pointers are not read here, and CUDA takes them from any thread.
unsafe impl Send for DeviceBuffer {}

/// Numbers that NCCL can add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceType {
    /// 32 bits, IEEE.
    F32,
    /// The upper half of an `f32`: half the bytes between ranks. Sums are rounded to it.
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
    /// Such as a contiguous tensor of libtorch, on libtorch's current stream.
    ///
    /// # Safety
    /// `pointer` is that of `len` elements on the device of the group. They live, and nothing but work on
    /// `stream` uses them, until `stream` is past the collectives that this buffer is given to: where
    /// [`Pending::wait`](crate::Pending::wait) has returned, or work that is put on the stream later.
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

    /// Where it begins.
    #[must_use]
    pub fn pointer(&self) -> *mut c_void {
        self.pointer
    }

    /// Elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The part of `rank`, of `part` elements.
    pub(super) fn part(self, rank: usize, part: usize) -> Self {
        let offset = rank * part * self.datatype.size();
        let pointer = self.pointer.wrapping_byte_add(offset);
        Self {
            pointer,
            len: part,
            ..self
        }
    }
}
