//! What each dropout of the model drops, seen by itself: how many numbers, and what becomes of the others.
//!
//! A model is made in which one dropout at a time reaches the output. All weights of its first layer are zero, so that only
//! the layer's input stays, whose rows are 0, 1, 0, 0, …; what a dropout lets through is added to all but the first two
//! columns. LayerNorm maps a row linearly, and the first two columns tell how: from them the others are read.
//! (That transformers drops at the same places is a test of `forward.rs`.)

use bert_qa::{BertForQuestionAnswering, PackedInput};
use fused_ops::CuSeqlens;

use crate::backends::{Backend, values};
use crate::case::{Case, Window, batch};
use crate::common::edit;
use crate::forward::SEED;

/// The width of the models and of each of their three heads.
const WIDTH: usize = 12;
const HEAD: usize = 4;
const TOKENS: usize = 4000;

on_every_backend!(
    embeddings_are_dropped,
    attention_probabilities_are_dropped,
    the_output_of_attention_is_dropped_in_bert_only,
    the_output_of_a_layer_is_dropped_once,
    the_heads_input_is_dropped_in_distilbert_only,
);

/// A part of the first layer, by what its name contains in BERT and in DistilBERT.
struct Part([&'static str; 2]);

const VALUE_BIAS: Part = Part([
    "layer.0.attention.self.value.bias",
    "layer.0.attention.v_lin.bias",
]);
const PROJECTION_WEIGHT: Part = Part([
    "layer.0.attention.output.dense.weight",
    "layer.0.attention.out_lin.weight",
]);
const PROJECTION_BIAS: Part = Part([
    "layer.0.attention.output.dense.bias",
    "layer.0.attention.out_lin.bias",
]);
const INNER_BIAS: Part = Part(["layer.0.intermediate.dense.bias", "layer.0.ffn.lin1.bias"]);
const OUTPUT_WEIGHT: Part = Part(["layer.0.output.dense.weight", "layer.0.ffn.lin2.weight"]);
const EMBEDDINGS_NORM_BIAS: Part = Part(["embeddings.LayerNorm.bias"; 2]);
const HEAD_WEIGHT: Part = Part(["qa_outputs.weight"; 2]);

/// How a part's numbers follow from their index.
type Values = fn(usize) -> f32;

/// 1 where row and column of a matrix of `WIDTH` columns are the same.
fn identity(index: usize) -> f32 {
    f32::from(index / WIDTH == index % WIDTH)
}

/// BERT and DistilBERT with their rates for hidden states, attention and the head.
const MODELS: [(&str, [f32; 3]); 2] = [
    ("bert-uncased", [0.1, 0.2, 0.0]),
    ("distilbert", [0.1, 0.2, 0.3]),
];

/// A model in which every weight and bias is zero but those of `parts`; gains of layers' norms are 1. Without `hidden`, the
/// configuration has no dropout of hidden states.
fn model(
    backend: &Backend,
    name: &str,
    hidden: bool,
    parts: &[(Part, Values)],
) -> BertForQuestionAnswering {
    let architecture = usize::from(name == "distilbert");
    let folder = Case::read(name).model_with(str::to_owned, |tensor, index| {
        let part = parts
            .iter()
            .find(|(part, _)| tensor.ends_with(part.0[architecture]));
        let is_gain = tensor.contains("layer.0.") && tensor.ends_with("orm.weight");
        Some(part.map_or(f32::from(is_gain), |(_, values)| values(index)))
    });
    if !hidden {
        let key = ["\"hidden_dropout_prob\"", "\"dropout\""][architecture];
        let file = folder.path().join("config.json");
        edit(&file, &format!("{key}: 0.1"), &format!("{key}: 0.0"));
    }
    backend.load(folder.path(), false)
}

/// What was added to the columns from `first` on, by the first layer in train mode.
fn added(
    backend: &Backend,
    model: &BertForQuestionAnswering,
    window: usize,
    first: usize,
) -> Vec<f32> {
    let mut row = [0.0; WIDTH];
    row[1] = 1.0;
    let lengths = CuSeqlens::new(&vec![window; TOKENS / window]);
    let output = model.layers()[0].forward(backend.rows(&row, TOKENS), &lengths, Some(SEED));
    let output = values(output);
    let rows = output.chunks(WIDTH);
    rows.flat_map(|y| {
        y[first..]
            .iter()
            .map(|value| (value - y[0]) / (y[1] - y[0]))
    })
    .collect()
}

/// Every number is dropped or scaled to keep the mean, and as many are dropped as should be.
#[track_caller]
fn assert_dropped(name: &str, numbers: &[f32], rate: f32) {
    let kept = 1.0 / (1.0 - rate);
    for number in numbers {
        // LayerNorm is undone by a division: some roundings of numbers near 1.
        let is_either = number.abs() < 1e-5 || (number - kept).abs() < 1e-5;
        assert!(is_either, "{name}: {number} is neither 0 nor {kept}");
    }
    let count = numbers.len() as f32;
    let share = numbers.iter().filter(|number| number.abs() < 0.5).count() as f32 / count;
    // Five standard deviations; the masks are the same every time.
    let bound = 5.0 * (rate * (1.0 - rate) / count).sqrt();
    assert!(
        (share - rate).abs() <= bound,
        "{name}: {share} dropped of {count}, not {rate}"
    );
}

fn embeddings_are_dropped(backend: &Backend) {
    for (name, [hidden, ..]) in MODELS {
        let model = model(backend, name, true, &[(EMBEDDINGS_NORM_BIAS, |_| 1.0)]);
        let window = Window {
            input_ids: vec![1; 40],
            token_type_ids: vec![0; 40],
            start_position: 0,
            end_position: 0,
        };
        let input = PackedInput::new(&batch(&vec![window; TOKENS / 40]), &backend.device());
        let numbers = values(model.embeddings().forward(&input, Some(SEED)));
        assert_dropped(name, &numbers, hidden);
    }
}

/// In a window of one token the only probability is 1: a head's context is its value, or nothing.
fn attention_probabilities_are_dropped(backend: &Backend) {
    for (name, [_, attention, _]) in MODELS {
        let parts = [
            (VALUE_BIAS, (|_| 1.0) as Values),
            (PROJECTION_WEIGHT, |index| match index / WIDTH {
                ..HEAD => 0.0,
                _ => identity(index),
            }),
        ];
        let numbers = added(backend, &model(backend, name, false, &parts), 1, HEAD);
        assert_dropped(name, &numbers, attention);
        // Probabilities are dropped, not hidden states: a head's columns go together.
        let heads = numbers.chunks(HEAD);
        assert!(
            heads
                .clone()
                .all(|head| head.iter().all(|number| (number - head[0]).abs() < 1e-5))
        );
    }
}

fn the_output_of_attention_is_dropped_in_bert_only(backend: &Backend) {
    for (name, [hidden, ..]) in MODELS {
        let parts = [(PROJECTION_BIAS, (|index| f32::from(index >= 2)) as Values)];
        let numbers = added(backend, &model(backend, name, true, &parts), 40, 2);
        assert_dropped(
            name,
            &numbers,
            if name == "distilbert" { 0.0 } else { hidden },
        );
    }
}

/// Once: not between GELU and the second linear layer as well, nor instead.
fn the_output_of_a_layer_is_dropped_once(backend: &Backend) {
    for (name, [hidden, ..]) in MODELS {
        // The matrix is `[12, 20]`. GELU(1) is Φ(1); before it comes a LayerNorm, which stretches the row 0, 1, 0, 0, … by
        // one over its standard deviation, √11 / 12.
        let parts = [
            (INNER_BIAS, (|_| 1.0) as Values),
            (OUTPUT_WEIGHT, |index| {
                let (row, column) = (index / 20, index % 20);
                let is_on = row >= 2 && row == column;
                f32::from(is_on) * (12.0 / 11f32.sqrt()) / 0.841_344_8
            }),
        ];
        let numbers = added(backend, &model(backend, name, true, &parts), 40, 2);
        assert_dropped(name, &numbers, hidden);
    }
}

fn the_heads_input_is_dropped_in_distilbert_only(backend: &Backend) {
    for (name, [.., head]) in MODELS {
        let model = model(backend, name, true, &[(HEAD_WEIGHT, identity)]);
        let hidden = backend.rows(&[1.0; WIDTH], TOKENS);
        assert_dropped(name, &values(model.head(hidden, Some(SEED))), head);
    }
}

/// The negative control of all these: numbers at a rate that is little off, or not scaled, are told apart.
#[test]
fn other_rates_are_noticed() {
    let numbers = |dropped: usize, kept: f32| -> Vec<f32> {
        (0..40_000)
            .map(|i| if i % 1000 < dropped { 0.0 } else { kept })
            .collect()
    };
    let passes =
        |numbers: Vec<f32>| std::panic::catch_unwind(|| assert_dropped("", &numbers, 0.1)).is_ok();
    assert!(passes(numbers(100, 1.0 / 0.9)));
    assert!(!passes(numbers(110, 1.0 / 0.9)));
    assert!(!passes(numbers(100, 1.0)));
}
