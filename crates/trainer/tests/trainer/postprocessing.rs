//! From logits to answers and scores against `scripts/reference/run_qa.py`, on the sample.

use qa_metrics::Metric;
use serde_json::Value;
use squad_data::{Dataset, Example, Feature, GoldAnswer, QaTokenizer};
use trainer::{AnswerConfig, Evaluation, FeatureConfig, FeaturizedDataset, evaluate_logits};

use crate::support::workspace;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

/// As in `make_postprocessing_fixture.py`.
fn logit(number: usize, side: usize, token: usize, feature: &Feature, example: &Example) -> f32 {
    let place = |factor: u32, count: usize| factor.wrapping_mul(count as u32);
    let mut mixed = place(0x9e37_79b1, number)
        .wrapping_add(place(0x85eb_ca77, token))
        .wrapping_add(place(0xc2b2_ae3d, side));
    for (shift, factor) in [(15, 0x2c1b_3c6d), (12, 0x297a_2d39)] {
        mixed = (mixed ^ (mixed >> shift)).wrapping_mul(factor);
    }
    mixed ^= mixed >> 15;
    let noise = f64::from(mixed >> 8) * 20.0 / f64::from(1 << 24) - 10.0;
    let gold = example.first_located().and_then(GoldAnswer::char_range);
    let is_gold = |(start, end): (u32, u32)| match side {
        0 => gold
            .as_ref()
            .is_some_and(|gold| gold.start == start as usize),
        _ => gold.as_ref().is_some_and(|gold| gold.end == end as usize),
    };
    let offsets = token
        .checked_sub(feature.context.start)
        .and_then(|at| feature.offsets.get(at));
    let more = match offsets {
        _ if token == 0 => 14.0,
        Some(&offsets) if is_gold(offsets) => 8.0,
        _ => 0.0,
    };
    (noise + more) as f32
}

fn logits_of(questions: &FeaturizedDataset) -> Vec<[Vec<f32>; 2]> {
    let features = questions.features.iter().enumerate();
    let row = |(number, feature): (usize, &Feature)| {
        let example = &questions.dataset.examples[feature.example_index];
        [0, 1].map(|side| {
            let tokens = 0..feature.len();
            tokens
                .map(|token| logit(number, side, token, feature, example))
                .collect()
        })
    };
    features.map(row).collect()
}

fn sample() -> FeaturizedDataset {
    let dataset = Dataset::read(&workspace("datasets/sample/dev.json")).unwrap();
    let tokenizer = workspace("crates/squad-data/tests/fixtures/tokenizer.json");
    let features = FeatureConfig {
        max_seq_length: 160,
        doc_stride: 32,
        ..FeatureConfig::default()
    };
    FeaturizedDataset::new(
        dataset,
        &QaTokenizer::from_file(&tokenizer).unwrap(),
        &features,
    )
    .unwrap()
}

/// What differs from the fixture; the tolerances are those of f32 sums taken in another order.
fn differences(evaluation: &Evaluation, fixture: &Value) -> usize {
    let mut differences = 0;
    for prediction in &evaluation.predictions {
        let expected = &fixture["answers"][&prediction.id];
        let is_near = |ours: f32, theirs: &Value| (f64::from(ours) - number(theirs)).abs() < 1e-5;
        let mut same = expected["text"] == prediction.text
            && is_near(prediction.null_odds, &expected["null_odds"]);
        let spans = expected["n_best"].as_array().unwrap();
        same &= spans.len() == prediction.n_best.len();
        for (ours, theirs) in prediction.n_best.iter().zip(spans) {
            let offsets = [ours.chars.start, ours.chars.end];
            same &= offsets == [0, 1].map(|side| theirs[side].as_u64().unwrap() as usize);
            same &= ours.start_logit == number(&theirs[2]) as f32;
            same &= ours.end_logit == number(&theirs[3]) as f32;
            same &= is_near(ours.probability, &theirs[4]);
        }
        differences += usize::from(!same);
    }
    let figures = fixture["metrics"].as_object().unwrap();
    for (key, theirs) in figures {
        // A threshold is one of the odds, whose last digits differ as above.
        let tolerance = if key.ends_with("thresh") { 1e-5 } else { 0.0 };
        let near = (number(&evaluation.metrics[key]) - number(theirs)).abs() <= tolerance;
        differences += usize::from(!near);
    }
    differences
}

#[test]
fn answers_and_scores_of_the_sample_equal_run_qa() {
    let fixture: Value =
        serde_json::from_str(include_str!("../fixtures/postprocessing.json")).unwrap();
    let questions = sample();
    assert_eq!(fixture["windows"], questions.features.len());
    let answers = AnswerConfig {
        n_best_size: 6,
        max_answer_length: 12,
        ..Default::default()
    };
    let logits = logits_of(&questions);
    let evaluation = evaluate_logits(&questions, &logits, &answers, Metric::Squad).unwrap();
    assert_eq!(differences(&evaluation, &fixture), 0);
    assert_eq!(fixture["metrics"].as_object().unwrap().len(), 13);

    // Controls: another longest answer, another threshold, one changed logit.
    let longer = AnswerConfig {
        max_answer_length: 13,
        ..answers.clone()
    };
    let lower = AnswerConfig {
        null_score_diff_threshold: -5.0,
        ..answers.clone()
    };
    for other in [longer, lower] {
        let evaluation = evaluate_logits(&questions, &logits, &other, Metric::Squad).unwrap();
        assert!(differences(&evaluation, &fixture) > 0, "{other:?}");
    }
    let mut other = logits;
    other[0][0][0] -= 30.0;
    let evaluation = evaluate_logits(&questions, &other, &answers, Metric::Squad).unwrap();
    assert!(differences(&evaluation, &fixture) > 0);
}
