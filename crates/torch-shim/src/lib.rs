//! What libtorch offers and the tch crate does not: one small C++ file, and safe functions over it.
//!
//! Errors are libtorch's own, as `tch::TchError`.
#![cfg(feature = "libtorch")]
#![allow(unsafe_code)] // It is the edge to C++ throughout.
#![deny(missing_docs)]

mod attention;
mod cuda;
mod error;
mod layer_norm;
mod optimizer;
mod precision;
mod threads;

pub use attention::{Attention, efficient_attention, flash_attention};
pub use cuda::{cuda_problem, current_stream};
pub use layer_norm::layer_norm_backward;
pub use optimizer::{FusedAdamW, fused_adamw};
pub use precision::{Precision, float32_matmul_precision, set_float32_matmul_precision};
pub use threads::sequentially;
