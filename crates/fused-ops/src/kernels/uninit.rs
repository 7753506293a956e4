//! Buffers that a kernel is going to fill.
#![allow(unsafe_code)]

use std::arch::asm;

/// A buffer of unspecified numbers: NaN in this crate's tests, so that an element which no kernel writes fails them.
///
/// Zeroing the buffers on one thread took a tenth of the time of inference.
pub(crate) fn uninit(len: usize) -> Vec<f32> {
    if cfg!(test) {
        return vec![f32::NAN; len];
    }
    let mut buffer = Box::<[f32]>::new_uninit_slice(len);
    // SAFETY: for the compiler the assembly may write to the buffer, to which it has the pointer, so from here on the
    // buffer holds some fixed bits; any bits are a valid `f32`.
    unsafe {
        asm!("/* {0} */", in(reg) buffer.as_mut_ptr(), options(nostack, preserves_flags));
        buffer.assume_init()
    }
    .into_vec()
}
