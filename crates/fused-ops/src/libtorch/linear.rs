//! Linear layers on the CPU: libtorch's matrix products on blocks, the blocks on our threads, and
//! what goes with a product done while its block is in the cache.

use burn::backend::libtorch::TchTensor;
use tch::{Device, Kind, Tensor};
use torch_shim::single_threaded;

use super::memory::{cast, halves, halves_mut, slice, slice_mut};
use crate::Activation;
use crate::host::Host;
use crate::kernels::half::{self, finish_half, gelu_backward_of_half};
use crate::kernels::linear::{self, add_up, gelu_backward};
use crate::kernels::workers::{for_each, for_each_chunk};

type LibTorch = burn::backend::LibTorch;

/// The most rows of a block. (From 256 down MKL multiplies without packing, which takes up to half
/// as long again at BERT-base's width; with `medium` each product converts the whole weight first.)
const MOST_ROWS: usize = 512;

/// Equal parts of at most [`MOST_ROWS`], the same on any number of threads so that sums are; an even
/// number of them, which two or four threads share evenly.
fn blocks(len: usize) -> Vec<(i64, i64)> {
    let parts = match len {
        0..64 => 1,
        64..256 => 2,
        len => len.div_ceil(MOST_ROWS).next_multiple_of(4),
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
    let (weight, bias) = (cast(weight, kind), cast(bias, Kind::Float));
    let shape = [LibTorch::dims(input)[0], LibTorch::dims(&weight)[1]];
    let output = empty(shape, kind);
    let given = (activation == Activation::Gelu && keep).then(|| empty(shape, kind));
    let blocks = blocks(shape[0]);
    for_each(
        blocks.len(),
        || (),
        |(), index| {
            let block = blocks[index];
            let (input, output) = (rows(input, block), rows(&output, block));
            single_threaded(|| {
                let given = given.as_ref().map(|given| rows(given, block));
                let product = given.as_ref().unwrap_or(&output);
                // Not `addmm`, which does not heed the precision of products that was asked for.
                mm(product, &input, &whole(&weight));
                let output = given.as_ref().map(|_| &output);
                finish(product, &bias, activation, output);
            });
        },
    );
    (output, given)
}

/// Adds the bias to every row of a block and activates it, into `output` or where it stands.
#[allow(unsafe_code)]
fn finish(product: &Tensor, bias: &TchTensor, activation: Activation, output: Option<&Tensor>) {
    let bias = slice(&bias.tensor);
    // SAFETY: both blocks are this task's alone, and of different tensors.
    match product.kind() {
        Kind::Float => {
            let (product, output) = unsafe { (slice_mut(product), output.map(|o| slice_mut(o))) };
            linear::finish(product, bias, activation, output);
        }
        _ => {
            let (product, output) = unsafe { (halves_mut(product), output.map(|o| halves_mut(o))) };
            finish_half(product, bias, activation, output);
        }
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
    let by_rows = blocks(LibTorch::dims(input)[0]);
    let mut sums = vec![0.0f32; by_rows.len() * outputs];
    for_each_chunk(
        [(&mut sums, outputs)],
        || (),
        |(), index, [sums]| {
            let block = by_rows[index];
            let of_product = rows(&of_product, block);
            single_threaded(|| {
                if let Some(given) = given {
                    activate_backward(&rows(given, block), &rows(&grad, block), &of_product);
                }
                mm(&rows(&to_input, block), &of_product, &transposed(&weight));
                add_rows(sums, &of_product);
            });
        },
    );
    let to_weight = empty([inputs, outputs], kind);
    let by_columns = blocks(inputs);
    for_each(
        by_columns.len(),
        || (),
        |(), index| {
            let block = by_columns[index];
            let columns = columns(input, block).tr();
            single_threaded(|| mm(&rows(&to_weight, block), &columns, &whole(&of_product)));
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
