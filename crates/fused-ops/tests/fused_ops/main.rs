//! The kernels against the reference forms, in value and in gradient, on each backend that this build has kernels for:
//! NdArray by default; Flex with the feature `flex`; LibTorch, on the CPU and on a GPU, with the feature `tch`.
#![allow(clippy::duplicate_mod)] // The same test files run on every backend.
#![allow(deprecated)] // Burn marks NdArray and LibTorch as superseded.

/// The tests of `masks.rs`.
#[cfg(kernels)]
macro_rules! mask_tests {
    ($(#[$attribute:meta])*) => {
        #[test]
        $(#[$attribute])*
        fn backward_uses_the_mask_of_the_forward_pass() {
            masks::check_backward_uses_the_mask_of_the_forward_pass();
        }

        #[test]
        $(#[$attribute])*
        fn attention_drops_the_share_asked_for() {
            masks::check_attention_drops_the_share_asked_for();
        }
    };
}

#[cfg(all(feature = "ndarray", target_os = "linux", target_arch = "x86_64"))]
mod avx2;

#[cfg(feature = "ndarray")]
#[path = "."]
mod ndarray {
    mod adamw;
    mod attention;
    mod attention_terms;
    mod autocast;
    mod concat;
    mod dropout;
    mod embedding;
    mod geglu;
    mod linear;
    mod masks;
    mod norm;
    mod span_loss;
    mod support;

    fn device() -> burn::tensor::Device {
        burn::tensor::Device::ndarray()
    }

    mask_tests!();
}

#[cfg(feature = "flex")]
#[path = "."]
mod flex {
    mod adamw;
    mod attention;
    mod attention_terms;
    mod autocast;
    mod concat;
    mod dropout;
    mod embedding;
    mod geglu;
    mod linear;
    mod masks;
    mod norm;
    mod span_loss;
    mod support;

    fn device() -> burn::tensor::Device {
        burn::tensor::Device::flex()
    }

    mask_tests!();
}

#[cfg(feature = "tch")]
#[path = "."]
mod libtorch {
    mod adamw;
    mod attention;
    mod attention_terms;
    mod concat;
    mod dropout;
    mod embedding;
    mod geglu;
    mod linear;
    mod masks;
    mod norm;
    mod precisions;
    mod span_loss;
    mod support;

    fn device() -> burn::tensor::Device {
        burn::tensor::Device::libtorch()
    }

    mask_tests!();

    #[test]
    fn operations_equal_the_reference_up_to_rounding() {
        precisions::check_operations_equal_the_reference_up_to_rounding();
    }
}

#[cfg(feature = "tch")]
#[path = "."]
mod gpu {
    mod masks;
    mod optimizer;
    mod precisions;
    #[allow(dead_code)] // The other backends use all of it.
    mod support;

    /// # Panics
    /// Without a GPU.
    fn device() -> burn::tensor::Device {
        if let Some(problem) = torch_shim::cuda_problem() {
            panic!("this test needs an NVIDIA GPU: {problem}");
        }
        burn::tensor::Device::libtorch_cuda(0)
    }

    mask_tests!(#[ignore = "needs an NVIDIA GPU: runs libtorch's kernels for it"]);

    #[test]
    #[ignore = "needs an NVIDIA GPU: runs libtorch's kernels for it"]
    fn operations_equal_the_reference_up_to_rounding() {
        precisions::check_operations_equal_the_reference_up_to_rounding();
    }

    #[test]
    #[ignore = "needs an NVIDIA GPU: runs libtorch's kernels for it"]
    fn optimizer_equals_the_reference() {
        optimizer::check_optimizer_equals_the_reference();
    }
}
