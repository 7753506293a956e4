//! The kernels on Burn's LibTorch backend: on the CPU ours, with libtorch's matrix products; on a
//! GPU libtorch's own.
//!
//! `bf16` is mixed precision: weights stay `f32` and are rounded for a product, gradients of
//! weights come back as `f32`.
#![allow(deprecated)] // Burn prefers its CubeCL backends; LibTorch is one that this project runs on.

mod gpu;
mod linear;
mod memory;

use std::borrow::Cow;

use burn::backend::LibTorch;
use burn::backend::libtorch::{LibTorchDevice, TchTensor};
use burn::tensor::DType;
use tch::{Device, Kind, Tensor};

use crate::extension::{Kernels, OptimizerBackend};
use crate::host::{self, Host};
use crate::kernels::{attention, norm, span_loss};
use crate::{Activation, AdamW, Dropout};
use memory::{cast, on_cpu, slice, slice_mut};

/// `f32` and `bf16` on the CPU and on NVIDIA's GPUs.
pub(crate) fn takes(device: &LibTorchDevice, dtype: DType) -> bool {
    matches!(device, LibTorchDevice::Cpu | LibTorchDevice::Cuda(_))
        && matches!(dtype, DType::F32 | DType::BF16)
}

/// As `f32`, without a copy where it is that already.
fn single(tensor: &TchTensor) -> TchTensor {
    cast(tensor, Kind::Float)
}

/// As `f32` in host memory: logits are few.
fn on_host(tensor: &TchTensor) -> TchTensor {
    TchTensor::new(tensor.tensor.to_device(Device::Cpu).to_kind(Kind::Float))
}

impl Host for LibTorch {
    fn values(tensor: &TchTensor) -> Cow<'_, [f32]> {
        match tensor.tensor.is_contiguous() {
            true => Cow::Borrowed(slice(&tensor.tensor)),
            false => Cow::Owned(slice(&tensor.tensor.contiguous()).to_vec()),
        }
    }

    #[allow(unsafe_code)]
    fn values_mut(tensor: &mut TchTensor) -> &mut [f32] {
        if !tensor.can_mut() || !tensor.tensor.is_contiguous() {
            *tensor = TchTensor::new(tensor.tensor.copy());
        }
        // SAFETY: owned alone, and borrowed mutably as long as the slice.
        unsafe { slice_mut(&tensor.tensor) }
    }

    fn unfilled(shape: &[usize]) -> TchTensor {
        let shape: Vec<i64> = shape.iter().map(|n| *n as i64).collect();
        let tensor = Tensor::empty(shape, (Kind::Float, Device::Cpu));
        #[cfg(test)] // A kernel that leaves an element out fails its tests.
        let tensor = tensor.fill(f64::NAN);
        TchTensor::new(tensor)
    }

    fn ids(tensor: &TchTensor) -> Vec<usize> {
        let ids = Vec::<i64>::try_from(&tensor.tensor.to_kind(Kind::Int64));
        let ids = ids.expect("a vector of integers");
        ids.into_iter().map(|id| id as usize).collect()
    }

    fn dims(tensor: &TchTensor) -> [usize; 2] {
        let (rows, columns) = tensor.tensor.size2().expect("a matrix");
        [rows as usize, columns as usize]
    }
}

impl Kernels for LibTorch {
    fn embedding_rows(table: &TchTensor, ids: &TchTensor) -> TchTensor {
        match on_cpu(table) && table.tensor.kind() == Kind::Float {
            true => host::embedding::<Self>(table, ids),
            false => TchTensor::new(table.tensor.index_select(0, &ids.tensor)),
        }
    }

    fn embedding_gradient(ids: &TchTensor, grad: TchTensor, rows: usize) -> TchTensor {
        match on_cpu(&grad) && grad.tensor.kind() == Kind::Float {
            true => host::embedding_backward::<Self>(ids, &grad, rows),
            false => gpu::embedding_backward(ids, &grad, rows),
        }
    }

    fn linear_forward(
        input: &TchTensor,
        weight: &TchTensor,
        bias: &TchTensor,
        activation: Activation,
        keep: bool,
    ) -> (TchTensor, Option<TchTensor>) {
        match on_cpu(input) {
            true => linear::forward(input, weight, bias, activation, keep),
            false => gpu::linear(input, weight, bias, activation, keep),
        }
    }

    fn linear_backward(
        input: &TchTensor,
        weight: &TchTensor,
        activated: Option<&TchTensor>,
        grad: TchTensor,
    ) -> [TchTensor; 3] {
        match on_cpu(input) {
            true => linear::backward(input, weight, activated, grad),
            false => gpu::linear_backward(input, weight, activated, grad),
        }
    }

    fn attention_forward(
        qkv: &TchTensor,
        settings: &attention::Settings,
    ) -> (TchTensor, Vec<TchTensor>) {
        if !on_cpu(qkv) {
            return gpu::attention(qkv, settings);
        }
        let (output, kept) = host::attention::<Self>(&single(qkv), settings);
        (cast(&output, qkv.tensor.kind()), kept)
    }

    fn attention_backward(
        qkv: &TchTensor,
        output: &TchTensor,
        kept: &[TchTensor],
        grad: TchTensor,
        settings: &attention::Settings,
    ) -> TchTensor {
        if !on_cpu(output) {
            return gpu::attention_backward(qkv, output, kept, &grad, settings);
        }
        let [inputs, output, grad] = [qkv, output, &grad].map(single);
        let gradient = host::attention_backward::<Self>(&inputs, &output, kept, &grad, settings);
        cast(&gradient, qkv.tensor.kind())
    }

