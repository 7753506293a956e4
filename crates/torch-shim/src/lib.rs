//! Functions of libtorch that the tch crate does not wrap: one small C++ file and safe functions over it.
//!
//! An exception of libtorch becomes a `tch::TchError`.
#![cfg(feature = "libtorch")]
#![allow(unsafe_code)] // The whole crate calls C++.
#![deny(missing_docs)]

mod attention;
mod count;
mod cuda;
mod error;
mod layer_norm;
mod matmul;
mod memory;
mod optimizer;
mod precision;
mod threads;
mod transfer;

pub use attention::{AttentionOutput, efficient_attention, flash_attention};
pub use count::count_operations;
pub use cuda::{cuda_problem, current_stream};
pub use layer_norm::layer_norm_backward;
pub use matmul::mm_f32;
pub use memory::{DeviceMemory, device_memory, use_expandable_segments};
pub use optimizer::{AdamWTensors, FusedAdamW, foreach_norm, fused_adamw};
pub use precision::{MatmulPrecision, float32_matmul_precision, set_float32_matmul_precision};
pub use threads::single_threaded;
pub use transfer::{Download, foreach_copy, upload};

#[cfg(all(test, target_os = "linux"))] // Reads /proc.
mod tests {
    use tch::{Device, Kind, Tensor};

    fn resident_mib() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.and_then(|kib| kib.parse::<usize>().ok()).expect("KiB") / 1024
    }

    /// libtorch multiplies bf16 by oneDNN with AVX-512 only, else by loops of its own that take minutes here.
    fn kind_of_quick_matmuls() -> Kind {
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx512bw") {
            return Kind::BFloat16;
        }
        Kind::Float
    }

    /// Each shape of a matmul makes a kernel of oneDNN. libtorch's own limits would keep some hundred MiB.
    #[test]
    fn memory_for_kernels_of_past_shapes_is_bounded() {
        let kind = kind_of_quick_matmuls();
        let tensor = |rows, columns| Tensor::ones([rows, columns], (kind, Device::Cpu));
        let matmuls = |rows: std::ops::Range<i64>| {
            for rows in rows {
                let _ = tensor(rows, 384).mm(&tensor(384, 1536));
                let _ = tensor(384, rows).mm(&tensor(rows, 1536));
            }
        };
        matmuls(300..400);
        let before = resident_mib();
        matmuls(400..700);
        let more = resident_mib().saturating_sub(before);
        assert!(more < 120, "{more} MiB more after 600 matmuls");
    }
}
