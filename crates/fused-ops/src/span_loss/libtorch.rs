//! The span loss on libtorch's tensors of any device and type: logits are few, so it is computed in host memory in `f32`.

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use tch::{Device, Kind};

use super::kernel::SpanLoss;
use crate::backend::Function;

fn to_host(tensor: &TchTensor) -> TchTensor {
    TchTensor::new(tensor.tensor.to_device(Device::Cpu).to_kind(Kind::Float))
}

pub(super) fn forward(args: &SpanLoss, logits: &TchTensor) -> TchTensor {
    let (loss, _) = Function::forward::<LibTorch>(args, [&to_host(logits)], false);
    TchTensor::new(loss.tensor.to_device(logits.tensor.device()))
}

pub(super) fn backward(args: &SpanLoss, logits: &TchTensor, grad: &TchTensor) -> TchTensor {
    let [grad_logits] = Function::backward::<LibTorch>(args, &[to_host(logits)], to_host(grad));
    let (device, kind) = (logits.tensor.device(), logits.tensor.kind());
    TchTensor::new(grad_logits.tensor.to_device(device).to_kind(kind))
}
