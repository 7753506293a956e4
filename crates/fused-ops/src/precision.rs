use std::cell::Cell;

use burn::tensor::Device;

/// How matmuls of `f32` tensors in host memory are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Both matrices in `f32`.
    #[default]
    F32,
    /// Both matrices rounded to `bf16` and sums in `f32`, with the processor's own instructions (AVX512-BF16).
    Bf16,
    /// For inference. Linear layers in `int8`: weights quantised per output channel, activations per token, sums in `i32`
    /// (AVX512-VNNI, AVX-VNNI or AVX2). Layers with few outputs, and whatever is differentiated, stay in `f32`; the matmuls
    /// of attention are in `bf16` where the processor has it.
    Int8,
}

thread_local! {
    static CURRENT: Cell<Precision> = const { Cell::new(Precision::F32) };
}

impl Precision {
    /// Whether this processor has instructions for it. Without them the kernels compute in `f32`.
    pub fn is_available(self) -> bool {
        match self {
            Self::F32 => true,
            #[cfg(all(kernels, target_arch = "x86_64"))]
            Self::Bf16 => crate::kernels::bf16_gemm::is_available(),
            #[cfg(all(kernels, target_arch = "x86_64"))]
            Self::Int8 => crate::kernels::int8_gemm::Instructions::best().is_some(),
            #[cfg(not(all(kernels, target_arch = "x86_64")))]
            Self::Bf16 | Self::Int8 => false,
        }
    }

    /// That of [`autocast`] on this thread.
    pub fn current() -> Self {
        CURRENT.get()
    }
}

/// Whether a device's backend has `bf16` tensors, to which a model can cast its hidden states. Elsewhere [`autocast`] rounds
/// the matmuls of `f32` tensors.
pub fn has_bf16_tensors(device: &Device) -> bool {
    #[cfg(kernels)]
    {
        crate::backend::has_bf16_tensors(device)
    }
    #[cfg(not(kernels))]
    {
        let _ = device;
        false
    }
}

/// Runs `work` with matmuls in `precision`, on the NdArray and Flex backends, as PyTorch's `torch.autocast`.
///
/// The backward pass of an operation has the precision of its forward pass. Parameters, activations and gradients stay `f32`
/// tensors. With a [`WeightCache`](crate::WeightCache), weights are packed once and not in every pass. Holds on this thread
/// alone.
pub fn autocast<R>(precision: Precision, work: impl FnOnce() -> R) -> R {
    /// Restores the precision also when `work` panics.
    struct Restore(Precision);

    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }

    let _restore = Restore(CURRENT.replace(precision));
    work()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn autocast_ends_with_its_closure_even_by_a_panic() {
        autocast(Precision::Bf16, || {
            assert_eq!(CURRENT.get(), Precision::Bf16);
            autocast(Precision::F32, || assert_eq!(CURRENT.get(), Precision::F32));
            let panic = || autocast(Precision::F32, || panic!("on purpose"));
            assert!(std::panic::catch_unwind(panic).is_err());
            assert_eq!(CURRENT.get(), Precision::Bf16);
        });
        assert_eq!(CURRENT.get(), Precision::F32);
    }
}
