//! From Burn's tensors to the extension and back.

use burn::backend::{Dispatch, DispatchDevice};
use burn::tensor::{DType, Device, Tensor};

use super::extension::{FunctionBackend, UpdateBackend};
use super::function::{Function, Update};

/// Whether there are kernels for a tensor's device and type, with autodiff or without.
pub(crate) fn is_supported<const D: usize>(tensor: &Tensor<D>) -> bool {
    let device = tensor.device().without_autodiff();
    match device.as_dispatch() {
        #[cfg(feature = "ndarray")]
        DispatchDevice::NdArray(_) => tensor.dtype() == DType::F32,
        #[cfg(feature = "flex")]
        DispatchDevice::Flex(_) => tensor.dtype() == DType::F32,
        #[cfg(feature = "tch")]
        DispatchDevice::LibTorch(device) => super::libtorch::is_supported(device, tensor.dtype()),
        #[allow(unreachable_patterns)]
        // Another crate of the build may enable more of Burn's backends.
        _ => false,
    }
}

/// Whether a device's backend has `bf16` tensors with kernels.
pub(crate) fn has_bf16_tensors(device: &Device) -> bool {
    match device.clone().without_autodiff().as_dispatch() {
        #[cfg(feature = "tch")]
        DispatchDevice::LibTorch(_) => true,
        #[allow(unreachable_patterns)]
        // Another crate of the build may enable more of Burn's backends.
        _ => false,
    }
}

/// Whether libtorch's operations for a GPU run on the device.
pub(crate) fn has_operations_of_gpu(device: &Device) -> bool {
    match device.clone().without_autodiff().as_dispatch() {
        #[cfg(feature = "tch")]
        DispatchDevice::LibTorch(device) => super::libtorch::has_operations_of_gpu(device),
        #[allow(unreachable_patterns)]
        // Without `tch`, or if another crate of the build enables more of Burn's backends.
        _ => false,
    }
}

/// A function of one tensor.
pub(crate) fn apply1<const D: usize, const R: usize>(
    a: Tensor<D>,
    function: impl Function<1>,
) -> Tensor<R> {
    Tensor::from_dispatch(<Dispatch as FunctionBackend>::apply1(
        a.into_dispatch(),
        function,
    ))
}

/// A function of two matrices.
pub(crate) fn apply2(a: Tensor<2>, b: Tensor<2>, function: impl Function<2>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as FunctionBackend>::apply2(
        a.into_dispatch(),
        b.into_dispatch(),
        function,
    ))
}

/// A function of two matrices, and a third or a vector.
pub(crate) fn apply3<const D: usize>(
    a: Tensor<2>,
    b: Tensor<2>,
    c: Tensor<D>,
    function: impl Function<3>,
) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as FunctionBackend>::apply3(
        a.into_dispatch(),
        b.into_dispatch(),
        c.into_dispatch(),
        function,
    ))
}

/// A function of two matrices and two vectors.
pub(crate) fn apply4(
    a: Tensor<2>,
    b: Tensor<2>,
    c: Tensor<1>,
    d: Tensor<1>,
    function: impl Function<4>,
) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as FunctionBackend>::apply4(
        a.into_dispatch(),
        b.into_dispatch(),
        c.into_dispatch(),
        d.into_dispatch(),
        function,
    ))
}

/// Three tensors after an optimizer step.
pub(crate) fn update<const D: usize>(
    [a, b, c]: [Tensor<D>; 3],
    grad: Tensor<D>,
    update: impl Update,
) -> [Tensor<D>; 3] {
    let (a, b, c) = <Dispatch as UpdateBackend>::update(
        a.into_dispatch(),
        b.into_dispatch(),
        c.into_dispatch(),
        grad.into_dispatch(),
        update,
    );
    [a, b, c].map(Tensor::from_dispatch)
}
