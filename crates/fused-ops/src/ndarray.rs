//! The kernels on Burn's NdArray backend, with products by the `gemm` crate.
#![allow(deprecated)] // Burn prefers its Flex backend; NdArray is the one this project runs on.

use std::borrow::Cow;

use burn::backend::NdArray;
use burn::backend::ndarray::NdArrayTensor;
use ndarray::{ArcArray, IxDyn};

use crate::extension::{Kernels, OptimizerBackend};
use crate::host::{self, Host, filled};
use crate::kernels::memory::unfilled;
use crate::kernels::workers::for_each_chunk;
use crate::kernels::{attention, linear, norm, span_loss};
use crate::{Activation, AdamW, Dropout};

/// Elements that one task takes.
const CHUNK: usize = 1 << 14;

impl Host for NdArray {
    fn values(tensor: &NdArrayTensor) -> Cow<'_, [f32]> {
        let NdArrayTensor::F32(storage) = tensor else {
            unreachable!("`takes` lets only f32 tensors through");
        };
        let view = storage.view();
        match view.to_slice() {
            Some(slice) => Cow::Borrowed(slice),
            None => Cow::Owned(view.iter().copied().collect()),
        }
    }

    fn values_mut(tensor: &mut NdArrayTensor) -> &mut [f32] {
        if let NdArrayTensor::F32(storage) = &*tensor
            && !storage.view().is_standard_layout()
        {
            let shape = storage.shape().to_vec();
            let copy = Self::values(tensor).into_owned();
            *tensor = owning(copy, &shape);
        }
        let NdArrayTensor::F32(storage) = tensor else {
            unreachable!("`takes` lets only f32 tensors through");
        };
        storage
            .ensure_owned()
            .as_slice_mut()
            .expect("made contiguous above")
    }

    fn unfilled(shape: &[usize]) -> NdArrayTensor {
        owning(unfilled(shape.iter().product()), shape)
    }

    fn ids(tensor: &NdArrayTensor) -> Vec<usize> {
        match tensor {
            NdArrayTensor::I64(ids) => ids.view().iter().map(|id| *id as usize).collect(),
            NdArrayTensor::I32(ids) => ids.view().iter().map(|id| *id as usize).collect(),
            _ => unreachable!("Burn's integers on this backend are i64, or i32 where asked for"),
        }
    }

    fn dims(tensor: &NdArrayTensor) -> [usize; 2] {
        let NdArrayTensor::F32(storage) = tensor else {
            unreachable!("`takes` lets only f32 tensors through");
        };
        let shape = storage.shape();
        [shape[0], shape[1]]
    }
}

/// A tensor that owns `values`, without copying them.
fn owning(values: Vec<f32>, shape: &[usize]) -> NdArrayTensor {
    ArcArray::from_shape_vec(IxDyn(shape), values)
        .expect("as many values as the shape has elements")
        .into()
}

fn gelu_backward(activated: &NdArrayTensor, grad: &NdArrayTensor) -> NdArrayTensor {
    let [gradient] = filled::<NdArray, 1>([&NdArray::dims(activated)], |[out]| {
        let (given, grad) = (NdArray::values(activated), NdArray::values(grad));
        for_each_chunk(
            [(out, CHUNK)],
            || (),
            |(), index, [out]| {
                let start = index * CHUNK;
                linear::gelu_backward(&given[start..], &grad[start..], out);
            },
        );
    });
    gradient
}

impl Kernels for NdArray {
    fn embedding_rows(table: &NdArrayTensor, ids: &NdArrayTensor) -> NdArrayTensor {
        host::embedding::<Self>(table, ids)
    }

    fn embedding_gradient(ids: &NdArrayTensor, grad: NdArrayTensor, rows: usize) -> NdArrayTensor {
        host::embedding_backward::<Self>(ids, &grad, rows)
    }

