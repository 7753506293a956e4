#[cfg(feature = "tch")]
use burn::backend::libtorch::TchTensor;
use burn::backend::tensor::FloatTensor;

use super::host::HostMemory;

/// A differentiable operation of `N` tensors with one output, as PyTorch's `torch.autograd.Function`. The value holds the
/// arguments other than those tensors.
///
/// An operation is added by implementing this trait.
pub(crate) trait Function<const N: usize>: Clone + std::fmt::Debug + Send + 'static {
    /// The output, and the tensors that the backward pass needs. With `save` false there will be no backward pass.
    fn forward<B: HostMemory>(
        &self,
        inputs: [&FloatTensor<B>; N],
        save: bool,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>);

    /// The gradients of the inputs, from what `forward` saved and the gradient of the output.
    fn backward<B: HostMemory>(
        &self,
        saved: &[FloatTensor<B>],
        grad: FloatTensor<B>,
    ) -> [FloatTensor<B>; N];

    /// `forward` on libtorch's tensors of every supported device and type; that of `HostMemory` takes `f32` on the CPU.
    #[cfg(feature = "tch")]
    fn forward_libtorch(&self, inputs: [&TchTensor; N], save: bool) -> (TchTensor, Vec<TchTensor>);

    /// `backward` on libtorch's tensors, as [`forward_libtorch`](Self::forward_libtorch).
    #[cfg(feature = "tch")]
    fn backward_libtorch(&self, saved: &[TchTensor], grad: TchTensor) -> [TchTensor; N];
}

/// An optimizer step: changes three tensors, in place where nothing else holds their memory.
pub(crate) trait Update: Clone + Send + 'static {
    /// The changed tensors.
    fn update<B: HostMemory>(
        &self,
        tensors: [FloatTensor<B>; 3],
        grad: FloatTensor<B>,
    ) -> [FloatTensor<B>; 3];

    /// `update` on libtorch's tensors of every supported device.
    #[cfg(feature = "tch")]
    fn update_libtorch(&self, tensors: [TchTensor; 3], grad: TchTensor) -> [TchTensor; 3];
}

/// A backend with kernels. The default bodies call those for host memory.
pub(crate) trait Kernels: HostMemory {
    /// [`Function::forward`] on this backend.
    fn forward<F: Function<N>, const N: usize>(
        function: &F,
        inputs: [&FloatTensor<Self>; N],
        save: bool,
    ) -> (FloatTensor<Self>, Vec<FloatTensor<Self>>) {
        function.forward::<Self>(inputs, save)
    }

    /// [`Function::backward`] on this backend.
    fn backward<F: Function<N>, const N: usize>(
        function: &F,
        saved: &[FloatTensor<Self>],
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; N] {
        function.backward::<Self>(saved, grad)
    }

    /// [`Update::update`] on this backend.
    fn update<U: Update>(
        update: &U,
        tensors: [FloatTensor<Self>; 3],
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        update.update::<Self>(tensors, grad)
    }
}
