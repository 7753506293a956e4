//! Linear layers on the CPU: libtorch's matrix products on blocks, the blocks on our threads, and
//! what goes with a product done while its block is in the cache.

use burn::backend::libtorch::TchTensor;
use tch::{Device, Kind, Tensor};
use torch_shim::{Precision, float32_matmul_precision, sequentially};

use super::memory::{cast, halves, halves_mut, slice, slice_mut};
use crate::Activation;
use crate::host::Host;
use crate::kernels::half::{self, gelu_backward_of_half, gelu_of_half};
use crate::kernels::linear::{self, add_row, add_up, gelu, gelu_backward};
use crate::kernels::workers::{for_each, for_each_chunk};

type LibTorch = burn::backend::LibTorch;

/// The most rows of a block: about as many as stay in a core's cache, and more where every product
/// first converts the whole weight.
fn most_rows(kind: Kind) -> usize {
    match kind == Kind::Float && float32_matmul_precision() != Precision::Medium {
        true => 256,
        false => 512,
    }
}

/// Equal parts of at most `most`, the same on any number of threads so that sums are; an even
/// number of them, which two or four threads share evenly.
fn blocks(len: usize, most: usize) -> Vec<(i64, i64)> {
    let parts = match len {
        0..64 => 1,
        64..256 => 2,
        len => len.div_ceil(most).next_multiple_of(4),
    };
    let size = len.div_ceil(parts).max(1);
    let starts = (0..len).step_by(size);
    starts
        .map(|start| (start as i64, size.min(len - start) as i64))
        .collect()
}

/// Rows of a matrix. (Of the tensor of Burn, which several threads may look at.)
fn rows(matrix: &TchTensor, (start, len): (i64, i64)) -> Tensor {
    matrix.tensor.narrow(0, start, len)
}

fn empty(shape: [usize; 2], kind: Kind) -> TchTensor {
    let shape = shape.map(|n| n as i64);
    TchTensor::new(Tensor::empty(shape, (kind, Device::Cpu)))
}

/// The output, and what the activation was given if there is one and `keep` asks for it.
pub(super) fn forward(
    input: &TchTensor,
    weight: &TchTensor,
    bias: &TchTensor,
    activation: Activation,
    keep: bool,
) -> (TchTensor, Option<TchTensor>) {
    let kind = input.tensor.kind();
    let [weight, bias] = [weight, bias].map(|tensor| cast(tensor, kind));
    let shape = [LibTorch::dims(input)[0], LibTorch::dims(&weight)[1]];
    let output = empty(shape, kind);
    let given = (activation == Activation::Gelu && keep).then(|| empty(shape, kind));
    let blocks = blocks(shape[0], most_rows(kind));
    for_each(
        blocks.len(),
        || (),
        |(), index| {
            let block = blocks[index];
            let (input, output) = (rows(input, block), rows(&output, block));
            sequentially(|| {
                let product = match (activation, &given) {
                    (Activation::Identity, _) => output.shallow_clone(),
                    (Activation::Gelu, Some(given)) => rows(given, block),
                    (Activation::Gelu, None) => output.empty_like(),
                };
                // Not `addmm`, which does not heed the precision of products that was asked for.
                mm(&product, &input, &whole(&weight));
                add_bias(&product, &bias);
                if activation == Activation::Gelu {
                    activate(&product, &output);
                }
            });
        },
    );
    (output, given)
}

/// Adds a row to every row of a block.
fn add_bias(block: &Tensor, bias: &TchTensor) {
    match block.kind() {
        Kind::Float => {
            let bias = slice(&bias.tensor);
            // SAFETY: the block is this task's alone.
            #[allow(unsafe_code)]
            add_row(unsafe { slice_mut(block) }, bias);
        }
        _ => drop(block.shallow_clone().g_add_(&bias.tensor)),
    }
}

/// GELU of a block.
#[allow(unsafe_code)]
fn activate(input: &Tensor, output: &Tensor) {
    // SAFETY: the block is this task's alone.
    match input.kind() {
        Kind::Float => gelu(slice(input), unsafe { slice_mut(output) }),
        _ => gelu_of_half(halves(input), unsafe { halves_mut(output) }),
    }
}

/// Gradients of input, weight and bias.
pub(super) fn backward(
    input: &TchTensor,
    weight: &TchTensor,
    given: Option<&TchTensor>,
    grad: TchTensor,
) -> [TchTensor; 3] {
    let kind = input.tensor.kind();
    let weight = cast(weight, kind);
    let [inputs, outputs] = LibTorch::dims(&weight);
    let to_input = empty(LibTorch::dims(input), kind);
    let grad = TchTensor::new(grad.tensor.contiguous());
    let of_product = match given {
        Some(_) => TchTensor::new(grad.tensor.empty_like()),
        None => grad.clone(),
    };
    let by_rows = blocks(LibTorch::dims(input)[0], most_rows(kind));
    let mut sums = vec![0.0f32; by_rows.len() * outputs];
    for_each_chunk(
        [(&mut sums, outputs)],
        || (),
        |(), index, [sums]| {
            let block = by_rows[index];
            let of_product = rows(&of_product, block);
            sequentially(|| {
                if let Some(given) = given {
                    activate_backward(&rows(given, block), &rows(&grad, block), &of_product);
                }
                mm(&rows(&to_input, block), &of_product, &transposed(&weight));
                add_rows(sums, &of_product);
            });
        },
    );
    let to_weight = empty([inputs, outputs], kind);
    let by_columns = blocks(inputs, most_rows(kind));
    for_each(
        by_columns.len(),
        || (),
        |(), index| {
            let block = by_columns[index];
            let columns = columns(input, block).tr();
            sequentially(|| mm(&rows(&to_weight, block), &columns, &whole(&of_product)));
        },
    );
    let mut to_bias = LibTorch::unfilled(&[outputs]);
    add_up(&sums, LibTorch::values_mut(&mut to_bias));
    [to_input, cast(&to_weight, Kind::Float), to_bias]
}

fn mm(out: &Tensor, left: &Tensor, right: &Tensor) {
    let _ = left.mm_out(out, right);
}

fn whole(matrix: &TchTensor) -> Tensor {
    matrix.tensor.shallow_clone()
}

fn transposed(matrix: &TchTensor) -> Tensor {
    matrix.tensor.tr()
}

fn columns(matrix: &TchTensor, (start, len): (i64, i64)) -> Tensor {
    matrix.tensor.narrow(1, start, len)
}

/// The gradient of what GELU was given, of a block.
#[allow(unsafe_code)]
fn activate_backward(given: &Tensor, grad: &Tensor, output: &Tensor) {
    // SAFETY: the block is this task's alone.
    match given.kind() {
        Kind::Float => gelu_backward(slice(given), slice(grad), unsafe { slice_mut(output) }),
        _ => gelu_backward_of_half(halves(given), halves(grad), unsafe { halves_mut(output) }),
    }
}

/// Adds a block's rows to `sums`.
fn add_rows(sums: &mut [f32], block: &Tensor) {
    if block.kind() == Kind::Float {
        return linear::add_rows(slice(block), sums);
    }
    let mut wide = vec![0.0; sums.len()];
    for row in halves(block).chunks_exact(sums.len()) {
        half::widen(row, &mut wide);
        linear::add_rows(&wide, sums);
    }
}
