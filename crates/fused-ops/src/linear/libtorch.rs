//! Linear layers on libtorch's tensors.
//!
//! On the CPU libtorch's matmuls run on blocks of rows, the blocks on rayon's threads, and the rest of the work on a block
//! follows while it is in the cache.

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use tch::{Device, Kind, Tensor};
use torch_shim::{mm_f32, single_threaded};

use super::activation::{Activation, QUICK_GELU};
use super::activation_kernel::{activation_backward, bias_activation};
use super::bf16::{activation_backward_bf16, bias_activation_bf16};
use crate::backend::HostMemory;
use crate::backend::libtorch::{cast, cast_weight, on_cpu, slice, slice_mut};
use crate::kernels::bf16::to_f32;
use crate::kernels::parallel::{for_each, for_each_chunk};
use crate::kernels::reduce::{add_rows, sum_rows};

/// Saves input, weight and, with an activation, the pre-activation.
pub(super) fn forward(
    inputs: [&TchTensor; 3],
    activation: Activation,
    save: bool,
) -> (TchTensor, Vec<TchTensor>) {
    let [input, weight, bias] = inputs;
    // Cast once for both passes.
    let kind = input.tensor.kind();
    let weight = cast_weight(weight, kind);
    let (output, pre_activation) = if on_cpu(input) {
        forward_on_cpu([input, &weight, bias], activation, save)
    } else {
        let bias = cast_weight(bias, kind);
        forward_on_gpu([input, &weight, &bias], activation, save)
    };
    let mut saved = vec![input.clone(), weight];
    saved.extend(pre_activation);
    (output, saved)
}

/// Gradients of input, weight and bias.
pub(super) fn backward(
    saved: &[TchTensor],
    activation: Activation,
    grad: TchTensor,
) -> [TchTensor; 3] {
    let [input, weight, pre_activation @ ..] = saved else {
        unreachable!("`forward` saves two tensors or three");
    };
    let pre_activation = pre_activation.first().map(|tensor| (activation, tensor));
    if on_cpu(input) {
        backward_on_cpu(input, weight, pre_activation, &grad)
    } else {
        backward_on_gpu(input, weight, pre_activation, grad)
    }
}

/// The output and, for an activation with `save`, the pre-activation. All inputs have one type.
fn forward_on_gpu(
    [input, weight, bias]: [&TchTensor; 3],
    activation: Activation,
    save: bool,
) -> (TchTensor, Option<TchTensor>) {
    let output = bias.tensor.addmm(&input.tensor, &weight.tensor);
    if activation == Activation::Identity {
        return (TchTensor::new(output), None);
    }
    let activated = TchTensor::new(activate_on_gpu(activation, &output));
    (activated, save.then(|| TchTensor::new(output)))
}

fn activate_on_gpu(activation: Activation, x: &Tensor) -> Tensor {
    match activation {
        Activation::Identity => x.shallow_clone(),
        Activation::Gelu => x.gelu("none"),
        Activation::GeluTanh => x.gelu("tanh"),
        Activation::Gelu10 => x.gelu("none").clamp(-10.0, 10.0),
        Activation::QuickGelu => (x * QUICK_GELU).sigmoid() * x,
        Activation::Relu => x.relu(),
        Activation::Silu => x.silu(),
        Activation::Tanh => x.tanh(),
    }
}

/// The gradient of `x`.
fn activation_backward_on_gpu(activation: Activation, x: &Tensor, grad: &Tensor) -> Tensor {
    let sigmoid = |scale: f64| {
        let weight = (x * scale).sigmoid();
        let slope = (1.0 - &weight) * x * scale + 1.0;
        grad * weight * slope
    };
    match activation {
        Activation::Identity => grad.shallow_clone(),
        Activation::Gelu => x.gelu_backward(grad, "none"),
        Activation::GeluTanh => x.gelu_backward(grad, "tanh"),
        Activation::Gelu10 => x.gelu_backward(&(grad * x.gelu("none").le(10.0)), "none"),
        Activation::QuickGelu => sigmoid(QUICK_GELU),
        Activation::Relu => grad * x.gt(0.0),
        Activation::Silu => sigmoid(1.0),
        Activation::Tanh => grad * (1.0 - x.tanh().square()),
    }
}

