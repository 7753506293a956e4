//! Burn's LibTorch backend: kernels on the CPU, libtorch's own operations on a GPU.
//!
//! `bf16` is mixed precision: weights stay `f32` and are rounded for a matmul; gradients of weights are `f32`.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use burn::backend::libtorch::{LibTorchDevice, TchTensor};
use burn::backend::{DispatchDevice, DispatchTensorKind, LibTorch};
use burn::tensor::{Bool, DType, Int};
use tch::{Device, Kind, Tensor};

use super::function::{Function, Kernels, Update};
use super::host::HostMemory;
use crate::cu_seqlens::CuSeqlens;
use crate::kernels::bf16;
use crate::kernels::parallel::for_each;
use crate::philox::Dropout;
use crate::precision::Precision;
use crate::weight_cache::WeightCache;

/// `f32` and `bf16` on the CPU and on NVIDIA's GPUs.
pub(super) fn is_supported(device: &LibTorchDevice, dtype: DType) -> bool {
    matches!(device, LibTorchDevice::Cpu | LibTorchDevice::Cuda(_))
        && matches!(dtype, DType::F32 | DType::BF16)
}

/// Whether the operations for a GPU run on the device.
pub(super) fn has_operations_of_gpu(device: &LibTorchDevice) -> bool {
    match device {
        LibTorchDevice::Cuda(_) => true,
        LibTorchDevice::Cpu => OPERATIONS_OF_GPU.load(Ordering::Relaxed),
        _ => false,
    }
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

static OPERATIONS_OF_GPU: AtomicBool = AtomicBool::new(false);

/// Whether libtorch's CPU device runs the operations that a GPU gets instead of this crate's kernels, for the whole process:
/// for tests, and to count the operations of a step. Attention stays with this crate's kernel, because libtorch's have no
/// form for the CPU.
pub fn run_operations_of_gpu(enabled: bool) {
    OPERATIONS_OF_GPU.store(enabled, Ordering::Relaxed);
}

/// Whether this crate's kernels take the tensor.
pub(crate) fn on_cpu(tensor: &TchTensor) -> bool {
    is_in_host_memory(tensor) && !OPERATIONS_OF_GPU.load(Ordering::Relaxed)
}

pub(crate) fn is_in_host_memory(tensor: &TchTensor) -> bool {
    tensor.tensor.device() == Device::Cpu
}

/// The tensor itself if nothing else holds its memory, else a copy.
pub(crate) fn into_owned(tensor: TchTensor) -> Tensor {
    if tensor.can_mut() && tensor.tensor.is_contiguous() {
        return tensor.tensor;
    }
    let mut copy = tensor.tensor.empty_like();
    copy.copy_(&tensor.tensor);
    copy
}

/// A vector on a device that runs the operations of a GPU; `None` for other devices.
pub(crate) fn upload(
    values: &[i64],
    device: &burn::tensor::Device,
) -> Option<burn::tensor::Tensor<1, Int>> {
    let device = device.clone().without_autodiff();
    let DispatchDevice::LibTorch(device) = device.as_dispatch() else {
        return None;
    };
    if !has_operations_of_gpu(device) {
        return None;
    }
    let values = TchTensor::new(upload_slice(values, (*device).into()));
    Some(burn::tensor::Tensor::from_primitive::<LibTorch>(values))
}

/// libtorch's tensor in a tensor of Burn's LibTorch backend without autodiff.
pub(crate) fn float_primitive<const D: usize>(tensor: burn::tensor::Tensor<D>) -> TchTensor {
    let primitive = tensor.try_into_primitive::<LibTorch>();
    primitive.expect("the caller has checked the backend")
}

/// The reverse of [`float_primitive`].
pub(crate) fn float_tensor<const D: usize>(tensor: Tensor) -> burn::tensor::Tensor<D> {
    burn::tensor::Tensor::from_primitive::<LibTorch>(TchTensor::new(tensor))
}

/// As [`float_primitive`], of an int tensor.
pub(crate) fn int_primitive<const D: usize>(tensor: &burn::tensor::Tensor<D, Int>) -> TchTensor {
    match tensor.clone().into_dispatch().kind {
        DispatchTensorKind::LibTorch(tensor) => tensor.int(),
        #[allow(unreachable_patterns)]
        // Another crate of the build may enable more of Burn's backends.
        other => panic!("an int tensor on another backend than the float tensor: {other:?}"),
    }
}

/// Numbers copied once to the first GPU that needs them.
#[derive(Debug, Default)]
struct OnGpu(OnceLock<TchTensor>);

impl OnGpu {
    /// The copy of the numbers of `make` on `device`.
    fn get<T: tch::kind::Element>(&self, device: Device, make: impl Fn() -> Vec<T>) -> TchTensor {
        let upload = || TchTensor::new(upload_slice(&make(), device));
        let shared = self.0.get_or_init(upload);
        if shared.tensor.device() == device {
            shared.clone()
        } else {
            upload()
        }
    }
}

/// The numbers of [`CuSeqlens`] on a GPU.
#[derive(Debug, Default)]
pub(crate) struct CuSeqlensOnGpu {
    offsets: OnGpu,
    packed_indices: OnGpu,
}

impl CuSeqlens {
    /// [`offsets`](Self::offsets) on a device, as `i32`.
    pub(crate) fn offsets_on(&self, device: Device) -> TchTensor {
        let offsets = || self.offsets().iter().map(|offset| *offset as i32).collect();
        self.on_gpu().offsets.get(device, offsets)
    }

    /// [`packed_indices`](Self::packed_indices) on a device.
    pub(crate) fn packed_indices_on(&self, device: Device) -> TchTensor {
        let indices = || self.positions_in_padded().map(|i| i as i64).collect();
        self.on_gpu().packed_indices.get(device, indices)
    }
}

/// A vector on a device. The host does not wait for the copy.
pub(crate) fn upload_slice<T: tch::kind::Element>(values: &[T], device: Device) -> Tensor {
    let values = torch_shim::upload(&Tensor::from_slice(values), device);
    values.expect("the device has room for them")
}

/// As [`int_primitive`], of a bool tensor.
pub(crate) fn bool_primitive<const D: usize>(tensor: &burn::tensor::Tensor<D, Bool>) -> TchTensor {
    match tensor.clone().into_dispatch().kind {
        DispatchTensorKind::LibTorch(tensor) => tensor.bool(),
        #[allow(unreachable_patterns)]
        // As in `int_primitive`.
        other => panic!("a bool tensor on another backend than the float tensor: {other:?}"),
    }
}

/// Draws from libtorch's generator, seeded from the key of a mask: a forward pass that is computed again draws the same mask,
/// and a resumed run draws the masks of an uninterrupted one. The process has one generator, so one thread at a time draws.
pub(crate) fn with_seed<T>(dropout: &Dropout, draw: impl FnOnce() -> T) -> T {
    static GENERATOR: Mutex<()> = Mutex::new(());
    let _one_at_a_time = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(dropout.seed() as i64);
    draw()
}

/// Dropout with libtorch's masks: the output, and the mask of kept elements for the backward pass.
pub(crate) fn native_dropout(dropout: &Dropout, input: &Tensor) -> (Tensor, Tensor) {
    with_seed(dropout, || input.native_dropout(dropout.prob(), true))
}

/// The gradient of the input of [`native_dropout`].
pub(crate) fn native_dropout_backward(dropout: &Dropout, grad: &Tensor, mask: &Tensor) -> Tensor {
    Tensor::native_dropout_backward(grad, mask, f64::from(dropout.scale()))
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
    let has_kernel = |kind| matches!(kind, Kind::Float | Kind::BFloat16);
    let is_supported = has_kernel(from.kind()) && has_kernel(kind);
    if !on_cpu(tensor) || !from.is_contiguous() || !is_supported {
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
                    bf16::to_f32(slice(&from), slice_mut(&to));
                } else {
                    bf16::from_f32(slice(&from), slice_mut(&to));
                }
            }
        },
    );
    TchTensor::new(to)
}

