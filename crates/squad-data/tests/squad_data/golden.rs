//! Windows, offsets and labels equal those of `transformers`, recorded by tools/reference/make_windows_fixture.py.

use serde::Deserialize;
use squad_data::{Example, Feature, FeatureOptions, GoldAnswer, make_features};

use crate::common::{fixture, small_tokenizer};

#[derive(Deserialize)]
struct Golden {
    examples: Vec<GoldenExample>,
    settings: Vec<Setting>,
}

#[derive(Deserialize)]
struct GoldenExample {
    id: String,
    context: String,
    question: String,
    text: String,
    answer_start: usize,
}

#[derive(Deserialize)]
pub(crate) struct Setting {
    pub(crate) max_seq_length: usize,
    pub(crate) doc_stride: usize,
    features: Vec<GoldenFeature>,
}

#[derive(Deserialize)]
struct GoldenFeature {
    example: usize,
    input_ids: Vec<u32>,
    token_type_ids: Vec<u32>,
    context: (usize, usize),
    offsets: Vec<(u32, u32)>,
    labels: (usize, usize),
}

pub(crate) fn golden() -> (Vec<Example>, Vec<Setting>) {
    let bytes = std::fs::read(fixture("windows.json")).unwrap();
    let golden: Golden = serde_json::from_slice(&bytes).unwrap();
    let example = |e: GoldenExample| Example {
        answers: vec![GoldAnswer {
            text: e.text,
            start: e.answer_start,
        }],
        is_impossible: false,
        ..Example::new(e.id, e.question, e.context)
    };
    (
        golden.examples.into_iter().map(example).collect(),
        golden.settings,
    )
}

fn same_window(ours: &Feature, theirs: &GoldenFeature) -> bool {
    ours.example_index == theirs.example
        && ours.input_ids == theirs.input_ids
        && ours
            .token_type_ids()
            .eq(theirs.token_type_ids.iter().copied())
        && (ours.context.start, ours.context.end) == theirs.context
        && ours.offsets == theirs.offsets
}

#[test]
fn windows_equal_transformers() {
    let (examples, settings) = golden();
    for setting in &settings {
        let options = FeatureOptions {
            max_seq_length: setting.max_seq_length,
            doc_stride: setting.doc_stride,
            ..FeatureOptions::default()
        };
        let ours = make_features(&examples, &small_tokenizer(), &options).unwrap();
        assert_eq!(ours.len(), setting.features.len(), "{options:?}");
        for (number, (ours, theirs)) in ours.iter().zip(&setting.features).enumerate() {
            assert!(
                same_window(ours, theirs),
                "{options:?}, window {number}: {ours:?}"
            );
        }
    }
}

/// Where labels differ from run_qa.py's on purpose, as `make_features` documents.
fn differs_on_purpose(example: &Example, theirs: &GoldenFeature) -> bool {
    let answer = example.answers[0].char_range();
    let starts_in_last_token = theirs
        .offsets
        .last()
        .is_some_and(|&(start, _)| start as usize <= answer.start);
    let token_ends_there = theirs
        .offsets
        .iter()
        .any(|&(_, end)| end as usize == answer.end);
    let token_starts_there = theirs
        .offsets
        .iter()
        .any(|&(start, _)| start as usize == answer.start);
    starts_in_last_token || !token_ends_there || !token_starts_there
}

#[test]
fn labels_equal_run_qa() {
    let (examples, settings) = golden();
    let mut compared = 0;
    for setting in &settings {
        let options = FeatureOptions {
            max_seq_length: setting.max_seq_length,
            doc_stride: setting.doc_stride,
            ..FeatureOptions::default()
        };
        let ours = make_features(&examples, &small_tokenizer(), &options).unwrap();
        for (ours, theirs) in ours.iter().zip(&setting.features) {
            let labels = (ours.start_position, ours.end_position);
            if labels != theirs.labels {
                let example = &examples[ours.example_index];
                assert!(
                    differs_on_purpose(example, theirs),
                    "{} {labels:?} {:?}",
                    example.id,
                    theirs.labels
                );
            }
            compared += usize::from(theirs.labels != (0, 0) && labels == theirs.labels);
        }
    }
    assert!(compared > 30, "only {compared} labelled windows agree");
}

/// Negative control: the comparison sees an overlap that is off by one.
#[test]
fn another_overlap_is_noticed() {
    let (examples, settings) = golden();
    let setting = &settings[1];
    let options = FeatureOptions {
        max_seq_length: setting.max_seq_length,
        doc_stride: setting.doc_stride + 1,
        ..FeatureOptions::default()
    };
    let ours = make_features(&examples, &small_tokenizer(), &options).unwrap();
    assert!(
        !ours
            .iter()
            .zip(&setting.features)
            .all(|(ours, theirs)| same_window(ours, theirs))
    );
}
