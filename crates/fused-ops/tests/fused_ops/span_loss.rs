use burn::tensor::{Tensor, TensorData};
use fused_ops::{CuSeqlens, pad_span_logits, reference, span_loss};
use proptest::prelude::*;

use super::support::{device, distance, numbers, values};

/// Loss and gradient of the logits from the definition, in double precision.
fn scalar(logits: &[f32], lengths: &[usize], positions: &[(usize, usize)]) -> (f64, Vec<f64>) {
    let mut loss = 0.0;
    let mut gradient = vec![0.0; logits.len()];
    let mut first = 0;
    for (len, position) in lengths.iter().zip(positions) {
        for (side, target) in [position.0, position.1].into_iter().enumerate() {
            let index = |i: usize| 2 * (first + i) + side;
            let exponentials: Vec<f64> = (0..*len)
                .map(|i| f64::from(logits[index(i)]).exp())
                .collect();
            let total: f64 = exponentials.iter().sum();
            loss -= 0.5 * (exponentials[target] / total).ln();
            for (i, exponential) in exponentials.iter().enumerate() {
                gradient[index(i)] += 0.5 * exponential / total;
            }
            gradient[index(target)] -= 0.5;
        }
        first += len;
    }
    (loss, gradient)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() })]
    #[test]
    fn span_loss_equals_its_definition(
        features in prop::collection::vec((1usize..30).prop_flat_map(|len| (Just(len), 0..len, 0..len)), 1..7),
    ) {
        let lengths: Vec<usize> = features.iter().map(|feature| feature.0).collect();
        let starts: Vec<_> = features.iter().map(|feature| feature.1).collect();
        let ends: Vec<_> = features.iter().map(|feature| feature.2).collect();
        let positions: Vec<_> = features.iter().map(|feature| (feature.1, feature.2)).collect();
        let cu_seqlens = CuSeqlens::new(&lengths);
        let numbers: Vec<f32> = numbers(5, 2 * cu_seqlens.tokens()).iter().map(|x| 3.0 * x).collect();
        let data = TensorData::new(numbers.clone(), [cu_seqlens.tokens(), 2]);
        let (expected, expected_gradient) = scalar(&numbers, &lengths, &positions);
        let expected_gradient: Vec<f32> = expected_gradient.iter().map(|x| 3.0 * *x as f32).collect();
        for op in [span_loss, reference::span_loss] {
            let logits = Tensor::<2>::from_data(data.clone(), &device()).require_grad();
            let loss = op(logits.clone(), &cu_seqlens, &starts, &ends);
            // The loss is scaled, so the gradient that comes in is not 1.
            let gradient = logits.grad(&(loss.clone() * 3.0).backward()).unwrap();
            // Rounding of a few terms near 1 in `f32`.
            prop_assert!((f64::from(loss.into_scalar::<f32>()) - expected).abs() < 1e-5 * (1.0 + expected));
            prop_assert!(distance(&values(&gradient), &expected_gradient) < 3e-6);
        }
    }
}

#[test]
#[should_panic(expected = "logits of all tokens")]
fn logits_of_more_tokens_than_the_features_have_panic() {
    let logits = Tensor::zeros([5, 2], &device());
    span_loss(logits, &CuSeqlens::new(&[1, 3]), &[0, 2], &[0, 2]);
}

#[test]
fn argmax_ignores_padding() {
    let lengths = CuSeqlens::new(&[1, 3]);
    let logits: Vec<f32> = (0..8).map(|i| -100.0 - i as f32).collect();
    let data = TensorData::new(logits, [4, 2]);
    let padded = pad_span_logits(Tensor::from_data(data, &device()), &lengths);
    assert_eq!(padded.dims(), [2, 2, 3]);
    let best: Vec<i64> = padded.argmax(2).to_data().iter::<i64>().collect();
    assert_eq!(best, [0, 0, 0, 0]);
}
