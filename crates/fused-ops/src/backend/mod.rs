//! Ties kernels to Burn: what an operation brings ([`Function`], [`Update`]), what a backend brings ([`HostMemory`],
//! [`Kernels`]), and the way from a tensor to its backend's kernels, with autodiff and without.

mod autodiff;
mod dispatch;
mod extension;
#[cfg(feature = "flex")]
mod flex;
mod function;
mod host;
#[cfg(feature = "tch")]
pub(crate) mod libtorch;
#[cfg(feature = "ndarray")]
mod ndarray;

pub(crate) use dispatch::{
    apply1, apply2, apply3, apply4, has_bf16_tensors, has_operations_of_gpu, is_supported, update,
};
pub(crate) use function::{Function, Update};
pub(crate) use host::{HostMemory, fill};
