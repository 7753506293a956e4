//! What has CPU forms in libtorch, on tensors in host memory, against the kernels for these.

use burn::backend::LibTorch;
use tch::Device;

use super::*;
use crate::{DropoutKey, host, libtorch};

/// Of the largest number: sums of some hundred products, in another order.
const TOLERANCE: f64 = 2e-6;
const SHAPE: [i64; 2] = [200, 96];

/// Numbers in -1..1, the same every time.
fn numbers(seed: f64, shape: &[i64]) -> TchTensor {
    let places = Tensor::arange(shape.iter().product::<i64>(), (Kind::Float, Device::Cpu));
    TchTensor::new((places * 0.7 + seed).sin().reshape(shape))
}

/// The largest difference, relative to the largest number (at least 1).
fn distance(left: &Tensor, right: &Tensor) -> f64 {
    assert_eq!(left.size(), right.size());
    let largest = |tensor: Tensor| tensor.abs().max().double_value(&[]);
    let difference = left.to_kind(Kind::Float) - right.to_kind(Kind::Float);
    largest(difference) / largest(right.to_kind(Kind::Float)).max(1.0)
}

#[track_caller]
fn assert_close(ours: &[TchTensor], others: &[TchTensor], tolerance: f64) {
    for (place, (ours, other)) in ours.iter().zip(others).enumerate() {
        let distance = distance(&ours.tensor, &other.tensor);
        assert!(distance < tolerance, "tensor {place} differs by {distance}");
    }
}

#[test]
fn the_gradient_of_embeddings_is_that_of_the_cpu() {
    let grad = numbers(1.0, &SHAPE);
    let ids: Vec<i64> = (0..SHAPE[0]).map(|token| token * token % 37).collect();
    let gradient = |ids: &[i64], of_gpu: bool| {
        let ids = TchTensor::new(Tensor::from_slice(ids));
        match of_gpu {
            true => embedding_backward(&ids, &grad, 50),
            false => host::embedding_backward::<LibTorch>(&ids, &grad, 50),
        }
    };
    let (ours, expected) = (gradient(&ids, true), gradient(&ids, false));
    assert_close(&[ours], std::slice::from_ref(&expected), TOLERANCE);
    let other = gradient(&vec![3; ids.len()], true);
    assert!(distance(&other.tensor, &expected.tensor) > 1e-2);
}

/// Output and gradients of a linear layer on this file's functions, and on the CPU's.
fn linear_layers(activation: Activation, kind: Kind) -> [Vec<TchTensor>; 2] {
    let input = cast(&numbers(1.0, &SHAPE), kind);
    let weight = TchTensor::new(numbers(2.0, &[96, 130]).tensor * 0.1);
    let bias = numbers(3.0, &[130]);
    let grad = cast(&numbers(4.0, &[200, 130]), kind);
    let of_gpu = {
        let (output, given) = linear(&input, &weight, &bias, activation, true);
        let gradients = linear_backward(&input, &weight, given.as_ref(), grad.clone());
        [vec![output], gradients.into()].concat()
    };
    let (output, given) = libtorch::linear::forward(&input, &weight, &bias, activation, true);
    let gradients = libtorch::linear::backward(&input, &weight, given.as_ref(), grad);
    [of_gpu, [vec![output], gradients.into()].concat()]
}

#[test]
fn linear_is_that_of_the_cpu() {
    let [plain, expected] = linear_layers(Activation::Identity, Kind::Float);
    assert_close(&plain, &expected, TOLERANCE);
    let [gelu, expected] = linear_layers(Activation::Gelu, Kind::Float);
    assert_close(&gelu, &expected, TOLERANCE);
    for (plain, gelu) in plain.iter().zip(&gelu) {
        assert!(distance(&plain.tensor, &gelu.tensor) > 1e-2);
    }
}

/// Weights and their gradients stay `f32`; what is rounded to `bf16` has 8 bits.
#[test]
fn linear_in_bf16_is_that_in_f32_up_to_its_rounding() {
    let [half, _] = linear_layers(Activation::Gelu, Kind::BFloat16);
    let kinds = half.iter().map(|tensor| tensor.tensor.kind());
    let expected = [Kind::BFloat16, Kind::BFloat16, Kind::Float, Kind::Float];
    assert!(kinds.eq(expected), "{half:?}");
    let [single, _] = linear_layers(Activation::Gelu, Kind::Float);
    // Gradients of weight and bias add up 200 numbers near 1, each rounded to 4e-3, which nearly cancel.
    let limits = [2e-2, 2e-2, 1e-1, 1e-1];
    for ((half, single), limit) in half.iter().zip(&single).zip(limits) {
        let share = distance(&half.tensor, &single.tensor);
        assert!(share > 1e-5 && share < limit, "{share}");
    }
}