/// Input and weight have one type; the gradients of weight and bias are `f32`.
fn backward_on_gpu(
    input: &TchTensor,
    weight: &TchTensor,
    pre_activation: Option<(Activation, &TchTensor)>,
    grad: TchTensor,
) -> [TchTensor; 3] {
    let grad = match pre_activation {
        Some((activation, x)) => activation_backward_on_gpu(activation, &x.tensor, &grad.tensor),
        None => grad.tensor,
    };
    let grad_input = grad.mm(&weight.tensor.tr());
    let grad_weight =
        mm_f32(&input.tensor.tr(), &grad).expect("as many rows of input and gradient");
    let grad_bias = grad.sum_dim_intlist(0, false, Kind::Float);
    [grad_input, grad_weight, grad_bias].map(TchTensor::new)
}

/// The most rows of a block. Below 256 rows MKL multiplies without packing, which takes up to 1.5 times as long at
/// BERT-base's width; with `medium` each matmul converts the whole weight.
const MAX_ROWS: usize = 512;

/// `(start, length)` of equal blocks of at most [`MAX_ROWS`] rows. They do not depend on the number of threads, so sums do
/// not either. From 64 rows on their number is even, for two threads; from 256 on a multiple of four.
fn blocks(len: usize) -> Vec<(i64, i64)> {
    let parts = match len {
        0..64 => 1,
        64..256 => 2,
        len => len.div_ceil(MAX_ROWS).next_multiple_of(4),
    };
    let size = len.div_ceil(parts).max(1);
    let starts = (0..len).step_by(size);
    starts
        .map(|start| (start as i64, size.min(len - start) as i64))
        .collect()
}

fn empty(shape: [usize; 2], kind: Kind) -> TchTensor {
    let shape = shape.map(|n| n as i64);
    TchTensor::new(Tensor::empty(shape, (kind, Device::Cpu)))
}

// These take Burn's tensor, which threads may share: a closure that uses its field captures libtorch's, which they may not.

fn whole(matrix: &TchTensor) -> Tensor {
    matrix.tensor.shallow_clone()
}

fn transposed(matrix: &TchTensor) -> Tensor {
    matrix.tensor.tr()
}

fn rows(matrix: &TchTensor, (start, len): (i64, i64)) -> Tensor {
    matrix.tensor.narrow(0, start, len)
}

fn columns(matrix: &TchTensor, (start, len): (i64, i64)) -> Tensor {
    matrix.tensor.narrow(1, start, len)
}

/// `out = left · right`. Unlike `addmm`, `mm` heeds the matmul precision.
fn mm(out: &Tensor, left: &Tensor, right: &Tensor) {
    let _ = left.mm_out(out, right);
}

/// The output and, for an activation with `save`, the pre-activation.
fn forward_on_cpu(
    [input, weight, bias]: [&TchTensor; 3],
    activation: Activation,
    save: bool,
) -> (TchTensor, Option<TchTensor>) {
    let kind = input.tensor.kind();
    let (weight, bias) = (cast(weight, kind), cast(bias, Kind::Float));
    let shape = [LibTorch::dims(input)[0], LibTorch::dims(&weight)[1]];
    let output = empty(shape, kind);
    let pre_activation = (activation != Activation::Identity && save).then(|| empty(shape, kind));
    let blocks = blocks(shape[0]);
    for_each(
        blocks.len(),
        || (),
        |(), index| {
            let block = blocks[index];
            let (input, output) = (rows(input, block), rows(&output, block));
            single_threaded(|| {
                let pre_activation = pre_activation.as_ref().map(|matrix| rows(matrix, block));
                let matmul = pre_activation.as_ref().unwrap_or(&output);
                mm(matmul, &input, &whole(&weight));
                let output = pre_activation.as_ref().map(|_| &output);
                bias_activation_of_block(matmul, &bias, activation, output);
            });
        },
    );
    (output, pre_activation)
}

