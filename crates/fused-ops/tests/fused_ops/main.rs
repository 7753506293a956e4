//! The specialised kernels against the reference forms, in value and in gradient, on each backend
//! that this build has kernels for (`cargo test --workspace` has NdArray; LibTorch comes with the
//! feature `tch`, on the CPU and on a GPU where there is one).
#![allow(clippy::duplicate_mod)] // On purpose: the tests are the same files on every backend.
#![allow(deprecated)] // Burn marks both backends as superseded; their kernels are what is tested here.

#[cfg(all(feature = "ndarray", target_os = "linux", target_arch = "x86_64"))]
mod avx2;

/// The tests are the same files on every backend; what differs is `super::device`.
#[cfg(feature = "ndarray")]
#[path = "."]
mod ndarray {
    mod adamw;
    mod attention;
    mod embedding;
    mod layers;
    mod masks;
    mod span_loss;
    mod support;

    fn device() -> burn::tensor::Device {
        burn::tensor::Device::ndarray()
    }

    fn is_there() -> bool {
        true
    }
}

#[cfg(feature = "tch")]
#[path = "."]
mod libtorch {
    mod adamw;
    mod attention;
    mod embedding;
    mod layers;
    mod masks;
    mod precisions;
    mod span_loss;
    mod support;

    fn device() -> burn::tensor::Device {
        burn::tensor::Device::libtorch()
    }

    fn is_there() -> bool {
        true
    }
}

#[cfg(feature = "tch")]
#[path = "."]
mod cuda {
    mod masks;
    mod optimizer;
    mod precisions;
    #[allow(dead_code)] // The other backends' tests use all of it.
    mod support;

    fn device() -> burn::tensor::Device {
        burn::tensor::Device::libtorch_cuda(0)
    }

    /// Skips aloud without a GPU; where SQUAD_BURN_GPU promises one, fails.
    fn is_there() -> bool {
        let Some(problem) = torch_shim::cuda_problem() else {
            return true;
        };
        let problem = problem.lines().next().unwrap_or_default();
        assert!(
            std::env::var_os("SQUAD_BURN_GPU").is_none(),
            "SQUAD_BURN_GPU is set: {problem}"
        );
        eprintln!("SKIPPED: no GPU: {problem}");
        false
    }
}