fn norm_inputs() -> [TchTensor; 4] {
    let [input, residual] = [1.0, 2.5].map(|seed| numbers(seed, &SHAPE));
    [input, residual, numbers(3.0, &[96]), numbers(4.0, &[96])]
}

fn norm_settings(dropout: Option<Dropout>) -> norm::Settings {
    let eps = 1e-12;
    norm::Settings { eps, dropout }
}

#[test]
fn layer_norm_is_that_of_the_cpu() {
    let (inputs, settings) = (norm_inputs(), norm_settings(None));
    let (gamma, grad) = (&inputs[2], numbers(5.0, &SHAPE));
    let (output, kept) = layer_norm(inputs.each_ref(), &settings);
    let (expected, expected_kept) = host::layer_norm::<LibTorch>(inputs.each_ref(), &settings);
    assert_close(&[output], &[expected], TOLERANCE);
    let ours = layer_norm_backward(gamma, &kept, &grad, &settings);
    let expected = host::layer_norm_backward::<LibTorch>(gamma, &expected_kept, &grad, &settings);
    assert_close(&ours, &expected, TOLERANCE);
    // The comparison sees another epsilon.
    let (other, _) = layer_norm(
        inputs.each_ref(),
        &norm::Settings {
            eps: 1e-2,
            ..settings
        },
    );
    let (same, _) = layer_norm(inputs.each_ref(), &settings);
    assert!(distance(&other.tensor, &same.tensor) > 1e-3);
}

/// Which inputs the forward pass let through, and which gradients the backward pass did.
fn masks(step: u32) -> [Tensor; 2] {
    let key = DropoutKey {
        seed: 3,
        rank: 0,
        micro_batch: 0,
        step,
        site: 1,
    };
    let settings = norm_settings(Dropout::new(0.1, key));
    let inputs = norm_inputs();
    let (_, kept) = layer_norm(inputs.each_ref(), &settings);
    let through = (&kept[0].tensor - &inputs[1].tensor).abs().gt(1e-6);
    let grad = numbers(5.0, &SHAPE);
    let [to_input, to_residual, ..] = layer_norm_backward(&inputs[2], &kept, &grad, &settings);
    // What is let through is scaled by 1 / 0.9.
    let scaled = &to_residual.tensor * to_input.tensor.ne(0.0) / 0.9;
    assert!(distance(&to_input.tensor, &scaled) < 1e-6);
    [through, to_input.tensor.ne(0.0)]
}

/// One test, because the generator is libtorch's only one.
#[test]
fn dropout_is_drawn_from_its_key_and_the_same_in_the_backward_pass() {
    let [forward, backward] = masks(1);
    assert_eq!(forward, backward);
    let dropped = 1.0
        - forward
            .to_kind(Kind::Float)
            .mean(Kind::Float)
            .double_value(&[]);
    // Standard deviation of the share of 19,200 elements: 0.0022.
    assert!((dropped - 0.1).abs() < 0.01, "{dropped}");
    assert_eq!(masks(1)[0], forward);
    assert_ne!(masks(2)[0], forward);
}

#[test]
fn adamw_is_that_of_the_cpu_and_changes_nothing_that_is_shared() {
    let tensors = || {
        let [parameter, first, second] = [1.0, 2.0, 3.0].map(|seed| numbers(seed, &[40_001]));
        // A mean of squares.
        [parameter, first, TchTensor::new(second.tensor.square())]
    };
    let constants = AdamW {
        learning_rate: 1e-2,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.01,
        step: 3,
        gradient_scale: 0.5,
    };
    let gradient = numbers(4.0, &[40_001]);
    let shared = tensors();
    let ours = adamw_step(shared.clone(), gradient.clone(), &constants);
    assert_close(&shared, &tensors(), 1e-30);
    assert_close(
        std::slice::from_ref(&gradient),
        &[numbers(4.0, &[40_001])],
        1e-30,
    );
    let expected = host::adamw_step::<LibTorch>(tensors(), &gradient, &constants);
    // Steps are large where the second moment is small.
    assert_close(&ours, &expected, 1e-5);
    let whole = AdamW {
        gradient_scale: 1.0,
        ..constants
    };
    let other = adamw_step(tensors(), gradient, &whole);
    assert!(distance(&other[1].tensor, &ours[1].tensor) > 1e-2);
}