/// [`cast`] of a weight: what the cache of [`WeightCache::scope`] has of it, if there is one.
pub(crate) fn cast_weight(weight: &TchTensor, kind: Kind) -> TchTensor {
    if weight.tensor.kind() == kind {
        return weight.clone();
    }
    let cast = cached_weight(&[weight], kind, || cast(weight, kind));
    // `WeightCache::for_step` caches vectors.
    let tensor = cast.tensor.view_as(&weight.tensor);
    TchTensor::from_existing(tensor, cast.storage)
}

/// What `make` makes of weights in a type, now or before in this [`WeightCache::scope`].
pub(crate) fn cached_weight(
    weights: &[&TchTensor],
    kind: Kind,
    make: impl FnOnce() -> TchTensor,
) -> TchTensor {
    // An address says nothing of strides.
    let is_known = |weight: &&TchTensor| weight.tensor.is_contiguous();
    match WeightCache::current() {
        Some(cache) if weights.iter().all(is_known) => {
            let hold =
                || -> Vec<TchTensor> { weights.iter().map(|&weight| weight.clone()).collect() };
            TchTensor::clone(&cache.entry(key(weights, kind), hold, make))
        }
        _ => make(),
    }
}

/// In a [`WeightCache`]: the address of the first weight, the elements of all, and the type.
fn key(weights: &[&TchTensor], kind: Kind) -> (usize, usize, Precision) {
    let precision = match kind {
        Kind::Float => Precision::F32,
        _ => Precision::Bf16,
    };
    let elements = weights.iter().map(|weight| weight.tensor.numel()).sum();
    (weights[0].tensor.data_ptr().addr(), elements, precision)
}

