//! Answers from logits.

use squad_data::{AnswerOptions, Example, Feature, Prediction, SpanLogits, extract_answers};
use test_support::Random;

use crate::common::{self, example, logit};

pub(crate) type Logits = Vec<(Vec<f32>, Vec<f32>)>;

pub(crate) fn extract(
    examples: &[Example],
    features: &[Feature],
    logits: &Logits,
    options: &AnswerOptions,
) -> Vec<Prediction> {
    let logits: Vec<_> = logits
        .iter()
        .map(|(start, end)| SpanLogits { start, end })
        .collect();
    extract_answers(examples, features, &logits, options).unwrap()
}

/// Questions of one to several features.
pub(crate) fn examples() -> Vec<Example> {
    (0..12)
        .map(|n| {
            let context =
                "the old baker’s café 🙂 ate 1,250 loaves in the night ".repeat(n / 3 + 1);
            Example::new(n.to_string(), "who ate?", context)
        })
        .collect()
}

/// Features of at most 40 tokens whose windows share 10.
pub(crate) fn features(examples: &[Example]) -> Vec<Feature> {
    common::features(examples, &common::short())
}

pub(crate) fn random_logits(features: &[Feature], seed: u64) -> Logits {
    let mut random = Random::new(seed);
    let mut row = |len| (0..len).map(|_| logit(&mut random)).collect();
    features
        .iter()
        .map(|feature| (row(feature.len()), row(feature.len())))
        .collect()
}

#[test]
fn only_tokens_of_the_context_are_answers() {
    let examples = [Example::new(
        "q",
        "who ate the old bread in the night?",
        "the cat",
    )];
    let features = features(&examples);
    let len = features[0].len();
    let mut row = vec![9.0; len];
    row[features[0].context.start] = 1.0;
    row[features[0].context.start + 1] = 2.0;
    row[features[0].context.end] = 50.0;
    // A search that restricts its top-1 to the context afterwards finds nothing.
    let options = AnswerOptions {
        n_best_size: 1,
        ..AnswerOptions::default()
    };
    let predictions = extract(&examples, &features, &vec![(row.clone(), row)], &options);
    assert_eq!(predictions[0].text, "cat");
}

#[test]
fn the_null_odds_decide_on_no_answer() {
    let examples = [Example::new(
        "q",
        "who?",
        "the cat ate the bread in the night by the sea ".repeat(5),
    )];
    let features = features(&examples);
    assert!(features.len() > 1);
    let mut logits: Logits = features
        .iter()
        .map(|f| (vec![0.0; f.len()], vec![0.0; f.len()]))
        .collect();
    for (start, end) in &mut logits {
        (start[0], end[0]) = (4.0, 4.0);
    }
    let context = features[0].context.start;
    (logits[0].0[context + 1], logits[0].1[context + 1]) = (3.0, 3.5);
    let options = |threshold| AnswerOptions {
        null_score_diff_threshold: threshold,
        allow_no_answer: true,
        ..AnswerOptions::default()
    };
    let get = |logits: &Logits, options: &AnswerOptions| {
        extract(&examples, &features, logits, options).remove(0)
    };

    let declined = get(&logits, &options(0.0));
    assert_eq!(
        (
            declined.text.as_str(),
            declined.null_score,
            declined.null_odds
        ),
        ("", 8.0, 1.5)
    );
    assert_eq!(declined.n_best[0].text, "");
    assert_eq!(declined.best_span.as_ref().unwrap().score, 6.5);
    let total: f32 = declined.n_best.iter().map(|span| span.probability).sum();
    assert!((total - 1.0).abs() < 1e-5);
    assert_eq!(declined.n_best.len(), 20);

    // Not above the threshold.
    assert_eq!(
        get(&logits, &options(1.5)).text,
        declined.best_span.as_ref().unwrap().text
    );
    assert!(!get(&logits, &AnswerOptions::default()).text.is_empty());
    // The null score is the minimum over features, here that of the last.
    logits.last_mut().unwrap().0[0] = -2.0;
    let answered = get(&logits, &options(0.0));
    assert_eq!((answered.null_score, answered.null_odds), (2.0, -4.5));
    assert_eq!(answered.text, declined.best_span.unwrap().text);
}

