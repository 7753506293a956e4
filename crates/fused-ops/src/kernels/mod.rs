//! The kernels, on slices of `f32` in row-major order: they know neither tensors nor backends.

pub(crate) mod adamw;
pub(crate) mod attention;
pub(crate) mod dropout;
mod gemm;
pub(crate) mod linear;
mod math;
pub(crate) mod norm;
pub(crate) mod span_loss;
pub(crate) mod workers;