    fn layer_norm_forward(
        inputs: [&TchTensor; 4],
        settings: &norm::Settings,
    ) -> (TchTensor, Vec<TchTensor>) {
        if !on_cpu(inputs[0]) {
            return gpu::layer_norm(inputs, settings);
        }
        let kind = inputs[0].tensor.kind();
        let inputs = inputs.map(single);
        let (output, kept) = host::layer_norm::<Self>(inputs.each_ref(), settings);
        (cast(&output, kind), kept)
    }

    fn layer_norm_backward(
        gamma: &TchTensor,
        kept: &[TchTensor],
        grad: TchTensor,
        settings: &norm::Settings,
    ) -> [TchTensor; 4] {
        if !on_cpu(gamma) {
            return gpu::layer_norm_backward(gamma, kept, &grad, settings);
        }
        let kind = grad.tensor.kind();
        let gradients = host::layer_norm_backward::<Self>(gamma, kept, &single(&grad), settings);
        let [to_input, to_residual, to_gamma, to_beta] = gradients;
        let [to_input, to_residual] = [to_input, to_residual].map(|grad| cast(&grad, kind));
        [to_input, to_residual, to_gamma, to_beta]
    }

    fn dropout(input: &TchTensor, dropout: &Dropout) -> TchTensor {
        match on_cpu(input) {
            true => {
                let output = host::dropout::<Self>(&single(input), dropout);
                cast(&output, input.tensor.kind())
            }
            false => gpu::dropout(input, dropout),
        }
    }

    fn span_loss(logits: &TchTensor, targets: &span_loss::Targets) -> TchTensor {
        let loss = host::span_loss::<Self>(&on_host(logits), targets);
        TchTensor::new(loss.tensor.to_device(logits.tensor.device()))
    }

    fn span_loss_backward(
        logits: &TchTensor,
        grad: TchTensor,
        targets: &span_loss::Targets,
    ) -> TchTensor {
        let grad = on_host(&grad);
        let gradient = host::span_loss_backward::<Self>(&on_host(logits), &grad, targets);
        let (device, kind) = (logits.tensor.device(), logits.tensor.kind());
        TchTensor::new(gradient.tensor.to_device(device).to_kind(kind))
    }
}

impl OptimizerBackend for LibTorch {
    fn fused_adamw(
        parameter: TchTensor,
        gradient: TchTensor,
        first: TchTensor,
        second: TchTensor,
        adamw: AdamW,
    ) -> (TchTensor, TchTensor, TchTensor) {
        let tensors = [parameter, first, second];
        let tensors = match on_cpu(&gradient) {
            true => host::adamw_step::<Self>(tensors, &gradient, &adamw),
            false => gpu::adamw_step(tensors, gradient, &adamw),
        };
        tensors.into()
    }

    fn fused_sum_of_squares(tensor: TchTensor) -> TchTensor {
        match on_cpu(&tensor) {
            true => host::sum_of_squares::<Self>(&tensor),
            false => TchTensor::new(tensor.tensor.square().sum(Kind::Float).reshape([1])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CuSeqlens, DropoutKey};

    fn numbers(shape: [i64; 2]) -> TchTensor {
        let places = Tensor::arange(shape[0] * shape[1], (Kind::Float, Device::Cpu));
        TchTensor::new((places * 0.7).sin().reshape(shape))
    }

    /// In this build [`Host::unfilled`] is full of NaN.
    #[test]
    fn kernels_give_every_element_a_value() {
        let unfilled = LibTorch::unfilled(&[3, 5]);
        assert!(slice(&unfilled.tensor).iter().all(|x| x.is_nan()));

        let lengths = CuSeqlens::new(&[1, 70, 33]);
        let key = DropoutKey {
            seed: 1,
            rank: 0,
            micro_batch: 0,
            step: 0,
            site: 0,
        };
        let dropout = Dropout::new(0.1, key);
        let settings = attention::Settings {
            lengths: lengths.clone(),
            num_heads: 3,
            dropout,
        };
        let (qkv, grad, logits) = (numbers([104, 36]), numbers([104, 12]), numbers([104, 2]));
        let (output, kept) = LibTorch::attention_forward(&qkv, &settings);
        let gradient = LibTorch::attention_backward(&qkv, &output, &kept, grad.clone(), &settings);
        let mut filled = [vec![output, gradient], kept].concat();

        let settings = norm::Settings { eps: 1e-5, dropout };
        let vector = TchTensor::new(Tensor::ones([12], (Kind::Float, Device::Cpu)));
        let inputs = [&grad, &grad, &vector, &vector];
        let (output, kept) = LibTorch::layer_norm_forward(inputs, &settings);
        let gradients = LibTorch::layer_norm_backward(&vector, &kept, grad.clone(), &settings);
        filled.extend([vec![output], kept, gradients.into()].concat());

        let targets = span_loss::Targets {
            lengths,
            positions: [(0, 0), (3, 60), (2, 2)].as_slice().into(),
        };
        let loss = LibTorch::span_loss(&logits, &targets);
        filled.push(LibTorch::span_loss_backward(
            &logits,
            loss.clone(),
            &targets,
        ));
        filled.push(loss);
        for (place, tensor) in filled.iter().enumerate() {
            let all = slice(&tensor.tensor).iter();
            assert!(all.copied().all(f32::is_finite), "tensor {place}");
        }
    }
}
