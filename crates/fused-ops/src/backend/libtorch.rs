//! Burn's LibTorch backend: kernels on the CPU, libtorch's own operations on a GPU.
//!
//! `bf16` is mixed precision: weights stay `f32` and are rounded for a matmul; gradients of weights are `f32`.

use std::borrow::Cow;

use burn::backend::libtorch::{LibTorchDevice, TchTensor};
use burn::backend::{DispatchTensorKind, LibTorch};
use burn::tensor::{DType, Int};
use tch::{Device, Kind, Tensor};

use super::function::{Function, Kernels, Update};
use super::host::HostMemory;
use crate::kernels::bf16;
use crate::kernels::parallel::for_each;
use crate::philox::Dropout;

/// `f32` and `bf16` on the CPU and on NVIDIA's GPUs.
pub(super) fn is_supported(device: &LibTorchDevice, dtype: DType) -> bool {
    matches!(device, LibTorchDevice::Cpu | LibTorchDevice::Cuda(_))
        && matches!(dtype, DType::F32 | DType::BF16)
}

impl Kernels for LibTorch {
    fn forward<F: Function<N>, const N: usize>(
        function: &F,
        inputs: [&TchTensor; N],
        save: bool,
    ) -> (TchTensor, Vec<TchTensor>) {
        function.forward_libtorch(inputs, save)
    }

    fn backward<F: Function<N>, const N: usize>(
        function: &F,
        saved: &[TchTensor],
        grad: TchTensor,
    ) -> [TchTensor; N] {
        function.backward_libtorch(saved, grad)
    }

    fn update<U: Update>(update: &U, tensors: [TchTensor; 3], grad: TchTensor) -> [TchTensor; 3] {
        update.update_libtorch(tensors, grad)
    }
}

impl HostMemory for LibTorch {
    #[allow(unsafe_code)]
    fn values(tensor: &TchTensor) -> Cow<'_, [f32]> {
        // SAFETY: whatever writes a tensor's memory (Burn's `mut_ops`, `values_mut`) first asks that nothing else holds it,
        // and this borrow holds it.
        unsafe {
            if tensor.tensor.is_contiguous() {
                Cow::Borrowed(slice(&tensor.tensor))
            } else {
                Cow::Owned(slice(&tensor.tensor.contiguous()).to_vec())
            }
        }
    }

    #[allow(unsafe_code)]
    fn values_mut(tensor: &mut TchTensor) -> &mut [f32] {
        if !tensor.can_mut() || !tensor.tensor.is_contiguous() {
            *tensor = TchTensor::new(tensor.tensor.copy());
        }
        // SAFETY: nothing else holds the memory, and the tensor is borrowed mutably as long as the slice lives.
        unsafe { slice_mut(&tensor.tensor) }
    }

    fn uninit(shape: &[usize]) -> TchTensor {
        let shape: Vec<i64> = shape.iter().map(|n| *n as i64).collect();
        let tensor = Tensor::empty(shape, (Kind::Float, Device::Cpu));
        #[cfg(test)] // An element that no kernel writes fails the tests.
        let tensor = tensor.fill(f64::NAN);
        TchTensor::new(tensor)
    }

    fn dims(tensor: &TchTensor) -> [usize; 2] {
        let (rows, columns) = tensor.tensor.size2().expect("a matrix");
        [rows as usize, columns as usize]
    }
}

pub(crate) fn on_cpu(tensor: &TchTensor) -> bool {
    tensor.tensor.device() == Device::Cpu
}

/// libtorch's tensor in a tensor of Burn's LibTorch backend.
pub(crate) fn int_primitive<const D: usize>(tensor: &burn::tensor::Tensor<D, Int>) -> TchTensor {
    match tensor.clone().into_dispatch().kind {
        DispatchTensorKind::LibTorch(tensor) => tensor.int(),
        #[allow(unreachable_patterns)]
        // Another crate of the build may enable more of Burn's backends.
        other => panic!("an int tensor on another backend than the float tensor: {other:?}"),
    }
}

/// Seeds libtorch's generator from the key of a mask, so that forward and backward pass draw the same mask, and a resumed
/// run the masks of an uninterrupted one.
pub(crate) fn seed(dropout: &Dropout) {
    tch::manual_seed(dropout.seed() as i64);
}

/// Dropout factors for a tensor, from libtorch's generator: 0, or the scale of a kept element.
pub(crate) fn dropout_factors(dropout: &Dropout, like: &Tensor) -> Tensor {
    seed(dropout);
    like.ones_like().native_dropout(dropout.prob(), true).0
}

/// As `f32`, without a copy if the tensor has that type.
pub(crate) fn to_f32(tensor: &TchTensor) -> TchTensor {
    cast(tensor, Kind::Float)
}

/// Elements that one task converts.
const CAST_CHUNK: usize = 1 << 15;