#[test]
fn no_answer_is_last_if_it_is_not_among_the_best() {
    let examples = [Example::new("q", "who?", "the cat ate the bread")];
    let features = features(&examples);
    let mut logits: Logits = features
        .iter()
        .map(|f| (vec![1.0; f.len()], vec![1.0; f.len()]))
        .collect();
    logits[0].0[0] = -50.0;
    let options = AnswerOptions {
        n_best_size: 2,
        allow_no_answer: true,
        ..AnswerOptions::default()
    };
    let predictions = extract(&examples, &features, &logits, &options);
    let texts: Vec<&str> = predictions[0]
        .n_best
        .iter()
        .map(|span| span.text.as_str())
        .collect();
    assert_eq!(texts, ["the", "the cat", ""]);
}

#[test]
fn nan_and_infinity_do_not_panic() {
    let examples = examples();
    let features = features(&examples);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for every in [1, 2, 7] {
            let mut logits = random_logits(&features, 3);
            for (start, end) in &mut logits {
                start
                    .iter_mut()
                    .step_by(every)
                    .for_each(|logit| *logit = bad);
                end.iter_mut()
                    .skip(1)
                    .step_by(every)
                    .for_each(|logit| *logit = -bad);
            }
            for allow_no_answer in [false, true] {
                let options = AnswerOptions {
                    allow_no_answer,
                    ..AnswerOptions::default()
                };
                for prediction in extract(&examples, &features, &logits, &options) {
                    assert!(
                        prediction
                            .n_best
                            .iter()
                            .all(|span| !span.score.is_nan() && !span.probability.is_nan())
                    );
                }
            }
        }
    }
    let all_nan: Logits = features
        .iter()
        .map(|f| (vec![f32::NAN; f.len()], vec![f32::NAN; f.len()]))
        .collect();
    let options = AnswerOptions {
        allow_no_answer: true,
        ..AnswerOptions::default()
    };
    let prediction = extract(&examples, &features, &all_nan, &options).remove(0);
    assert!(
        prediction.text.is_empty()
            && prediction.best_span.is_none()
            && prediction.null_score.is_nan()
    );
}

#[test]
fn logits_of_the_labels_give_the_gold_answers() {
    let examples = [
        example(
            "a",
            "who?",
            "The baker Zoë Müller sold 1,250 loaves 🙂.",
            "Zoë Müller",
        ),
        example(
            "b",
            "how many?",
            "The baker Zoë Müller sold 1,250 loaves 🙂.",
            "1,250",
        ),
        example(
            "c",
            "who?",
            &format!("{} the king 🙂", "bread ".repeat(90)),
            "the king",
        ),
    ];
    let features = features(&examples);
    let one_hot = |len: usize, at: usize| {
        (0..len)
            .map(|position| if position == at { 10.0 } else { 0.0 })
            .collect()
    };
    let logits: Logits = features
        .iter()
        .map(|f| {
            (
                one_hot(f.len(), f.start_position),
                one_hot(f.len(), f.end_position),
            )
        })
        .collect();
    for (prediction, example) in extract(&examples, &features, &logits, &AnswerOptions::default())
        .iter()
        .zip(&examples)
    {
        assert_eq!(prediction.text, example.answers()[0].text);
    }
}

