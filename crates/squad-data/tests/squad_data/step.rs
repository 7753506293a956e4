//! `StrideKind::Step` equals a plain implementation of Google's run_squad.py: its loop over spans and its rule of maximum
//! context.

use std::collections::HashMap;

use proptest::prelude::*;
use squad_data::{
    AnswerOptions, Example, Feature, FeatureOptions, QaTokenizer, SpanLogits, StrideKind,
    extract_answers, make_features,
};

use crate::common::small_tokenizer;
use crate::real_data::{dataset, tokenizer};

/// First token and length.
type Span = (usize, usize);

/// The script's `doc_spans`.
fn doc_spans(num_context: usize, room: usize, doc_stride: usize) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut start = 0;
    while start < num_context {
        let length = (num_context - start).min(room);
        spans.push((start, length));
        if start + length == num_context {
            break;
        }
        start += length.min(doc_stride);
    }
    spans
}

/// The span for which `_check_is_max_context` is true: the first with the highest score.
fn best_span<S: PartialOrd>(
    spans: &[Span],
    token: usize,
    score: impl Fn(usize, usize) -> S,
) -> usize {
    let mut best: Option<(S, usize)> = None;
    for (index, &(start, length)) in spans.iter().enumerate() {
        if (start..start + length).contains(&token) {
            let least = (token - start).min(start + length - 1 - token);
            let score = score(least, length);
            if best.as_ref().is_none_or(|(highest, _)| score > *highest) {
                best = Some((score, index));
            }
        }
    }
    best.unwrap().1
}

fn script_score(least: usize, length: usize) -> f64 {
    least as f64 + 0.01 * length as f64
}

fn exact_score(least: usize, length: usize) -> usize {
    100 * least + length
}

fn step(max_seq_length: usize, doc_stride: usize) -> FeatureOptions {
    FeatureOptions {
        max_seq_length,
        doc_stride,
        stride: StrideKind::Step,
        ..FeatureOptions::default()
    }
}

/// Features of a question of one token and a context of `num_context` times "king", with room for `room` of them.
fn repeated_king(
    tokenizer: &QaTokenizer,
    num_context: usize,
    room: usize,
    doc_stride: usize,
) -> Vec<Feature> {
    let example = Example::new("q", "who", "king ".repeat(num_context));
    let options = step(room + 4, doc_stride);
    make_features(&[example], tokenizer, &options).unwrap()
}

/// A feature's window, and the tokens of the context at which its answers may begin.
fn span_and_part(feature: &Feature) -> (Span, std::ops::Range<usize>) {
    let start = feature.offsets[0].0 as usize / "king ".len();
    let token = |position: usize| position - feature.context.start + start;
    let part = token(feature.max_context.start)..token(feature.max_context.end);
    ((start, feature.context.len()), part)
}

