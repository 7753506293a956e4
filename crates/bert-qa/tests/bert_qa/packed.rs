//! Features of a packed batch do not influence each other.

use bert_qa::{BertForQuestionAnswering, predict_logits};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use squad_data::{Feature, PackedBatch, PairTemplate};

use crate::backends::Backend;
use crate::case::{CASES, Case};
use crate::common::{MAX_LENGTH, VOCAB_SIZE, Window, batch, cpu, largest_difference, logits, tiny};

/// Matmuls may sum in another order for more rows. Logits are below 10, where neighbouring numbers are 1e-6 apart; ten of
/// these are allowed, one or two occur.
const TOLERANCE: f32 = 1e-5;

on_every_backend!(
    a_packed_batch_equals_its_features_alone,
    features_without_a_boundary_change_each_other,
);

on_the_gpu!(
    a_packed_batch_equals_its_features_alone,
    features_without_a_boundary_change_each_other
);

/// The logits of each window in a batch of its own, concatenated.
fn alone(backend: &Backend, model: &BertForQuestionAnswering, windows: &[Window]) -> Vec<f32> {
    let one = |window: &Window| backend.logits(model, &batch(std::slice::from_ref(window)), None);
    windows.iter().flat_map(one).collect()
}

/// A window of any length and any ids that the model allows.
fn window() -> impl Strategy<Value = Window> {
    let ids = prop::collection::vec(0..VOCAB_SIZE, 1..=MAX_LENGTH);
    (ids, 0..=MAX_LENGTH).prop_map(|(input_ids, context)| Window {
        token_type_ids: (0..input_ids.len())
            .map(|i| u32::from(i >= context))
            .collect(),
        input_ids,
        start_position: 0,
        end_position: 0,
    })
}

fn a_packed_batch_equals_its_features_alone(backend: &Backend) {
    let model = backend.load(Case::read("distilbert").model().path(), false);
    let config = ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mixes = prop::collection::vec(window(), 1..8);
    let result = TestRunner::new(config).run(&mixes, |windows| {
        let packed = backend.logits(&model, &batch(&windows), None);
        let difference = largest_difference(&packed, &alone(backend, &model, &windows));
        prop_assert!(difference < TOLERANCE, "{}", difference);
        Ok(())
    });
    result.unwrap();
}

/// Negative control: without the boundary, attention mixes the two.
fn features_without_a_boundary_change_each_other(backend: &Backend) {
    for name in CASES {
        let case = Case::read(name);
        let model = backend.load(case.model().path(), false);
        for pair in case.windows.windows(2) {
            let mut glued = batch(pair);
            // Ids, token types and positions stay; only attention's boundary goes.
            glued.lengths = vec![glued.num_tokens()];
            let together = backend.logits(&model, &glued, None);
            let difference = largest_difference(&together, &alone(backend, &model, pair));
            assert!(difference > 1e-3, "{name}: {difference}");
        }
    }
}

/// `predict_logits` sorts features by length into batches of some thousand tokens.
#[test]
fn predict_logits_keeps_the_order_of_features() {
    let model = tiny().model;
    let feature = |index: usize| {
        let length = 3 + (index * 7) % (MAX_LENGTH - 2);
        Feature {
            example_index: 0,
            input_ids: (0..length)
                .map(|i| ((index + i * i) % VOCAB_SIZE as usize) as u32)
                .collect(),
            template: PairTemplate::bert(101, 102).into(),
            context: 2..length - 1,
            max_context: 2..length - 1,
            offsets: vec![(0, 0); length - 3],
            word_starts: Vec::new(),
            start_position: 0,
            end_position: 0,
        }
    };
    // About 21 tokens each, 4096 to a batch: three batches.
    let features: Vec<Feature> = (0..500).map(feature).collect();
    let mut progress = Vec::new();
    let predicted = predict_logits(&model, &features, &cpu(), &mut |done| progress.push(done));
    assert!(
        progress.len() > 1 && progress.is_sorted() && progress.last() == Some(&500),
        "{progress:?}"
    );
    for (index, [start, end]) in predicted.iter().enumerate() {
        let alone = logits(&model, &PackedBatch::new(&features, &[index]), None);
        let pairs: Vec<f32> = start.iter().zip(end).flat_map(|(s, e)| [*s, *e]).collect();
        let difference = largest_difference(&pairs, &alone);
        assert!(difference < TOLERANCE, "window {index}: {difference}");
    }
}
