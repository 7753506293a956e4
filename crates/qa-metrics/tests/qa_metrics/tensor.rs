//! Span metrics on the device equal the scalar ones.

use burn::tensor::{Device, FloatDType, Int, IntDType, Tensor};
use proptest::prelude::*;
use qa_metrics::{SpanMetrics, TokenSpans, span_exact_match, span_f1, span_sums};

/// The devices that the tests run on.
#[allow(deprecated)] // Burn marks LibTorch as superseded; this project runs on it.
fn devices() -> Vec<Device> {
    vec![
        Device::default(),
        #[cfg(feature = "flex")]
        Device::flex(),
        #[cfg(feature = "tch")]
        Device::libtorch(),
    ]
}

/// First and last token.
type Span = (usize, usize);

fn token_spans(spans: &[Span], device: &Device) -> TokenSpans {
    let column = |position: fn(&Span) -> usize| {
        let positions: Vec<i32> = spans.iter().map(|span| position(span) as i32).collect();
        Tensor::<1, Int>::from_ints(positions.as_slice(), device)
    };
    TokenSpans {
        start: column(|span| span.0),
        end: column(|span| span.1),
    }
}

fn unzip(batch: &[(Span, Span)], device: &Device) -> (TokenSpans, TokenSpans) {
    let (prediction, gold): (Vec<Span>, Vec<Span>) = batch.iter().copied().unzip();
    (token_spans(&prediction, device), token_spans(&gold, device))
}

/// Pairs of spans, half of them equal.
fn batch() -> impl Strategy<Value = Vec<(Span, Span)>> {
    let span = || (0_usize..20, 0_usize..20);
    let pair = (span(), span(), any::<bool>());
    prop::collection::vec(
        pair.prop_map(|(a, b, same)| if same { (b, b) } else { (a, b) }),
        0..20,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_device_agrees_with_the_scalar_form(batches in prop::collection::vec(batch(), 0..5)) {
        let pairs: Vec<(Span, Span)> = batches.concat();
        let (mut exact, mut f1) = (0.0, 0.0);
        for (prediction, gold) in &pairs {
            exact += f64::from(span_exact_match(prediction.0..=prediction.1, gold.0..=gold.1));
            f1 += span_f1(prediction.0..=prediction.1, gold.0..=gold.1);
        }
        let count = pairs.len().max(1) as f64;
        for device in devices() {
            let mut metrics = SpanMetrics::new();
            for batch in &batches {
                let (prediction, gold) = unzip(batch, &device);
                metrics.update(prediction, gold);
            }
            let scores = metrics.into_scores().unwrap();
            prop_assert_eq!(scores.total, pairs.len());
            // Whole numbers are exact in f32; the F1 sum has at most 100 rounded fractions.
            prop_assert_eq!(scores.exact_match, exact / count);
            prop_assert!((scores.f1 - f1 / count).abs() <= 1e-5, "{} {}", scores.f1, f1 / count);
        }
    }
}

const BATCH: [(Span, Span); 4] = [
    ((3, 5), (3, 5)),
    ((3, 6), (5, 8)),
    ((5, 3), (3, 5)),
    ((0, 0), (7, 9)),
];

#[test]
fn sums_are_f32_whatever_the_integer_type() {
    // Burn's LibTorch has one integer type.
    let other = if cfg!(feature = "tch") {
        IntDType::I64
    } else {
        IntDType::I32
    };
    for device in devices() {
        let (prediction, gold) = unzip(&BATCH, &device);
        let as_other = TokenSpans {
            start: prediction.start.clone().cast(other),
            end: prediction.end.clone().cast(other),
        };
        for prediction in [prediction, as_other] {
            let sums = span_sums(prediction, gold.clone());
            assert_eq!(FloatDType::from(sums.dtype()), FloatDType::F32);
            assert_eq!(sums.try_into_vec_as::<f32>().unwrap(), [1.0, 1.5]);
        }
    }
}

#[test]
fn spans_of_an_autodiff_device_leave_no_graph() {
    for device in devices() {
        let plain = device.without_autodiff();
        let autodiff = plain.clone().autodiff();
        let (prediction, _) = unzip(&BATCH, &autodiff);
        let (_, gold) = unzip(&BATCH, &plain);
        let sums = span_sums(prediction, gold);
        assert!(!sums.is_autodiff());
        assert_eq!(sums.try_into_vec_as::<f32>().unwrap(), [1.0, 1.5]);
    }
}

#[test]
#[should_panic(expected = "spans must be of one batch")]
fn a_single_gold_span_is_not_broadcast() {
    let device = Device::default();
    let (prediction, gold) = unzip(&BATCH, &device);
    let (first, _) = unzip(&BATCH[..1], &device);
    let _ = span_sums(
        prediction,
        TokenSpans {
            start: gold.start,
            end: first.end,
        },
    );
}

#[test]
fn empty_batches_change_nothing() {
    for device in devices() {
        let (prediction, gold) = unzip(&[], &device);
        let sums = span_sums(prediction, gold);
        assert_eq!(sums.try_into_vec_as::<f32>().unwrap(), [0.0, 0.0]);

        let mut metrics = SpanMetrics::new();
        for batch in [&[][..], &BATCH, &[]] {
            let (prediction, gold) = unzip(batch, &device);
            metrics.update(prediction, gold);
        }
        let scores = metrics.into_scores().unwrap();
        assert_eq!(
            (scores.exact_match, scores.f1, scores.total),
            (0.25, 0.375, 4)
        );
    }
}

#[test]
#[should_panic(expected = "spans must be of one batch")]
fn a_batch_without_gold_spans_is_rejected() {
    let device = Device::default();
    let (prediction, _) = unzip(&BATCH, &device);
    let (_, gold) = unzip(&[], &device);
    SpanMetrics::new().update(prediction, gold);
}