/// [`bias_activation`] of a block of either type.
#[allow(unsafe_code)]
fn bias_activation_of_block(
    matmul: &Tensor,
    bias: &TchTensor,
    activation: Activation,
    output: Option<&Tensor>,
) {
    // SAFETY: no task writes the bias; both blocks belong to this task alone, and to different tensors.
    unsafe {
        let bias = slice(&bias.tensor);
        if matmul.kind() == Kind::Float {
            let output = output.map(|output| slice_mut(output));
            bias_activation(slice_mut(matmul), bias, activation, output);
        } else {
            let output = output.map(|output| slice_mut(output));
            bias_activation_bf16(slice_mut(matmul), bias, activation, output);
        }
    }
}

fn backward_on_cpu(
    input: &TchTensor,
    weight: &TchTensor,
    pre_activation: Option<(Activation, &TchTensor)>,
    grad: &TchTensor,
) -> [TchTensor; 3] {
    let kind = input.tensor.kind();
    let weight = cast(weight, kind);
    let [inputs, outputs] = LibTorch::dims(&weight);
    let grad_input = empty(LibTorch::dims(input), kind);
    let grad = TchTensor::new(grad.tensor.contiguous());
    // The gradient of `input · weight + bias`.
    let grad_sum = match pre_activation {
        Some(_) => TchTensor::new(grad.tensor.empty_like()),
        None => grad.clone(),
    };
    let row_blocks = blocks(LibTorch::dims(input)[0]);
    let mut bias_sums = vec![0.0f32; row_blocks.len() * outputs];
    for_each_chunk(
        [(&mut bias_sums, outputs)],
        || (),
        |(), index, [bias_sums]| {
            let block = row_blocks[index];
            let grad_sum = rows(&grad_sum, block);
            single_threaded(|| {
                if let Some((activation, pre_activation)) = pre_activation {
                    activation_backward_of_block(
                        activation,
                        &rows(pre_activation, block),
                        &rows(&grad, block),
                        &grad_sum,
                    );
                }
                mm(&rows(&grad_input, block), &grad_sum, &transposed(&weight));
                add_block(bias_sums, &grad_sum);
            });
        },
    );
    let grad_weight = empty([inputs, outputs], kind);
    let column_blocks = blocks(inputs);
    for_each(
        column_blocks.len(),
        || (),
        |(), index| {
            let block = column_blocks[index];
            let columns = columns(input, block).tr();
            single_threaded(|| mm(&rows(&grad_weight, block), &columns, &whole(&grad_sum)));
        },
    );
    let mut grad_bias = LibTorch::uninit(&[outputs]);
    sum_rows(&bias_sums, LibTorch::values_mut(&mut grad_bias));
    [grad_input, cast(&grad_weight, Kind::Float), grad_bias]
}

/// [`activation_backward`] of a block of either type.
#[allow(unsafe_code)]
fn activation_backward_of_block(
    activation: Activation,
    pre_activation: &Tensor,
    grad: &Tensor,
    output: &Tensor,
) {
    // SAFETY: no task writes the inputs; the output block belongs to this task alone.
    unsafe {
        if pre_activation.kind() == Kind::Float {
            let (input, grad) = (slice(pre_activation), slice(grad));
            activation_backward(activation, input, grad, slice_mut(output));
        } else {
            let (input, grad) = (slice(pre_activation), slice(grad));
            activation_backward_bf16(activation, input, grad, slice_mut(output));
        }
    }
}

