use std::any::Any;
use std::borrow::Cow;
use std::ops::Range;
#[cfg(target_arch = "x86_64")]
use std::sync::Arc;

use super::activation::Activation;
use super::activation_kernel::bias_activation;
#[cfg(target_arch = "x86_64")]
use crate::kernels::bf16_gemm::{PackedMatrix, gemm_bf16, gemm_bf16_packed};
use crate::kernels::gemm::{Matrix, Target, Threads, gemm, gemm_in};
#[cfg(target_arch = "x86_64")]
use crate::kernels::int8_gemm::{Instructions, QuantizedMatrix, gemm_int8};
use crate::kernels::parallel::{ROWS_PER_TASK, SharedBuffer, for_each_chunk};
use crate::precision::Precision;
use crate::weight_cache::WeightCache;

/// Linear layer arguments other than tensors.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    pub(super) activation: Activation,
    pub(super) precision: Precision,
    pub(super) weights: Option<WeightCache>,
}

impl Linear {
    /// In the precision of [`autocast`](crate::autocast), with the weights of [`WeightCache::scope`].
    pub(super) fn new(activation: Activation) -> Self {
        Self {
            activation,
            precision: Precision::current(),
            weights: WeightCache::current(),
        }
    }
}

/// The right matrix of a linear layer's matmul.
pub(super) enum Weight<'a> {
    F32(&'a [f32]),
    /// Packed in its matmul.
    #[cfg(target_arch = "x86_64")]
    Bf16(&'a [f32]),
    #[cfg(target_arch = "x86_64")]
    PackedBf16(Arc<PackedMatrix>),
    #[cfg(target_arch = "x86_64")]
    Int8(Instructions, Arc<QuantizedMatrix>),
}

/// Layers with fewer outputs stay in `f32`: quantising their input costs more than it saves, and their outputs are logits.
#[cfg(target_arch = "x86_64")]
const INT8_OUTPUTS: usize = 32;

impl<'a> Weight<'a> {
    /// `[inputs, outputs]` in `values`, the elements of `tensor`. Where there will be a backward pass (`save`), nothing is
    /// cached: an optimizer step follows.
    #[expect(clippy::ptr_arg, reason = "a copy is not cached")]
    pub(super) fn new(
        args: &Linear,
        tensor: &(impl Any + Send + Clone),
        values: &'a Cow<'_, [f32]>,
        [inputs, outputs]: [usize; 2],
        save: bool,
    ) -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let matrix = || Matrix::new(values, inputs, outputs, outputs);
            match (args.precision, args.weights.as_ref().filter(|_| !save)) {
                (Precision::Bf16, cache) if args.precision.is_available() => {
                    let Some(cache) = cache else {
                        return Self::Bf16(values);
                    };
                    let pack = || PackedMatrix::new(matrix());
                    return Self::PackedBf16(cache.get(tensor, values, args.precision, pack));
                }
                (Precision::Int8, cache) if outputs >= INT8_OUTPUTS && !save => {
                    if let Some(instructions) = Instructions::best() {
                        let pack = || QuantizedMatrix::new(matrix());
                        let packed = match cache {
                            Some(cache) => cache.get(tensor, values, args.precision, pack),
                            None => Arc::new(pack()),
                        };
                        return Self::Int8(instructions, packed);
                    }
                }
                _ => {}
            }
        }
        let _ = (args, tensor, inputs, outputs, save);
        Self::F32(values)
    }
}

/// Fills `output`, `[rows, out]`, with `activation(input [rows, in] · weight [in, out] + bias)`, and `pre_activation`, if
/// given, with what the activation is applied to.
pub(super) fn forward(
    input: &[f32],
    weight: Weight<'_>,
    bias: &[f32],
    args: &Linear,
    output: &mut [f32],
    pre_activation: Option<&mut [f32]>,
) {
    let outputs = bias.len();
    let rows = output.len() / outputs.max(1);
    let inputs = input.len() / rows.max(1);
    let left = Matrix::new(input, rows, inputs, inputs);
    let right = |weight| Matrix::new(weight, inputs, outputs, outputs);
    let (matmul, output) = match pre_activation {
        Some(pre_activation) => (pre_activation, Some(SharedBuffer::new(output))),
        None => (output, None),
    };
    // Bias and activation of a row of the matmul, or of some of its columns.
    let epilogue = |row: usize, columns: Range<usize>, sums: &mut [f32]| {
        let elements = row * outputs + columns.start..row * outputs + columns.end;
        // SAFETY: every element of the matmul is passed to one call, and the output has the same shape.
        #[allow(unsafe_code)]
        let output = output.as_ref().map(|all| unsafe { all.part(elements) });
        bias_activation(sums, &bias[columns], args.activation, output);
    };
    let target = Target::new(matmul, outputs);
    match weight {
        Weight::F32(weight) => {
            gemm(target, left, right(weight), Threads::All);
            for_each_chunk(
                [(matmul, ROWS_PER_TASK * outputs)],
                || (),
                |(), task, [block]| {
                    let rows = block.chunks_exact_mut(outputs);
                    for (row, sums) in (task * ROWS_PER_TASK..).zip(rows) {
                        epilogue(row, 0..outputs, sums);
                    }
                },
            );
        }
        #[cfg(target_arch = "x86_64")]
        Weight::Bf16(weight) => {
            gemm_bf16(target, left, right(weight), Threads::All, Some(&epilogue));
        }
        #[cfg(target_arch = "x86_64")]
        Weight::PackedBf16(weight) => {
            gemm_bf16_packed(target, left, &weight, Some(&epilogue));
        }
        #[cfg(target_arch = "x86_64")]
        Weight::Int8(instructions, weight) => {
            gemm_int8(instructions, target, left, &weight, Some(&epilogue));
        }
    }
}

/// Fills the gradients of input and weight from that of `input · weight + bias`, `[rows, outputs]`.
pub(super) fn backward(
    input: &[f32],
    weight: &[f32],
    grad: &[f32],
    outputs: usize,
    precision: Precision,
    [grad_input, grad_weight]: [&mut [f32]; 2],
) {
    let (inputs, rows) = (weight.len() / outputs.max(1), grad.len() / outputs.max(1));
    let grad = Matrix::new(grad, rows, outputs, outputs);
    gemm_in(
        precision,
        Target::new(grad_input, inputs),
        grad,
        Matrix::new(weight, inputs, outputs, outputs).transposed(),
        Threads::All,
    );
    gemm_in(
        precision,
        Target::new(grad_weight, outputs),
        Matrix::new(input, rows, inputs, inputs).transposed(),
        grad,
        Threads::All,
    );
}
