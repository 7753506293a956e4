//! What holds for the dropout masks of any generator: the backward pass uses the mask of the forward pass, the share
//! dropped is the one asked for, and another key gives another mask.

use burn::tensor::{Tensor, TensorData};
use fused_ops::{CuSeqlens, Dropout, attention, dropout_add_layer_norm};

use super::support::{device, dropout, matrix, values, vector};

/// A function of three matrices of one shape.
type Op = fn([Tensor<2>; 3], Option<Dropout>) -> Tensor<2>;

const SHAPE: [usize; 2] = [60, 32];

fn norm([input, residual, _]: [Tensor<2>; 3], dropout: Option<Dropout>) -> Tensor<2> {
    let (gamma, beta) = (vector(3, SHAPE[1]), vector(4, SHAPE[1]));
    dropout_add_layer_norm(input, residual, gamma, beta, 1e-12, dropout)
}

fn attend([query, key, value]: [Tensor<2>; 3], dropout: Option<Dropout>) -> Tensor<2> {
    attention(query, key, value, &CuSeqlens::new(&[23, 37]), 2, dropout)
}

/// The slope of a weighted sum of the output along a direction of the inputs: measured, and from the gradients.
fn slopes(op: Op, drop: Option<Dropout>, gradients_with: Option<Dropout>) -> [f64; 2] {
    let inputs = [1, 2, 3].map(|seed| matrix(seed, SHAPE));
    let directions = [11, 12, 13].map(|seed| matrix(seed, SHAPE).detach());
    let weights = matrix(99, SHAPE).detach();
    let weighted = |inputs, drop| (op(inputs, drop) * weights.clone()).sum();
    let at = |step: f64| {
        let mut moved = inputs.iter().zip(&directions);
        let moved = [(); 3].map(|()| {
            let (input, direction) = moved.next().expect("three of each");
            input.clone().detach() + direction.clone() * step
        });
        f64::from(weighted(moved, drop).into_scalar::<f32>())
    };
    let step = 1e-2;
    let slope = (at(step) - at(-step)) / (2.0 * step);
    let gradients = weighted(inputs.clone(), gradients_with).backward();
    let parts = inputs
        .iter()
        .zip(directions)
        .filter_map(|(input, direction)| {
            Some(
                (input.grad(&gradients)? * direction.inner())
                    .sum()
                    .into_scalar::<f32>(),
            )
        });
    [slope, parts.map(f64::from).sum()]
}

pub(crate) fn check_backward_uses_the_mask_of_the_forward_pass() {
    for op in [norm as Op, attend] {
        let [slope, gradient] = slopes(op, dropout(0.3, 5), dropout(0.3, 5));
        // A difference of sums of 1,920 numbers in `f32`, divided by a step of 1e-2.
        let error = (slope - gradient).abs();
        assert!(error < 1e-2 * (1.0 + slope.abs()), "{slope} and {gradient}");
        // The gradients of another mask differ.
        let [slope, gradient] = slopes(op, dropout(0.3, 5), dropout(0.3, 6));
        let error = (slope - gradient).abs();
        assert!(error > 3e-2 * (1.0 + slope.abs()), "{slope} and {gradient}");
    }
}

/// With equal keys and equal values, an output is the scaled share of probabilities kept.
pub(crate) fn check_attention_drops_the_share_asked_for() {
    let full = |number: f32| {
        Tensor::<2>::from_data(
            TensorData::new(vec![number; 300 * 16], [300, 16]),
            &device(),
        )
    };
    let cu_seqlens = CuSeqlens::new(&[300]);
    let run = |site| {
        let drop = dropout(0.1, site);
        values(&attention(
            full(0.0),
            full(0.0),
            full(1.0),
            &cu_seqlens,
            2,
            drop,
        ))
    };
    let kept = run(5);
    let mean = kept.iter().sum::<f32>() / kept.len() as f32;
    // Of 180,000 probabilities: standard deviation 0.0008.
    assert!((mean - 1.0).abs() < 0.004, "{mean}");
    assert!(
        kept.iter().any(|value| (value - 1.0).abs() > 0.01),
        "nothing was dropped"
    );
    assert_eq!(run(5), kept);
    assert_ne!(run(6), kept);
}
