use burn::tensor::{Tensor, TensorData};
use fused_ops::{AdamW, adamw_step, reference, sum_of_squares};

use super::support::{distance, numbers, values, vector};

/// More than one chunk, and not a multiple of a chunk.
const ELEMENTS: usize = 40_001;

type Op =
    fn(Tensor<1>, Tensor<1>, (Tensor<1>, Tensor<1>), &AdamW) -> (Tensor<1>, (Tensor<1>, Tensor<1>));

fn tensor(seed: u64) -> Tensor<1> {
    Tensor::from_data(
        TensorData::new(numbers(seed, ELEMENTS), [ELEMENTS]),
        &super::device(),
    )
}

/// Parameter and moments after five steps.
fn five_steps(op: Op, weight_decay: f64) -> [Vec<f32>; 3] {
    let mut parameter = tensor(1);
    let mut moments = (parameter.zeros_like(), parameter.zeros_like());
    for step in 1..=5 {
        let adamw = AdamW {
            learning_rate: 1e-2,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay,
            step,
            gradient_scale: 0.5,
        };
        (parameter, moments) = op(parameter, tensor(u64::from(step) + 1), moments, &adamw);
    }
    [values(&parameter), values(&moments.0), values(&moments.1)]
}

#[test]
fn adamw_equals_the_reference_over_five_steps() {
    let ours = five_steps(adamw_step, 0.01);
    for (ours, reference) in ours.iter().zip(five_steps(reference::adamw_step, 0.01)) {
        // A few roundings of numbers near 1 in each of five steps.
        assert!(distance(ours, &reference) < 2e-6);
    }
    let without_decay = five_steps(reference::adamw_step, 0.0);
    assert!(
        distance(&ours[0], &without_decay[0]) > 1e-4,
        "weight decay has no effect"
    );
}

/// Adam's first step moves every parameter by the learning rate, against the gradient's sign.
#[test]
fn the_first_step_moves_by_the_learning_rate() {
    let adamw = AdamW {
        learning_rate: 0.1,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-12,
        weight_decay: 0.0,
        step: 1,
        gradient_scale: 1.0,
    };
    let parameter = tensor(1);
    let zeros = || parameter.zeros_like();
    let (moved, _) = adamw_step(parameter.clone(), tensor(2), (zeros(), zeros()), &adamw);
    let expected = parameter.clone() - tensor(2).sign() * 0.1;
    assert!(distance(&values(&moved), &values(&expected)) < 1e-5);
    assert_eq!(
        values(&parameter),
        numbers(1, ELEMENTS),
        "a shared tensor was changed in place"
    );
}

#[test]
fn sum_of_squares_equals_double_precision() {
    let exact: f64 = numbers(4, ELEMENTS)
        .iter()
        .map(|x| f64::from(*x).powi(2))
        .sum();
    let ours = f64::from(sum_of_squares(tensor(4)).into_scalar::<f32>());
    assert!((ours - exact).abs() / exact < 1e-6, "{ours} and {exact}");
}

#[test]
fn the_gradient_of_sum_of_squares_is_twice_the_tensor() {
    let input = vector(4, ELEMENTS);
    let gradients = (sum_of_squares(input.clone()) * 3.0).backward();
    let gradient = values(&input.grad(&gradients).unwrap());
    assert!(distance(&gradient, &values(&(input.detach() * 6.0))) < 1e-6);
}
