//! The kernels, on slices of `f32` in row-major order: they know neither tensors nor backends.

pub(crate) mod adamw;
pub(crate) mod attention;
pub(crate) mod dropout;
pub(crate) mod embedding;
mod gemm;
#[cfg(feature = "tch")]
pub(crate) mod half;
pub(crate) mod linear;
mod math;
#[cfg(feature = "ndarray")]
pub(crate) mod memory;
pub(crate) mod norm;
mod softmax;
pub(crate) mod span_loss;
pub(crate) mod vector;
pub(crate) mod workers;