    fn linear_forward(
        input: &NdArrayTensor,
        weight: &NdArrayTensor,
        bias: &NdArrayTensor,
        activation: Activation,
        keep: bool,
    ) -> (NdArrayTensor, Option<NdArrayTensor>) {
        let shape = [Self::dims(input)[0], Self::dims(weight)[1]];
        let operands = [input, weight, bias].map(Self::values);
        let operands = operands.each_ref().map(|values| &values[..]);
        if activation == Activation::Gelu && keep {
            let [output, given] = filled::<Self, 2>([&shape, &shape], |[output, given]| {
                linear::forward(operands, activation, output, Some(given));
            });
            return (output, Some(given));
        }
        let [output] = filled::<Self, 1>([&shape], |[output]| {
            linear::forward(operands, activation, output, None);
        });
        (output, None)
    }

    fn linear_backward(
        input: &NdArrayTensor,
        weight: &NdArrayTensor,
        activated: Option<&NdArrayTensor>,
        grad: NdArrayTensor,
    ) -> [NdArrayTensor; 3] {
        let grad = match activated {
            Some(activated) => gelu_backward(activated, &grad),
            None => grad,
        };
        let (shape, [inputs, outputs]) = (Self::dims(input), Self::dims(weight));
        filled::<Self, 3>(
            [&shape, &[inputs, outputs], &[outputs]],
            |[to_input, to_weight, to_bias]| {
                let [input, weight, grad] = [input, weight, &grad].map(Self::values);
                linear::backward(&input, &weight, &grad, outputs, [to_input, to_weight]);
                linear::column_sums(&grad, to_bias);
            },
        )
    }

    fn attention_forward(
        qkv: &NdArrayTensor,
        settings: &attention::Settings,
    ) -> (NdArrayTensor, Vec<NdArrayTensor>) {
        host::attention::<Self>(qkv, settings)
    }

    fn attention_backward(
        qkv: &NdArrayTensor,
        output: &NdArrayTensor,
        kept: &[NdArrayTensor],
        grad: NdArrayTensor,
        settings: &attention::Settings,
    ) -> NdArrayTensor {
        host::attention_backward::<Self>(qkv, output, kept, &grad, settings)
    }

    fn layer_norm_forward(
        inputs: [&NdArrayTensor; 4],
        settings: &norm::Settings,
    ) -> (NdArrayTensor, Vec<NdArrayTensor>) {
        host::layer_norm::<Self>(inputs, settings)
    }

    fn layer_norm_backward(
        gamma: &NdArrayTensor,
        kept: &[NdArrayTensor],
        grad: NdArrayTensor,
        settings: &norm::Settings,
    ) -> [NdArrayTensor; 4] {
        host::layer_norm_backward::<Self>(gamma, kept, &grad, settings)
    }

    fn dropout(input: &NdArrayTensor, dropout: &Dropout) -> NdArrayTensor {
        host::dropout::<Self>(input, dropout)
    }

    fn span_loss(logits: &NdArrayTensor, targets: &span_loss::Targets) -> NdArrayTensor {
        host::span_loss::<Self>(logits, targets)
    }

    fn span_loss_backward(
        logits: &NdArrayTensor,
        grad: NdArrayTensor,
        targets: &span_loss::Targets,
    ) -> NdArrayTensor {
        host::span_loss_backward::<Self>(logits, &grad, targets)
    }
}

impl OptimizerBackend for NdArray {
    fn fused_adamw(
        parameter: NdArrayTensor,
        gradient: NdArrayTensor,
        first: NdArrayTensor,
        second: NdArrayTensor,
        adamw: AdamW,
    ) -> (NdArrayTensor, NdArrayTensor, NdArrayTensor) {
        host::adamw_step::<Self>([parameter, first, second], &gradient, &adamw).into()
    }

    fn fused_sum_of_squares(tensor: NdArrayTensor) -> NdArrayTensor {
        host::sum_of_squares::<Self>(&tensor)
    }
}
