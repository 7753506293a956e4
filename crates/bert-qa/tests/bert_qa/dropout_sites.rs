//! Each dropout site of the model by itself: its rate, and the scale of values that are kept.
//!
//! In each test's model only one dropout site reaches the output. All weights of the first layer are zero, so that the
//! residual passes the layer's input, rows of 0, 1, 0, 0, …; the tested dropout's output is added to all columns but the
//! first two. LayerNorm maps a row linearly. The first two columns determine the map, which the test inverts.
//! (`forward.rs` tests that transformers has the same sites.)

use bert_qa::{BertForQuestionAnswering, PackedInput};

use crate::backends::{Backend, values};
use crate::case::{Case, Window, batch};
use crate::common::edit;
use crate::forward::SEED;

/// The width of the models and of each of their three heads.
const WIDTH: usize = 12;
const HEAD: usize = 4;
const TOKENS: usize = 4000;

on_every_backend!(
    embeddings_have_dropout,
    attention_probabilities_have_dropout,
    attention_output_has_dropout_in_bert_only,
    layer_output_has_dropout_once,
    the_head_has_dropout_in_distilbert_only,
);

/// A parameter, by the end of its name in BERT and in DistilBERT.
struct Parameter([&'static str; 2]);

const VALUE_BIAS: Parameter = Parameter([
    "layer.0.attention.self.value.bias",
    "layer.0.attention.v_lin.bias",
]);
const PROJECTION_WEIGHT: Parameter = Parameter([
    "layer.0.attention.output.dense.weight",
    "layer.0.attention.out_lin.weight",
]);
const PROJECTION_BIAS: Parameter = Parameter([
    "layer.0.attention.output.dense.bias",
    "layer.0.attention.out_lin.bias",
]);
const INNER_BIAS: Parameter =
    Parameter(["layer.0.intermediate.dense.bias", "layer.0.ffn.lin1.bias"]);
const OUTPUT_WEIGHT: Parameter =
    Parameter(["layer.0.output.dense.weight", "layer.0.ffn.lin2.weight"]);
const EMBEDDINGS_NORM_BIAS: Parameter = Parameter(["embeddings.LayerNorm.bias"; 2]);
const HEAD_WEIGHT: Parameter = Parameter(["qa_outputs.weight"; 2]);

/// A parameter's value at an index.
type Values = fn(usize) -> f32;

/// The identity matrix of `WIDTH` columns.
fn identity(index: usize) -> f32 {
    f32::from(index / WIDTH == index % WIDTH)
}

/// Models with their dropout of hidden states, attention and the head.
const MODELS: [(&str, [f32; 3]); 2] = [
    ("bert-uncased", [0.1, 0.2, 0.0]),
    ("distilbert", [0.1, 0.2, 0.3]),
];

/// A model in which every weight and bias but those of `parameters` is zero, and LayerNorm weights of layers are 1. Without
/// `hidden`, the configuration has no dropout of hidden states.
fn model(
    backend: &Backend,
    name: &str,
    hidden: bool,
    parameters: &[(Parameter, Values)],
) -> BertForQuestionAnswering {
    let architecture = usize::from(name == "distilbert");
    let folder = Case::read(name).model_with(str::to_owned, |tensor, index| {
        let found = parameters
            .iter()
            .find(|(parameter, _)| tensor.ends_with(parameter.0[architecture]));
        let is_norm = tensor.contains("layer.0.") && tensor.ends_with("orm.weight");
        Some(found.map_or(f32::from(is_norm), |(_, values)| values(index)))
    });
    if !hidden {
        let key = ["\"hidden_dropout_prob\"", "\"dropout\""][architecture];
        let file = folder.path().join("config.json");
        edit(&file, &format!("{key}: 0.1"), &format!("{key}: 0.0"));
    }
    backend.load(folder.path(), false)
}

fn blank_window(tokens: usize) -> Window {
    Window {
        input_ids: vec![1; tokens],
        token_type_ids: vec![0; tokens],
        start_position: 0,
        end_position: 0,
    }
}

/// What the first layer adds to the columns from `first` on, with dropout.
fn added(
    backend: &Backend,
    model: &BertForQuestionAnswering,
    window: usize,
    first: usize,
) -> Vec<f32> {
    let mut row = [0.0; WIDTH];
    row[1] = 1.0;
    let windows = vec![blank_window(window); TOKENS / window];
    let input = PackedInput::new(&batch(&windows), &backend.device());
    let layer = model.layers().next().unwrap();
    let output = layer.forward(backend.rows(&row, TOKENS), &input, Some(SEED));
    let output = values(output);
    let rows = output.chunks(WIDTH);
    rows.flat_map(|y| {
        y[first..]
            .iter()
            .map(|value| (value - y[0]) / (y[1] - y[0]))
    })
    .collect()
}

/// Asserts that every number is 0 or scaled by `1 / (1 - rate)`, and that the share of zeros is `rate`.
#[track_caller]
fn assert_dropped(name: &str, numbers: &[f32], rate: f32) {
    let kept = 1.0 / (1.0 - rate);
    for number in numbers {
        // Inverting LayerNorm rounds numbers near 1 a few times.
        let is_either = number.abs() < 1e-5 || (number - kept).abs() < 1e-5;
        assert!(is_either, "{name}: {number} is neither 0 nor {kept}");
    }
    let count = numbers.len() as f32;
    let share = numbers.iter().filter(|number| number.abs() < 0.5).count() as f32 / count;
    // Five standard deviations; the masks are the same in every run.
    let bound = 5.0 * (rate * (1.0 - rate) / count).sqrt();
    assert!(
        (share - rate).abs() <= bound,
        "{name}: {share} dropped of {count}, not {rate}"
    );
}

fn embeddings_have_dropout(backend: &Backend) {
    for (name, [hidden, ..]) in MODELS {
        let model = model(backend, name, true, &[(EMBEDDINGS_NORM_BIAS, |_| 1.0)]);
        let windows = vec![blank_window(40); TOKENS / 40];
        let input = PackedInput::new(&batch(&windows), &backend.device());
        let numbers = values(model.embeddings().forward(&input, Some(SEED)));
        assert_dropped(name, &numbers, hidden);
    }
}

/// In a feature of one token the only probability is 1: a head's context is its value or 0.
fn attention_probabilities_have_dropout(backend: &Backend) {
    for (name, [_, attention, _]) in MODELS {
        let parameters = [
            (VALUE_BIAS, (|_| 1.0) as Values),
            (PROJECTION_WEIGHT, |index| match index / WIDTH {
                ..HEAD => 0.0,
                _ => identity(index),
            }),
        ];
        let numbers = added(backend, &model(backend, name, false, &parameters), 1, HEAD);
        assert_dropped(name, &numbers, attention);
        // Probabilities are dropped, so a head's columns are dropped together.
        let heads = numbers.chunks(HEAD);
        assert!(
            heads
                .clone()
                .all(|head| head.iter().all(|number| (number - head[0]).abs() < 1e-5))
        );
    }
}

fn attention_output_has_dropout_in_bert_only(backend: &Backend) {
    for (name, [hidden, ..]) in MODELS {
        let parameters = [(PROJECTION_BIAS, (|index| f32::from(index >= 2)) as Values)];
        let numbers = added(backend, &model(backend, name, true, &parameters), 40, 2);
        assert_dropped(
            name,
            &numbers,
            if name == "distilbert" { 0.0 } else { hidden },
        );
    }
}

/// There is no dropout between GELU and the second linear layer.
fn layer_output_has_dropout_once(backend: &Backend) {
    for (name, [hidden, ..]) in MODELS {
        // The matrix is `[12, 20]`. GELU(1) is Φ(1); before it comes a LayerNorm, which stretches the row 0, 1, 0, 0, … by
        // one over its standard deviation, √11 / 12.
        let parameters = [
            (INNER_BIAS, (|_| 1.0) as Values),
            (OUTPUT_WEIGHT, |index| {
                let (row, column) = (index / 20, index % 20);
                let is_on = row >= 2 && row == column;
                f32::from(is_on) * (12.0 / 11f32.sqrt()) / 0.841_344_8
            }),
        ];
        let numbers = added(backend, &model(backend, name, true, &parameters), 40, 2);
        assert_dropped(name, &numbers, hidden);
    }
}

fn the_head_has_dropout_in_distilbert_only(backend: &Backend) {
    for (name, [.., head]) in MODELS {
        let model = model(backend, name, true, &[(HEAD_WEIGHT, identity)]);
        let hidden = backend.rows(&[1.0; WIDTH], TOKENS);
        assert_dropped(name, &values(model.head(hidden, Some(SEED))), head);
    }
}

/// Negative control: a slightly different rate and missing scaling fail.
#[test]
fn assert_dropped_rejects_other_rates_and_scales() {
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
