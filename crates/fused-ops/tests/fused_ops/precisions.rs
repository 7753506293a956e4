//! The kernels in `f32` and in `bf16` against the references in `f32`, in value and gradient. Without dropout, whose masks
//! on a GPU are libtorch's own.

use burn::tensor::{DType, Tensor};
use fused_ops::{Activation, CuSeqlens, attention, dropout_add_layer_norm, linear, reference};
use torch_shim::{MatmulPrecision, set_float32_matmul_precision};

use super::support::{Outcome, matrix, outcome, vector};

const TOKENS: usize = 77;
const WIDTH: usize = 64;

/// The outcome of each operation with hidden states of a type, by the kernels or by the references.
fn outcomes(dtype: DType, kernels: bool) -> [Outcome; 4] {
    let matrices = [1, 2, 3].map(|seed| matrix(seed, [TOKENS, WIDTH]));
    let (weight, bias) = (matrix(4, [WIDTH, 96]), vector(5, 96));
    let (gamma, beta) = (vector(6, WIDTH), vector(7, WIDTH));
    // A backward pass consumes its graph, so each operation has its own casts.
    let cast = |index: usize| matrices[index].clone().cast(dtype);
    let single = |output: Tensor<2>| output.cast(DType::F32);
    let linears = [Activation::Identity, Activation::Gelu].map(|activation| {
        let op = if kernels { linear } else { reference::linear };
        let output = op(cast(0), weight.clone(), bias.clone(), activation);
        let inputs = [matrices[0].clone(), weight.clone()];
        outcome(&inputs, std::slice::from_ref(&bias), single(output))
    });
    let norm = if kernels {
        dropout_add_layer_norm
    } else {
        reference::dropout_add_layer_norm
    };
    let normed = norm(cast(0), cast(1), gamma.clone(), beta.clone(), 1e-12, None);
    let normed = outcome(&matrices[..2], &[gamma, beta], single(normed));
    let attend = if kernels {
        attention
    } else {
        reference::attention
    };
    let cu_seqlens = CuSeqlens::new(&[1, 40, TOKENS - 41]);
    let attended = attend(cast(0), cast(1), cast(2), &cu_seqlens, 2, None);
    let attended = outcome(&matrices, &[], single(attended));
    let [plain, gelu] = linears;
    [plain, gelu, normed, attended]
}

/// One check, because the precision of `f32` matmuls is a setting of the process.
pub(crate) fn check_operations_equal_the_reference_up_to_rounding() {
    set_float32_matmul_precision(MatmulPrecision::Highest).unwrap();
    let expected = outcomes(DType::F32, false);
    // Sums of up to 77 products in another order; a GPU's attention emulates `f32` by several TF32 products.
    for (ours, expected) in outcomes(DType::F32, true).iter().zip(&expected) {
        ours.assert_close(expected, 1e-4);
    }
    // `bf16` has 8 bits: a few roundings of 4e-3, relative to the largest number, which must show.
    for (ours, expected) in outcomes(DType::BF16, true).iter().zip(&expected) {
        ours.assert_close(expected, 4e-2);
        assert!(ours.distances(expected)[0] > 1e-5);
    }
}