/// Adds the rows of a block of either type to `sums`.
#[allow(unsafe_code)]
fn add_block(sums: &mut [f32], block: &Tensor) {
    // SAFETY: this task alone writes the block, and not while the slice lives.
    unsafe {
        if block.kind() == Kind::Float {
            return add_rows(slice(block), sums);
        }
        let mut row = vec![0.0; sums.len()];
        for bf16_row in slice(block).chunks_exact(sums.len()) {
            to_f32(bf16_row, &mut row);
            add_rows(&row, sums);
        }
    }
}

/// libtorch's operations for a GPU, on CPU tensors.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::libtorch::testing::{TOLERANCE, assert_close, distance, numbers};

    /// Output and gradients by libtorch's operations for a GPU, and by those for the CPU.
    fn outcomes(activation: Activation, kind: Kind) -> [Vec<TchTensor>; 2] {
        let input = cast(&numbers(1.0, &[200, 96]), kind);
        let weight = TchTensor::new(numbers(2.0, &[96, 130]).tensor * 0.1);
        let bias = numbers(3.0, &[130]);
        let grad = cast(&numbers(4.0, &[200, 130]), kind);
        let inputs = [&input, &weight, &bias];
        let [rounded, bias_rounded] = [&weight, &bias].map(|tensor| cast(tensor, kind));
        let (output, pre) = forward_on_gpu([&input, &rounded, &bias_rounded], activation, true);
        let before = pre.as_ref().map(|tensor| (activation, tensor));
        let gradients = backward_on_gpu(&input, &rounded, before, grad.clone());
        let on_gpu = [vec![output], gradients.into()].concat();
        let (output, pre) = forward_on_cpu(inputs, activation, true);
        let before = pre.as_ref().map(|tensor| (activation, tensor));
        let gradients = backward_on_cpu(&input, &weight, before, &grad);
        [on_gpu, [vec![output], gradients.into()].concat()]
    }

    #[test]
    fn libtorch_equals_the_kernels() {
        let [identity, expected] = outcomes(Activation::Identity, Kind::Float);
        assert_close(&identity, &expected, TOLERANCE);
        let [gelu, expected] = outcomes(Activation::Gelu, Kind::Float);
        assert_close(&gelu, &expected, TOLERANCE);
        for (identity, gelu) in identity.iter().zip(&gelu) {
            assert!(distance(&identity.tensor, &gelu.tensor) > 1e-2);
        }
        let [tanh, expected] = outcomes(Activation::GeluTanh, Kind::Float);
        assert_close(&tanh, &expected, TOLERANCE);
        assert!(distance(&tanh[0].tensor, &gelu[0].tensor) > 1e-4);
        for activation in [
            Activation::Gelu10,
            Activation::QuickGelu,
            Activation::Relu,
            Activation::Silu,
            Activation::Tanh,
        ] {
            let [ours, expected] = outcomes(activation, Kind::Float);
            // Gradients of the bias are sums of 200 numbers that nearly cancel.
            assert_close(&ours, &expected, 3.0 * TOLERANCE);
            if activation != Activation::Gelu10 {
                assert!(distance(&ours[0].tensor, &gelu[0].tensor) > 1e-3);
            }
        }
    }

    /// Weights and their gradients stay `f32`.
    #[test]
    fn libtorch_in_bf16_equals_f32_up_to_rounding() {
        let [half, _] = outcomes(Activation::Gelu, Kind::BFloat16);
        let kinds = half.iter().map(|tensor| tensor.tensor.kind());
        let expected = [Kind::BFloat16, Kind::BFloat16, Kind::Float, Kind::Float];
        assert!(kinds.eq(expected), "{half:?}");
        let [single, _] = outcomes(Activation::Gelu, Kind::Float);
        // `bf16` has 8 bits. Gradients of weight and bias sum 200 numbers near 1, each rounded to 4e-3, which nearly cancel.
        let limits = [2e-2, 2e-2, 1e-1, 1e-1];
        for ((half, single), limit) in half.iter().zip(&single).zip(limits) {
            let distance = distance(&half.tensor, &single.tensor);
            assert!(distance > 1e-5 && distance < limit, "{distance}");
        }
    }
}
