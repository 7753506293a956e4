//! Tensors of libtorch in host memory as slices.

use burn::backend::libtorch::TchTensor;
use tch::{Device, Kind, Tensor};

use crate::kernels::half;
use crate::kernels::workers::for_each;

pub(super) fn on_cpu(tensor: &TchTensor) -> bool {
    tensor.tensor.device() == Device::Cpu
}

/// Elements that one task converts.
const CAST: usize = 1 << 15;

/// A tensor of another kind, without a copy where it is of that kind already.
pub(super) fn cast(tensor: &TchTensor, kind: Kind) -> TchTensor {
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
        len.div_ceil(CAST),
        || (),
        |(), index| {
            let start = index * CAST;
            let part = |flat: &TchTensor| {
                let size = CAST.min(len - start);
                flat.tensor.narrow(0, start as i64, size as i64)
            };
            let [from, to] = [&flat[0], &flat[1]].map(part);
            // SAFETY: a part for each task, of a tensor that nobody else has.
            #[allow(unsafe_code)]
            match kind {
                Kind::Float => half::widen(halves(&from), unsafe { slice_mut(&to) }),
                _ => half::round(slice(&from), unsafe { halves_mut(&to) }),
            }
        },
    );
    TchTensor::new(to)
}

/// The numbers of a contiguous tensor.
#[allow(unsafe_code)]
pub(super) fn slice(tensor: &Tensor) -> &[f32] {
    check(tensor, Kind::Float);
    if tensor.numel() == 0 {
        return &[]; // Its pointer may be null.
    }
    // SAFETY: checked above; the tensor is borrowed as long as the slice, and what changes a
    // tensor's memory (Burn's `mut_ops`, `values_mut`) asks first that nobody else holds it.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast(), tensor.numel()) }
}

/// The numbers of a contiguous tensor, to be changed.
///
/// # Safety
/// While the slice lives, nobody else may look at the tensor's memory.
#[allow(unsafe_code, clippy::mut_from_ref)]
pub(super) unsafe fn slice_mut(tensor: &Tensor) -> &mut [f32] {
    check(tensor, Kind::Float);
    if tensor.numel() == 0 {
        return &mut [];
    }
    // SAFETY: checked above to be contiguous `f32` in host memory; the caller's for the rest.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), tensor.numel()) }
}

/// The bits of a contiguous `bf16` tensor.
#[allow(unsafe_code)]
pub(super) fn halves(tensor: &Tensor) -> &[u16] {
    check(tensor, Kind::BFloat16);
    if tensor.numel() == 0 {
        return &[];
    }
    // SAFETY: as `slice`.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast(), tensor.numel()) }
}

/// The bits of a contiguous `bf16` tensor, to be changed.
///
/// # Safety
/// As [`slice_mut`].
#[allow(unsafe_code, clippy::mut_from_ref)]
pub(super) unsafe fn halves_mut(tensor: &Tensor) -> &mut [u16] {
    check(tensor, Kind::BFloat16);
    if tensor.numel() == 0 {
        return &mut [];
    }
    // SAFETY: as `slice_mut`.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), tensor.numel()) }
}

fn check(tensor: &Tensor, kind: Kind) {
    assert!(
        tensor.kind() == kind && tensor.device() == Device::Cpu && tensor.is_contiguous(),
        "kernels on slices take contiguous {kind:?} in host memory"
    );
}
