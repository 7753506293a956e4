//! The specialised kernels against the reference forms, in value and in gradient, on each backend
//! that this build has kernels for (`cargo test --workspace` has NdArray; LibTorch comes with the
//! feature `tch`).
#![allow(deprecated)] // Burn marks both backends as superseded; their kernels are what is tested here.

#[cfg(all(feature = "ndarray", target_os = "linux", target_arch = "x86_64"))]
mod avx2;

/// The tests are the same files on every backend; what differs is `super::device`.
#[cfg(feature = "ndarray")]
#[path = "."]
mod ndarray {
    mod adamw;
    mod attention;
    mod layers;
    mod span_loss;
    mod support;

    fn device() -> burn::tensor::Device {
        burn::tensor::Device::ndarray()
    }
}

#[cfg(feature = "tch")]
#[path = "."]
mod libtorch {
    mod adamw;
    mod attention;
    mod layers;
    mod span_loss;
    mod support;

    fn device() -> burn::tensor::Device {
        burn::tensor::Device::libtorch()
    }
}
