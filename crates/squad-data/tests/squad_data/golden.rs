//! Features equal those of `transformers`, recorded by scripts/reference/make_features_fixture.py.

use serde::Deserialize;
use squad_data::{Example, Feature, FeatureOptions, GoldAnswer};

use crate::common::{features, fixture};

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
struct Setting {
    max_seq_length: usize,
    doc_stride: usize,
    features: Vec<GoldenFeature>,
}

impl Setting {
    fn options(&self) -> FeatureOptions {
        FeatureOptions {
            max_seq_length: self.max_seq_length,
            doc_stride: self.doc_stride,
            ..FeatureOptions::default()
        }
    }
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

fn golden() -> (Vec<Example>, Vec<Setting>) {
    let bytes = std::fs::read(fixture("features.json")).unwrap();
    let golden: Golden = serde_json::from_slice(&bytes).unwrap();
    let example = |e: GoldenExample| {
        let answer = GoldAnswer {
            text: e.text,
            start: Some(e.answer_start),
        };
        Example::new(e.id, e.question, e.context).with_answers(vec![answer])
    };
    (
        golden.examples.into_iter().map(example).collect(),
        golden.settings,
    )
}

fn is_equal(ours: &Feature, theirs: &GoldenFeature) -> bool {
    ours.example_index == theirs.example
        && ours.input_ids == theirs.input_ids
        && ours
            .token_type_ids()
            .eq(theirs.token_type_ids.iter().copied())
        && (ours.context.start, ours.context.end) == theirs.context
        && ours.offsets == theirs.offsets
}

#[test]
fn windows_and_offsets_equal_transformers() {
    let (examples, settings) = golden();
    for setting in &settings {
        let options = setting.options();
        let ours = features(&examples, &options);
        assert_eq!(ours.len(), setting.features.len(), "{options:?}");
        for (number, (ours, theirs)) in ours.iter().zip(&setting.features).enumerate() {
            assert!(
                is_equal(ours, theirs),
                "{options:?}, feature {number}: {ours:?}"
            );
        }
    }
}

/// Whether labels differ from those of run_qa.py on purpose: see `make_features`.
fn differs_on_purpose(example: &Example, theirs: &GoldenFeature) -> bool {
    let answer = example.answers()[0].char_range().unwrap();
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
        let options = setting.options();
        let ours = features(&examples, &options);
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
    assert!(compared > 30, "only {compared} labelled features agree");
}

/// Negative control: an overlap that is off by one is noticed.
#[test]
fn another_overlap_is_noticed() {
    let (examples, settings) = golden();
    let setting = &settings[1];
    let options = FeatureOptions {
        doc_stride: setting.doc_stride + 1,
        ..setting.options()
    };
    let ours = features(&examples, &options);
    assert!(
        !ours
            .iter()
            .zip(&setting.features)
            .all(|(ours, theirs)| is_equal(ours, theirs))
    );
}
