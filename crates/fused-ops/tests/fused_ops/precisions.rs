//! The kernels in `f32` and in `bf16` against the references in `f32`, in value and gradient and without dropout, whose
//! masks on a GPU are libtorch's own (`masks`). On a GPU this is what compares at all.

use burn::tensor::{DType, Tensor};
use fused_ops::{Activation, CuSeqlens, attention, dropout_add_layer_norm, linear, reference};
use torch_shim::{MatmulPrecision, set_float32_matmul_precision};

use super::support::{Outcome, matrix, outcome, vector};

const TOKENS: usize = 77;
const WIDTH: usize = 64;

/// Each operation's outcome with hidden states of a type, by the kernels or by the references.
fn outcomes(dtype: DType, kernels: bool) -> [Outcome; 4] {
    let matrices = [1, 2, 3].map(|seed| matrix(seed, [TOKENS, WIDTH]));
    let (weight, bias) = (matrix(4, [WIDTH, 96]), vector(5, 96));
    let (gamma, beta) = (vector(6, WIDTH), vector(7, WIDTH));
    // A backward pass uses up its graph: each operation has casts of its own.
    let cast = |index: usize| matrices[index].clone().cast(dtype);
    let single = |output: Tensor<2>| output.cast(DType::F32);
    let linears = [Activation::Identity, Activation::Gelu].map(|activation| {
        let op = if kernels { linear } else { reference::linear };
        let output = op(cast(0), weight.clone(), bias.clone(), activation);
        let inputs = [matrices[0].clone(), weight.clone()];
        outcome(&inputs, std::slice::from_ref(&bias), single(output))
    });
    let norm = match kernels {
        true => dropout_add_layer_norm,
        false => reference::dropout_add_layer_norm,
    };
    let normed = norm(cast(0), cast(1), gamma.clone(), beta.clone(), 1e-12, None);
    let normed = outcome(&matrices[..2], &[gamma, beta], single(normed));
    let attend = if kernels {
        attention
    } else {
        reference::attention
    };
    let lengths = CuSeqlens::new(&[1, 40, TOKENS - 41]);
    let attended = attend(cast(0), cast(1), cast(2), &lengths, 2, None);
    let attended = outcome(&matrices, &[], single(attended));
    let [plain, gelu] = linears;
    [plain, gelu, normed, attended]
}

/// One test, because the precision of `f32` products is the process's.
#[test]
fn equals_the_reference_up_to_its_rounding() {
    if !super::is_there() {
        return;
    }
    set_float32_matmul_precision(MatmulPrecision::Highest).unwrap();
    let expected = outcomes(DType::F32, false);
    // Sums of up to 77 products in another order; a GPU's attention adds up several TF32 products for one.
    for (ours, expected) in outcomes(DType::F32, true).iter().zip(&expected) {
        ours.assert_close(expected, 1e-4);
    }
    // 8 bits: relative to the largest number, 4e-3 in each of some roundings. They must show.
    for (ours, expected) in outcomes(DType::BF16, true).iter().zip(&expected) {
        ours.assert_close(expected, 4e-2);
        assert!(ours.distances(expected)[0] > 1e-5);
    }
}