/// Whether windows and `max_context` are the script's, if it compares spans by `score`.
fn agrees<S: PartialOrd>(
    features: &[Feature],
    spans: &[Span],
    score: impl Fn(usize, usize) -> S,
) -> bool {
    let ours: Vec<_> = features.iter().map(span_and_part).collect();
    let num_context = spans.last().map_or(0, |(start, length)| start + length);
    ours.iter().map(|(span, _)| span).eq(spans)
        && (0..num_context).all(|token| {
            let owners = (0..ours.len()).filter(|&index| ours[index].1.contains(&token));
            owners.eq([best_span(spans, token, &score)])
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// `max_context` is a range, so agreement also shows that the script's tokens of a window have no gaps.
    #[test]
    fn windows_and_max_context_are_the_scripts(
        num_context in 1..500usize, room in 1..200usize, stride in any::<prop::sample::Index>(),
    ) {
        // Multiples of 101: see the next test.
        let doc_stride = 1 + stride.index(room);
        prop_assume!(doc_stride % 101 != 0);
        let features = repeated_king(&small_tokenizer(), num_context, room, doc_stride);
        prop_assert!(agrees(&features, &doc_spans(num_context, room, doc_stride), script_score));
    }
}

/// At multiples of 101 the script's sums round differently for equal scores. Ours are equal.
#[test]
fn the_scripts_rounding_is_not_copied() {
    let tokenizer = small_tokenizer();
    let mut others = 0;
    for (room, num_context) in [(118, 119), (169, 170), (211, 312), (313, 415)] {
        for doc_stride in [101, 202] {
            if doc_stride <= room {
                let features = repeated_king(&tokenizer, num_context, room, doc_stride);
                let spans = doc_spans(num_context, room, doc_stride);
                assert!(agrees(&features, &spans, exact_score));
                others += usize::from(!agrees(&features, &spans, script_score));
            }
        }
    }
    assert!(
        others > 0,
        "the assumption of the property above would be needless"
    );
}

/// Negative controls: another step, another score, and no rule at all are noticed.
#[test]
fn the_comparison_notices_other_rules() {
    let tokenizer = small_tokenizer();
    let spans = doc_spans(90, 40, 16);
    let features = repeated_king(&tokenizer, 90, 40, 16);
    assert!(agrees(&features, &spans, script_score));
    assert!(!agrees(
        &repeated_king(&tokenizer, 90, 40, 15),
        &spans,
        script_score
    ));
    assert!(!agrees(&features, &spans, |least, length| least as f64
        + 0.5 * length as f64));
    let whole = |feature: &Feature| Feature {
        max_context: feature.context.clone(),
        ..feature.clone()
    };
    let whole: Vec<Feature> = features.iter().map(whole).collect();
    assert!(!agrees(&whole, &spans, script_score));
}

#[test]
fn overlap_and_step_that_fill_the_room_give_equal_windows() {
    let tokenizer = small_tokenizer();
    let example = [Example::new("q", "who", "king ".repeat(300))];
    let overlap = FeatureOptions {
        max_seq_length: 104,
        doc_stride: 30,
        ..FeatureOptions::default()
    };
    let overlap = make_features(&example, &tokenizer, &overlap).unwrap();
    let steps = make_features(&example, &tokenizer, &step(104, 70)).unwrap();
    assert_eq!(overlap.len(), steps.len());
    for (overlap, step) in overlap.iter().zip(&steps) {
        assert_eq!(overlap.max_context, overlap.context);
        assert_eq!(
            Feature {
                max_context: step.context.clone(),
                ..step.clone()
            },
            *overlap
        );
    }
}

/// An answer belongs to the window with most context around its first token, even if its end has more elsewhere.
#[test]
fn answers_begin_in_the_window_with_most_context() {
    let tokenizer = small_tokenizer();
    let features = repeated_king(&tokenizer, 30, 20, 10);
    let parts: Vec<_> = features.iter().map(span_and_part).collect();
    assert_eq!(parts, [((0, 20), 0..15), ((10, 20), 15..30)]);
    let example = [Example::new("q", "who", "king ".repeat(30))];
    // Token 14 is in both windows. The second has the higher logit, but only the first may answer with it.
    let row = |window: usize, token: usize, logit: f32| {
        let mut row = vec![0.0; features[window].len()];
        row[features[window].context.start + token - 10 * window] = logit;
        row
    };
    let rows = [
        (row(0, 14, 5.0), row(0, 17, 5.0)),
        (row(1, 14, 9.0), row(1, 17, 9.0)),
    ];
    let logits = rows
        .each_ref()
        .map(|(start, end)| SpanLogits { start, end });
    let answer = |features: &[Feature]| {
        extract_answers(&example, features, &logits, &AnswerOptions::default())
            .unwrap()
            .remove(0)
    };
    let best = answer(&features).best_span.unwrap();
    assert_eq!((best.score, best.chars), (10.0, 70..89));
    // Negative control: without the rule the second window wins.
    let whole = |feature: &Feature| Feature {
        max_context: feature.context.clone(),
        ..feature.clone()
    };
    let whole: Vec<Feature> = features.iter().map(whole).collect();
    assert_eq!(answer(&whole).best_span.unwrap().score, 18.0);
}

/// With the script's defaults: 384, 128 and at most 64 tokens in a question.
#[test]
#[ignore = "needs ../shared/data"]
fn windows_of_real_files_are_the_scripts() {
    for (file, casing, count) in [
        ("dev-v1.1", "uncased", 10_833),
        ("dev-v2.0", "uncased", 12_232),
        ("dev-v2.0", "cased", 12_320),
    ] {
        let (dataset, tokenizer) = (dataset(file), tokenizer(casing));
        let options = FeatureOptions {
            max_query_length: Some(64),
            ..step(384, 128)
        };
        let features = make_features(&dataset.examples, &tokenizer, &options).unwrap();
        let mut lengths: HashMap<&str, usize> = HashMap::new();
        let mut ours = features.iter().peekable();
        for (index, example) in dataset.examples.iter().enumerate() {
            let num_context = *lengths
                .entry(&example.context)
                .or_insert_with(|| tokenizer.encode(&example.context).unwrap().ids.len());
            let question = tokenizer
                .encode(example.stripped_question())
                .unwrap()
                .ids
                .len();
            let spans = doc_spans(num_context, 384 - 3 - question, 128);
            let mut covered = 0;
            for (number, span) in spans.iter().enumerate() {
                let feature = ours
                    .next_if(|feature| feature.example_index == index)
                    .unwrap();
                assert_eq!(feature.context.len(), span.1, "{}", example.id);
                let token = |position: usize| position - feature.context.start + span.0;
                assert_eq!(token(feature.max_context.start), covered);
                for position in feature.max_context.clone() {
                    assert_eq!(best_span(&spans, token(position), script_score), number);
                }
                covered = token(feature.max_context.end);
            }
            assert_eq!(covered, num_context);
        }
        assert!(ours.next().is_none());
        assert_eq!(features.len(), count);
    }
}
