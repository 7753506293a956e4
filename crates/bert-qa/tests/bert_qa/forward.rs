//! Hidden states, logits and losses against transformers, for every architecture.

use bert_qa::{BertConfig, DropoutSeed, PackedInput, span_loss};
use squad_data::{Example, FeatureOptions, PackedBatch, QaTokenizer, make_features};

use crate::backends::{Backend, values};
use crate::case::{CASES, Case, batch, sample};
use crate::common::largest_difference;

/// The least difference of a wrong computation: ten times the largest tolerance.
const WRONG: f32 = 1e-4;

/// The seed of the fixture's masks.
pub(crate) const SEED: DropoutSeed = DropoutSeed {
    seed: 5,
    rank: 0,
    step: 7,
    micro_batch: 0,
};

on_every_backend!(
    evaluation_matches_transformers,
    dropout_matches_transformers,
    padding_in_a_text_matches_transformers,
    common_mistakes_do_not_match,
);

on_the_gpu!(evaluation_matches_transformers);

#[track_caller]
fn assert_close(name: &str, what: &str, ours: &[f32], reference: &[f32], tolerance: f32) {
    let difference = largest_difference(&sample(ours), reference);
    assert!(
        difference < tolerance,
        "{name}: {what} differs by {difference}"
    );
}

fn evaluation_matches_transformers(backend: &Backend) {
    for name in CASES {
        let case = Case::read(name);
        let model = backend.load(case.model().path(), false);
        let input = PackedInput::new(&batch(&case.windows), &backend.device());
        let mut hidden = model.embed(&input, None);
        let close = |what: &str, ours| {
            let expected = case.expected(what);
            assert_close(name, what, &values(ours), expected, backend.tolerance);
        };
        close("embeddings", hidden.clone());
        for (index, layer) in model.layers().enumerate() {
            hidden = layer.forward(hidden, &input, None);
            close(&format!("layer.{index}"), hidden.clone());
        }
        // The fixture has no other layer.
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

/// The fixture comes from transformers' modules with this crate's masks. Equal logits mean equal dropout sites, order and
/// rates. All three rates differ.
fn dropout_matches_transformers(backend: &Backend) {
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

/// RoBERTa gives padding tokens a position of their own, and does not count them.
fn padding_in_a_text_matches_transformers(backend: &Backend) {
    for name in CASES {
        let case = Case::read(name);
        let folder = case.model();
        let pad = BertConfig::read(&folder.path().join("config.json")).unwrap();
        let mut window = case.windows[2].clone();
        let without = batch(&[window.clone(), window.clone()]);
        for token in [3, 7] {
            window.input_ids[token] = pad.pad_token_id as u32;
        }
        let model = backend.load(folder.path(), false);
        let expected = case.expected("padding_in_text.logits");
        // Second in its batch, after a feature that has no padding token.
        let ours = batch(&[case.windows[0].clone(), window]);
        let ours = backend.logits(&model, &ours, None);
        let ours = &ours[ours.len() - expected.len()..];
        assert_close(name, "logits", ours, expected, backend.tolerance);
        let without = backend.logits(&model, &without, None);
        assert!(largest_difference(&without[..expected.len()], expected) > WRONG);
    }
}

/// Negative controls: GELU by tanh, another epsilon, swapped token types or token types where there are none, positions
/// from 0, unmasked padding, and dropout at wrong sites.
fn common_mistakes_do_not_match(backend: &Backend) {
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
        // Swapped token types in BERT only, dropout before the head in DistilBERT only, positions from 0 in RoBERTa only,
        // and token types where it has two. MPNet and DeBERTa have three mistakes with distances, and DeBERTa drops
        // embeddings of positions; its convolution has six mistakes. ModernBERT has mistakes of its own. ELECTRA and
        // ALBERT have one without the projection's bias, ALBERT another with one group only.
        let expected = match name {
            "roberta" | "electra" | "albert" => 10,
            "modernbert" | "albert-groups" => 11,
            "mpnet" | "deberta-v3" => 12,
            "deberta-v2" => 13,
            "deberta-v2-conv" => 18,
            "modernbert-bias" => 12,
            _ => 9,
        };
        assert_eq!(mistakes, expected, "{name}");
    }
}

/// Cased and uncased vocabularies give different tokens for the same text.
#[test]
fn features_match_transformers() {
    let mut seen = Vec::new();
    for name in CASES {
        let case = Case::read(name);
        let tokenizer = case.model();
        let tokenizer = QaTokenizer::from_file(&tokenizer.path().join("tokenizer.json")).unwrap();
        let texts = case.texts.iter();
        let examples: Vec<_> = texts.map(|(q, c)| Example::new(q, q, c.as_str())).collect();
        let windows = FeatureOptions {
            max_seq_length: 64,
            doc_stride: 8,
            ..FeatureOptions::default()
        };
        let features = make_features(&examples, &tokenizer, &windows).unwrap();
        let ours = PackedBatch::new(&features, &[0, 1]);
        let reference = batch(&case.windows[..examples.len()]);
        assert_eq!(ours.input_ids, reference.input_ids, "{name}");
        // RoBERTa's tokenizers return zeros: the model has one type.
        if reference.token_type_ids.contains(&1) {
            assert_eq!(ours.token_type_ids, reference.token_type_ids, "{name}");
        }
        assert_eq!(ours.lengths, reference.lengths, "{name}");
        seen.push(ours.input_ids);
    }
    assert_ne!(seen[0], seen[1], "capital letters must count");
}