#[test]
fn inputs_that_do_not_belong_together_are_rejected() {
    let examples = examples();
    let features = features(&examples);
    let logits = random_logits(&features, 1);
    let spans: Vec<_> = logits
        .iter()
        .map(|(start, end)| SpanLogits { start, end })
        .collect();
    let message = |examples: &[Example],
                   features: &[Feature],
                   spans: &[SpanLogits<'_>],
                   options: &AnswerOptions| {
        extract_answers(examples, features, spans, options)
            .unwrap_err()
            .to_string()
    };
    let options = AnswerOptions::default();
    assert!(
        message(&examples, &features, &spans[1..], &options).contains("features but logits for")
    );
    assert!(
        message(&examples[..3], &features, &spans, &options)
            .contains("belongs to example 3, but there are only 3")
    );
    assert!(message(&examples, &features[..3], &spans[..3], &options).contains("has no feature"));
    let mut short = spans.clone();
    short[4].end = &short[4].end[1..];
    assert!(message(&examples, &features, &short, &options).contains("feature 4 has"));
    let mut cut = features.clone();
    cut[2].offsets.pop();
    assert!(message(&examples, &cut, &spans, &options).contains("offsets, but its context is"));
    let other = vec![Example::new("q", "?", "a"); examples.len()];
    assert!(message(&other, &features, &spans, &options).contains("outside the context"));
    for wrong in [
        AnswerOptions {
            n_best_size: 0,
            ..AnswerOptions::default()
        },
        AnswerOptions {
            max_answer_length: 0,
            ..AnswerOptions::default()
        },
        AnswerOptions {
            n_best_size: 10_001,
            ..AnswerOptions::default()
        },
        AnswerOptions {
            null_score_diff_threshold: f32::NAN,
            ..AnswerOptions::default()
        },
    ] {
        assert!(message(&examples, &features, &spans, &wrong).contains(" = "));
    }
}

/// Exact match takes "the cat", "cat" and "Cat." for one answer.
#[test]
fn spans_with_the_same_normalized_text_are_one_answer() {
    let examples = [Example::new("q", "who?", "the cat ate bread")];
    let features = features(&examples);
    let first = features[0].context.start;
    let mut row = vec![-30.0f32; features[0].len()];
    let mut ends = row.clone();
    (row[first], row[first + 1], row[first + 3]) = (2.0, 2.0, 1.0);
    (ends[first + 1], ends[first + 3]) = (2.0, 1.0);
    let options = AnswerOptions {
        max_answer_length: 2,
        ..AnswerOptions::default()
    };
    let prediction = extract(&examples, &features, &vec![(row, ends)], &options).remove(0);
    assert_eq!(prediction.text, "the cat");
    // "the cat" and "cat" have a score of 4, "bread" has 2.
    let same = 1.0 / (1.0 + (-2.0f32).exp() / 2.0);
    assert!(
        (prediction.probability - same).abs() < 1e-5,
        "{prediction:?}"
    );
    let answers = prediction.answers(2);
    let texts: Vec<_> = answers.iter().map(|answer| answer.text.as_str()).collect();
    assert_eq!(texts, ["the cat", "bread"]);
    assert!((answers[0].probability + answers[1].probability - 1.0).abs() < 1e-5);
    // The list of spans stays Hugging Face's.
    assert_eq!(prediction.n_best[1].text, "cat");
    assert!((prediction.n_best[0].probability - same / 2.0).abs() < 1e-5);
}

#[test]
fn temperature_and_threshold_change_probabilities_and_no_scores() {
    let examples = examples();
    let features = features(&examples);
    let logits = random_logits(&features, 5);
    let get = |temperature, threshold| {
        let options = AnswerOptions {
            temperature,
            null_score_diff_threshold: threshold,
            allow_no_answer: true,
            ..AnswerOptions::default()
        };
        extract(&examples, &features, &logits, &options)
    };
    for threshold in [0.0, -3.0, 4.0] {
        let (sharp, plain, flat) = (
            get(0.5, threshold),
            get(1.0, threshold),
            get(8.0, threshold),
        );
        for ((sharp, plain), flat) in sharp.iter().zip(&plain).zip(&flat) {
            let scores =
                |p: &Prediction| p.n_best.iter().map(|span| span.score).collect::<Vec<_>>();
            assert_eq!((&plain.text, scores(plain)), (&flat.text, scores(flat)));
            // The answer is the most probable entry, at any temperature above 0.
            for prediction in [sharp, plain, flat] {
                let answer = prediction.answer_at(threshold).unwrap();
                assert_eq!(answer.text, prediction.text);
                let most = prediction.n_best.iter().map(|span| span.probability);
                assert_eq!(answer.probability, most.fold(0.0, f32::max));
                assert!(prediction.probability >= answer.probability);
                let margins = prediction.margins(threshold);
                assert!(margins.same_text.contains(&0.0), "{margins:?}");
                let all = margins.same_text.iter().chain(&margins.other_text);
                assert!(all.copied().all(|margin| margin <= 0.0), "{margins:?}");
                let answers = prediction.answers(usize::MAX);
                assert_eq!(answers[0].probability, prediction.probability);
                assert_eq!(answers[0].chars, answer.chars);
            }
            assert!(
                sharp.probability >= plain.probability && plain.probability >= flat.probability
            );
            let margins = plain.margins(threshold);
            assert!((f64::from(plain.probability) - margins.probability(1.0)).abs() < 1e-6);
        }
    }
    for temperature in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let options = AnswerOptions {
            temperature,
            ..AnswerOptions::default()
        };
        let message = options.validate().unwrap_err().to_string();
        let expected = format!("temperature = {temperature}: ");
        assert!(message.starts_with(&expected), "{message}");
    }
}