/// Caches `f32` weights, `[elements]` each, in `bf16`: on a GPU by one operation. On the CPU there is nothing to gain.
pub(crate) fn cache_in_bf16(cache: &WeightCache, weights: Vec<TchTensor>) {
    if weights.first().is_none_or(on_cpu) {
        return;
    }
    let empty = |weight: &TchTensor| {
        let options = (Kind::BFloat16, weight.tensor.device());
        Tensor::empty(weight.tensor.size(), options)
    };
    let cast: Vec<_> = weights.iter().map(empty).collect();
    let sources: Vec<_> = weights.iter().map(|weight| &weight.tensor).collect();
    torch_shim::foreach_copy(&cast.iter().collect::<Vec<_>>(), &sources)
        .expect("the device has room for the weights in bf16");
    for (weight, cast) in weights.into_iter().zip(cast) {
        let key = key(&[&weight], Kind::BFloat16);
        cache.entry(key, || weight, || TchTensor::new(cast));
    }
}

/// A type of elements as kernels see it.
pub(crate) trait Element {
    const KIND: Kind;
}

impl Element for f32 {
    const KIND: Kind = Kind::Float;
}

/// The bits of `bf16`.
impl Element for u16 {
    const KIND: Kind = Kind::BFloat16;
}

/// The elements of a contiguous tensor in host memory.
///
/// # Panics
/// If the tensor is another.
///
/// # Safety
/// While the slice lives, nothing may write the tensor's memory.
#[allow(unsafe_code)]
pub(crate) unsafe fn slice<T: Element>(tensor: &Tensor) -> &[T] {
    check(tensor, T::KIND);
    if tensor.numel() == 0 {
        return &[]; // The pointer may be null.
    }
    // SAFETY: checked above; the tensor is borrowed as long as the slice, and the caller rules out writes.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast(), tensor.numel()) }
}

/// The elements of a contiguous tensor in host memory, to be changed.
///
/// # Panics
/// If the tensor is another.
///
/// # Safety
/// While the slice lives, nothing else may read or write the tensor's memory.
#[allow(unsafe_code, clippy::mut_from_ref)]
pub(crate) unsafe fn slice_mut<T: Element>(tensor: &Tensor) -> &mut [T] {
    check(tensor, T::KIND);
    if tensor.numel() == 0 {
        return &mut [];
    }
    // SAFETY: checked above; the caller guarantees exclusive access.
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
