//! `extract_answers` equals a search over every pair of tokens.

use std::ops::Range;

use squad_data::{AnswerOptions, Example, Feature, FeatureOptions, Prediction, StrideKind};

use crate::answers::{Logits, examples, extract, random_logits};
use crate::common::{features, short};

/// Whether `position` is among the `count` best of `row` in `range`; equal logits go to the earlier one.
fn is_among_best(row: &[f32], range: &Range<usize>, position: usize, count: usize) -> bool {
    let beats = |&other: &usize| {
        row[other] > row[position] || (row[other] == row[position] && other < position)
    };
    range.clone().filter(beats).count() < count
}

struct BruteForce {
    text: String,
    n_best: Vec<(f32, String)>,
    null_score: f32,
}

fn brute_force(
    number: usize,
    examples: &[Example],
    features: &[Feature],
    logits: &Logits,
    options: &AnswerOptions,
) -> BruteForce {
    let chars: Vec<char> = examples[number].context.chars().collect();
    let (mut spans, mut null_score) = (Vec::new(), f32::INFINITY);
    for (feature, (start, end)) in features
        .iter()
        .zip(logits)
        .filter(|(feature, _)| feature.example_index == number)
    {
        null_score = null_score.min(start[0] + end[0]);
        for s in feature
            .max_context
            .clone()
            .filter(|&s| is_among_best(start, &feature.max_context, s, options.n_best_size))
        {
            for e in feature
                .context
                .clone()
                .filter(|&e| is_among_best(end, &feature.context, e, options.n_best_size))
            {
                if s <= e && e - s < options.max_answer_length {
                    let from = feature.offsets[s - feature.context.start].0 as usize;
                    let to = feature.offsets[e - feature.context.start].1 as usize;
                    spans.push((
                        start[s] + end[e],
                        chars[from..to].iter().collect::<String>(),
                    ));
                }
            }
        }
    }
    // The order of the spans breaks ties, and the sort is stable.
    spans.sort_by(|a, b| b.0.total_cmp(&a.0));
    spans.truncate(options.n_best_size);
    let best = spans.first().cloned();
    let decline = options.allow_no_answer
        && best
            .as_ref()
            .is_none_or(|best| null_score - best.0 > options.null_score_diff_threshold);
    let text = best
        .filter(|_| !decline)
        .map(|best| best.1)
        .unwrap_or_default();
    BruteForce {
        text,
        n_best: spans,
        null_score,
    }
}

fn agrees(ours: &Prediction, brute: &BruteForce) -> bool {
    let spans = ours.n_best.iter().filter(|span| !span.text.is_empty());
    let kept = spans.clone().count();
    ours.text == brute.text
        && ours.null_score == brute.null_score
        && kept + 1 >= brute.n_best.len()
        && spans
            .zip(&brute.n_best)
            .all(|(ours, brute)| (ours.score, &ours.text) == (brute.0, &brute.1))
}

#[test]
fn extract_answers_equals_brute_force() {
    let examples = examples();
    for (stride, seeds) in [(StrideKind::Overlap, 1..40), (StrideKind::Step, 40..80)] {
        let features = features(&examples, &FeatureOptions { stride, ..short() });
        assert!(features.len() > examples.len() + 5);
        check(&examples, &features, seeds);
    }
}

fn check(examples: &[Example], features: &[Feature], seeds: Range<u64>) {
    for seed in seeds {
        let logits = random_logits(features, seed);
        for (n_best_size, max_answer_length, allow_no_answer) in
            [(20, 30, false), (20, 30, true), (3, 4, true), (1, 1, false)]
        {
            let options = AnswerOptions {
                n_best_size,
                max_answer_length,
                allow_no_answer,
                ..AnswerOptions::default()
            };
            for (number, ours) in extract(examples, features, &logits, &options)
                .iter()
                .enumerate()
            {
                let brute = brute_force(number, examples, features, &logits, &options);
                assert!(
                    agrees(ours, &brute),
                    "seed {seed}, {options:?}: {ours:?} but {:?} {:?}",
                    brute.text,
                    brute.n_best
                );
            }
        }
    }
}

/// Negative control: an answer length that is off by one is noticed.
#[test]
fn another_answer_length_is_noticed() {
    let examples = examples();
    let features = features(&examples, &short());
    let logits = random_logits(&features, 5);
    let options = AnswerOptions {
        max_answer_length: 8,
        ..AnswerOptions::default()
    };
    let longer = AnswerOptions {
        max_answer_length: 9,
        ..AnswerOptions::default()
    };
    let ours = extract(&examples, &features, &logits, &longer);
    let all_agree = (0..examples.len()).all(|n| {
        agrees(
            &ours[n],
            &brute_force(n, &examples, &features, &logits, &options),
        )
    });
    assert!(!all_agree);
}
