//! From logits to answers against `scripts/reference/run_qa.py`: on the sample always, and on dev-v2.0 with both times on
//! request.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;
use squad_data::{Dataset, Example, Feature, QaTokenizer};
use trainer::{AnswerConfig, Evaluation, FeatureConfig, FeaturizedDataset, evaluate_logits};

use crate::real_data::shared;
use crate::support::workspace;

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

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
    let gold = example.answers.first().map(|answer| answer.char_range());
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
    let windows = FeatureConfig {
        max_seq_length: 160,
        doc_stride: 32,
        ..FeatureConfig::default()
    };
    FeaturizedDataset::new(
        dataset,
        &QaTokenizer::from_file(&tokenizer).unwrap(),
        &windows,
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
    let evaluation = evaluate_logits(&questions, &logits, &answers).unwrap();
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
        let evaluation = evaluate_logits(&questions, &logits, &other).unwrap();
        assert!(differences(&evaluation, &fixture) > 0, "{other:?}");
    }
    let mut other = logits;
    other[0][0][0] -= 30.0;
    let evaluation = evaluate_logits(&questions, &other, &answers).unwrap();
    assert!(differences(&evaluation, &fixture) > 0);
}

fn read_logits(path: &Path, features: &[Feature]) -> Vec<[Vec<f32>; 2]> {
    let bytes = std::fs::read(path).unwrap();
    let mut values = bytes
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes(four.try_into().unwrap()));
    let mut row = |feature: &Feature| [0, 1].map(|_| values.by_ref().take(feature.len()).collect());
    let logits = features.iter().map(&mut row).collect();
    assert_eq!(values.next(), None, "the windows are not the same");
    logits
}

/// Texts that differ, and n-best lists whose spans differ beyond their order.
fn compare(evaluation: &Evaluation, folder: &Path, which: &str) -> (usize, usize) {
    let texts = json(&folder.join(format!("predictions{which}.json")));
    let n_best = json(&folder.join(format!("nbest{which}.json")));
    let null_odds = json(&folder.join(format!("null_odds{which}.json")));
    let (mut other_texts, mut other_lists) = (0, 0);
    for prediction in &evaluation.predictions {
        let id = &prediction.id;
        other_texts += usize::from(texts[id] != prediction.text);
        let odds = number(&null_odds[id]);
        // One sum of three f32 in another order.
        assert!(
            (f64::from(prediction.null_odds) - odds).abs() < 1e-5,
            "{id}: {odds}"
        );
        let ours = prediction
            .n_best
            .iter()
            .map(|span| (span.chars.start as u64, span.chars.end as u64));
        let theirs = n_best[id].as_array().unwrap().iter().map(|span| {
            let offset = |side: usize| span["offsets"][side].as_u64().unwrap();
            (offset(0), offset(1))
        });
        let (mut ours, mut theirs): (Vec<_>, Vec<_>) = (ours.collect(), theirs.collect());
        ours.sort_unstable();
        theirs.sort_unstable();
        other_lists += usize::from(ours != theirs);
    }
    (other_texts, other_lists)
}

/// Repetitions; the fastest counts.
const REPEATS: usize = 20;

/// What this process has used of all processors.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    let ticks: f64 = after_name
        .split(' ')
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum();
    ticks / 100.0
}

#[test]
#[ignore = "needs the folder that scripts/reference/time_postprocessing.py makes, in $POSTPROCESSING"]
fn time_of_postprocessing() {
    let folder = PathBuf::from(std::env::var_os("POSTPROCESSING").expect("POSTPROCESSING is set"));
    let [dev, tokenizer] = [
        "squad/dev-v2.0.json",
        "vocab/bert-base-uncased-tokenizer.json",
    ]
    .map(shared);
    let tokenizer = QaTokenizer::from_file(Path::new(&tokenizer)).unwrap();
    let dataset = Dataset::read(Path::new(&dev)).unwrap();
    let questions = FeaturizedDataset::new(dataset, &tokenizer, &FeatureConfig::default()).unwrap();
    let logits = read_logits(&folder.join("logits.f32"), &questions.features);
    let out = tempfile::tempdir().unwrap();
    let mut evaluation = None;
    // Seconds of the answers with their scores, and of the files; processor seconds of both.
    let mut times = [[0.0; 3]; REPEATS];
    for times in &mut times {
        let (began, cpu) = (Instant::now(), cpu_seconds());
        let found = evaluate_logits(&questions, &logits, &AnswerConfig::default()).unwrap();
        times[0] = began.elapsed().as_secs_f64();
        found.write(out.path()).unwrap();
        times[1] = began.elapsed().as_secs_f64() - times[0];
        times[2] = cpu_seconds() - cpu;
        evaluation = Some(found);
    }
    let evaluation = evaluation.unwrap();
    println!("answers and scores, files, processor: {times:.3?}");
    let least = |of: &dyn Fn(&[f64; 3]) -> f64| times.iter().map(of).fold(f64::INFINITY, f64::min);
    let (seconds, processor) = (least(&|t| t[0] + t[1]), least(&|t| t[2]));
    let python = json(&folder.join("times.json"));
    let total = |clock: &str| {
        number(&python[clock]["answers_and_files"]) + number(&python[clock]["scores"])
    };
    let (theirs, their_processor) = (total("seconds"), total("cpu_seconds"));
    println!(
        "all in {seconds:.3} s, {processor:.2} s of processor time; run_qa's way {theirs:.2} s, {their_processor:.2} s"
    );
    println!(
        "{:.1} times as fast, with 1/{:.1} of the processor time",
        theirs / seconds,
        their_processor / processor
    );

    let (texts, lists) = compare(&evaluation, &folder, "");
    println!("against all tokens: {texts} texts differ, {lists} n-best lists");
    let (texts, lists) = compare(&evaluation, &folder, "_context_first");
    println!("against the context's tokens: {texts} texts differ, {lists} n-best lists");
    assert_eq!((texts, lists), (0, 0));
    for (key, theirs) in json(&folder.join("metrics_context_first.json"))
        .as_object()
        .unwrap()
    {
        let tolerance = if key.ends_with("thresh") { 1e-5 } else { 0.0 };
        let ours = number(&evaluation.metrics[key]);
        assert!(
            (ours - number(theirs)).abs() <= tolerance,
            "{key}: {ours}, {theirs}"
        );
    }
    assert!(seconds < 2.0, "{times:?}");
    assert!(theirs / seconds >= 20.0, "{times:?}");
}
