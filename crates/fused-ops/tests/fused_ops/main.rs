//! The specialised kernels against the reference forms, in value and in gradient.
//!
//! Built with a backend that has kernels (`cargo test --workspace` has NdArray).
#![allow(deprecated)] // Burn marks NdArray as superseded; its kernels are what is tested here.

#[cfg(feature = "ndarray")]
mod adamw;
#[cfg(feature = "ndarray")]
mod attention;
#[cfg(feature = "ndarray")]
mod layers;
mod span_loss;
mod support;
