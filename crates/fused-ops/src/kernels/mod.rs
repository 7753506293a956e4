//! What the kernels of all operations share, on slices of `f32` in row-major order: threads, vector instructions, matmuls,
//! reductions, functions of one number, `bf16`. Nothing here knows tensors or backends.

#[cfg(feature = "tch")]
pub(crate) mod bf16;
#[cfg(target_arch = "x86_64")]
pub(crate) mod bf16_gemm;
pub(crate) mod gemm;
#[cfg(target_arch = "x86_64")]
pub(crate) mod int8_gemm;
pub(crate) mod math;
pub(crate) mod parallel;
pub(crate) mod reduce;
pub(crate) mod simd;
#[cfg(target_arch = "x86_64")]
pub(crate) mod tasks;
#[cfg(any(feature = "ndarray", feature = "flex"))]
pub(crate) mod uninit;