/// As another type, without a copy if the tensor has that type.
pub(crate) fn cast(tensor: &TchTensor, kind: Kind) -> TchTensor {
    let from = &tensor.tensor;
    if from.kind() == kind {
        return tensor.clone();
    }
    let ours = [Kind::Float, Kind::BFloat16];
    let is_ours = ours.contains(&from.kind()) && ours.contains(&kind);
    if !on_cpu(tensor) || !from.is_contiguous() || !is_ours {
        return TchTensor::new(from.to_kind(kind));
    }
    let to = Tensor::empty(from.size(), (kind, Device::Cpu));
    let len = from.numel();
    let flat = [from, &to].map(|tensor| TchTensor::new(tensor.view(-1)));
    for_each(
        len.div_ceil(CAST_CHUNK),
        || (),
        |(), index| {
            let start = index * CAST_CHUNK;
            let size = CAST_CHUNK.min(len - start);
            let chunk = |flat: &TchTensor| flat.tensor.narrow(0, start as i64, size as i64);
            let [from, to] = [&flat[0], &flat[1]].map(chunk);
            // SAFETY: nothing writes `from`, and the chunk of `to`, a new tensor, belongs to this task alone.
            #[allow(unsafe_code)]
            unsafe {
                if kind == Kind::Float {
                    bf16::to_f32(bf16_slice(&from), slice_mut(&to));
                } else {
                    bf16::from_f32(slice(&from), bf16_slice_mut(&to));
                }
            }
        },
    );
    TchTensor::new(to)
}

/// The elements of a contiguous `f32` tensor in host memory.
///
/// # Safety
/// While the slice lives, nothing may write the tensor's memory.
#[allow(unsafe_code)]
pub(crate) unsafe fn slice(tensor: &Tensor) -> &[f32] {
    check(tensor, Kind::Float);
    if tensor.numel() == 0 {
        return &[]; // The pointer may be null.
    }
    // SAFETY: checked above; the tensor is borrowed as long as the slice, and the caller rules out writes.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast(), tensor.numel()) }
}

/// The elements of a contiguous `f32` tensor in host memory, to be changed.
///
/// # Safety
/// While the slice lives, nothing else may read or write the tensor's memory.
#[allow(unsafe_code, clippy::mut_from_ref)]
pub(crate) unsafe fn slice_mut(tensor: &Tensor) -> &mut [f32] {
    check(tensor, Kind::Float);
    if tensor.numel() == 0 {
        return &mut [];
    }
    // SAFETY: checked above; the caller guarantees exclusive access.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), tensor.numel()) }
}

/// The bits of a contiguous `bf16` tensor in host memory.
///
/// # Safety
/// As [`slice`].
#[allow(unsafe_code)]
pub(crate) unsafe fn bf16_slice(tensor: &Tensor) -> &[u16] {
    check(tensor, Kind::BFloat16);
    if tensor.numel() == 0 {
        return &[];
    }
    // SAFETY: as in `slice`.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast(), tensor.numel()) }
}

/// The bits of a contiguous `bf16` tensor in host memory, to be changed.
///
/// # Safety
/// As [`slice_mut`].
#[allow(unsafe_code, clippy::mut_from_ref)]
pub(crate) unsafe fn bf16_slice_mut(tensor: &Tensor) -> &mut [u16] {
    check(tensor, Kind::BFloat16);
    if tensor.numel() == 0 {
        return &mut [];
    }
    // SAFETY: as in `slice_mut`.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), tensor.numel()) }
}

fn check(tensor: &Tensor, kind: Kind) {
    assert!(
        tensor.kind() == kind && tensor.device() == Device::Cpu && tensor.is_contiguous(),
        "a slice needs a contiguous {kind:?} tensor in host memory"
    );
}

/// For tests that run libtorch's operations for a GPU on CPU tensors and compare them with the kernels.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Relative to the largest number: sums of some hundred products, in another order.
    pub(crate) const TOLERANCE: f64 = 2e-6;

    /// Numbers in -1..1, the same every time.
    pub(crate) fn numbers(seed: f64, shape: &[i64]) -> TchTensor {
        let range = Tensor::arange(shape.iter().product::<i64>(), (Kind::Float, Device::Cpu));
        TchTensor::new((range * 0.7 + seed).sin().reshape(shape))
    }

    /// The largest difference, relative to the largest number (at least 1).
    pub(crate) fn distance(left: &Tensor, right: &Tensor) -> f64 {
        assert_eq!(left.size(), right.size());
        let largest = |tensor: Tensor| tensor.abs().max().double_value(&[]);
        let difference = left.to_kind(Kind::Float) - right.to_kind(Kind::Float);
        largest(difference) / largest(right.to_kind(Kind::Float)).max(1.0)
    }

    #[track_caller]
    pub(crate) fn assert_close(left: &[TchTensor], right: &[TchTensor], tolerance: f64) {
        assert_eq!(left.len(), right.len());
        for (index, (left, right)) in left.iter().zip(right).enumerate() {
            let distance = distance(&left.tensor, &right.tensor);
            assert!(distance < tolerance, "tensor {index} differs by {distance}");
        }
    }
}
