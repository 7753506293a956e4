//! Hidden states, logits and losses against transformers, with every kind of model.

use bert_qa::{DropoutSeed, PackedInput, span_loss};
use squad_data::{Example, FeatureOptions, PackedBatch, QaTokenizer, make_features};

use crate::backends::{Backend, values};
use crate::case::{CASES, Case, batch, sample};
use crate::common::{MAX_LENGTH, largest_difference};

/// What a computation that is wrong must differ by at least: ten times the largest tolerance.
const WRONG: f32 = 1e-4;

/// The seed of the fixture's masks.
pub(crate) const SEED: DropoutSeed = DropoutSeed {
    seed: 5,
    rank: 0,
    step: 7,
    micro_batch: 0,
};

on_every_backend!(
    evaluation_computes_what_transformers_does,
    training_drops_what_transformers_does,
    no_mistake_passes_for_transformers,
);

on_the_gpu!(evaluation_computes_what_transformers_does);

#[track_caller]
fn assert_close(name: &str, what: &str, ours: &[f32], reference: &[f32], tolerance: f32) {
    let difference = largest_difference(&sample(ours), reference);
    assert!(
        difference < tolerance,
        "{name}: {what} differs by {difference}"
    );
}

fn evaluation_computes_what_transformers_does(backend: &Backend) {
    for name in CASES {
        let case = Case::read(name);
        let model = backend.load(case.model().path(), false);
        let input = PackedInput::new(&batch(&case.windows), &backend.device());
        let mut hidden = model.embeddings().forward(&input, None);
        let close = |what: &str, ours| {
            let expected = case.expected(what);
            assert_close(name, what, &values(ours), expected, backend.tolerance);
        };
        close("embeddings", hidden.clone());
        for (index, layer) in model.layers().iter().enumerate() {
            hidden = layer.forward(hidden, &input.cu_seqlens, None);
            close(&format!("layer.{index}"), hidden.clone());
        }
        // No layer was left out: the fixture has no more.
        assert_eq!(case.all("layer.", "").len(), model.layers().len());
        close("logits", model.head(hidden, None));

        let losses: Vec<f32> = case
            .windows
            .iter()
            .map(|window| {
                let one = batch(std::slice::from_ref(window));
                let input = PackedInput::new(&one, &backend.device());
                values(span_loss(model.forward(&input, None), &input))[0]
            })
            .collect();
        assert_close(
            name,
            "losses",
            &losses,
            case.expected("losses"),
            backend.tolerance,
        );
        let sum = span_loss(model.forward(&input, None), &input);
        let total: f32 = case.expected("losses").iter().sum();
        // A sum of eight losses.
        assert_close(name, "sum", &values(sum), &[total], 8.0 * backend.tolerance);
    }
}

/// transformers' own modules drop in the fixture, with masks of ours: equal logits mean that nothing is dropped at another
/// place, in another order, or at another rate. All three rates differ.
fn training_drops_what_transformers_does(backend: &Backend) {
    for name in CASES {
        let case = Case::read(name);
        let model = backend.load(case.model().path(), false);
        let ours = backend.logits(&model, &batch(&case.windows), Some(SEED));
        assert_close(
            name,
            "train.logits",
            &ours,
            case.expected("train.logits"),
            backend.tolerance,
        );
    }
}

/// The negative controls: GELU by tanh, another epsilon, segments exchanged, padding that is not masked; dropout after a norm,
/// before the second linear layer, or wherever else it does not belong.
fn no_mistake_passes_for_transformers(backend: &Backend) {
    for name in CASES {
        let case = Case::read(name);
        let model = backend.load(case.model().path(), false);
        let mut mistakes = 0;
        for (end, seed) in [(".train.logits", Some(SEED)), (".logits", None)] {
            let ours = backend.logits(&model, &batch(&case.windows), seed);
            for (mistake, wrong) in case.all("wrong.", end) {
                if seed.is_none() && mistake.ends_with(".train") {
                    continue;
                }
                let difference = largest_difference(&ours, wrong);
                assert!(
                    difference > WRONG,
                    "{name}: {mistake} differs by {difference}"
                );
                mistakes += 1;
            }
        }
        // BERT can have its segments exchanged, DistilBERT has dropout before its head.
        assert_eq!(mistakes, 9, "{name}");
    }
}

/// A cased vocabulary and one that is not give other tokens for the same text.
#[test]
fn texts_become_the_windows_that_transformers_reads() {
    let mut seen = Vec::new();
    for name in CASES {
        let case = Case::read(name);
        let tokenizer = case.model();
        let tokenizer = QaTokenizer::from_file(&tokenizer.path().join("tokenizer.json")).unwrap();
        let texts = case.texts.iter();
        let examples: Vec<_> = texts.map(|(q, c)| Example::new(q, q, c.as_str())).collect();
        let windows = FeatureOptions {
            max_seq_length: MAX_LENGTH,
            doc_stride: 8,
            ..FeatureOptions::default()
        };
        let features = make_features(&examples, &tokenizer, &windows).unwrap();
        let ours = PackedBatch::new(&features, &[0, 1]);
        let reference = batch(&case.windows[..examples.len()]);
        assert_eq!(ours.input_ids, reference.input_ids, "{name}");
        assert_eq!(ours.token_type_ids, reference.token_type_ids, "{name}");
        assert_eq!(ours.lengths, reference.lengths, "{name}");
        seen.push(ours.input_ids);
    }
    assert_ne!(seen[0], seen[1], "capital letters must count");
}
