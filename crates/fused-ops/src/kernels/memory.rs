//! Memory that a kernel is going to fill.
#![allow(unsafe_code)]

/// So many numbers of which nothing is said, to be written before they are read. In this crate's tests they are NaN, so
/// that one which is not written is seen.
pub(crate) fn unfilled(len: usize) -> Vec<f32> {
    if cfg!(test) {
        return vec![f32::NAN; len];
    }
    // SAFETY: any bits are an `f32`, and whoever calls this writes all of them before any is read. Zeroing them first, on
    // one thread, was a tenth of the time of answering.
    unsafe { Box::<[f32]>::new_uninit_slice(len).assume_init() }.into_vec()
}
