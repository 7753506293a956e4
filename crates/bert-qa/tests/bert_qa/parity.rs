//! Logits and loss of a model that transformers saved.
//!
//! The reference is computed in `f64`, so a difference is this crate's rounding. `f32` rounds a number near 1 by 6e-8;
//! the tiny model's logits are below 10, and some 30 operations on 12 to 40 numbers each add up to 1e-6. The tolerance is
//! ten times that. The smallest common mistake, GELU by tanh, changes these logits by 4e-4; another epsilon in LayerNorm
//! by 8e-3.

use bert_qa::{BertForQuestionAnswering, PackedInput, span_loss};
use serde::Deserialize;

use crate::common::{Window, batch, cpu, fixture, largest_difference, logits, tiny};

const TOLERANCE: f32 = 1e-5;
/// The least difference of a wrong computation.
const WRONG: f32 = 1e-3;

#[derive(Deserialize)]
pub(crate) struct Expected {
    /// Mean over windows.
    pub(crate) loss: f32,
    /// With the windows padded into one batch, as in transformers' training.
    padded_loss: f32,
    windows: Vec<ExpectedWindow>,
}

#[derive(Deserialize)]
struct ExpectedWindow {
    #[serde(flatten)]
    window: Window,
    loss: f32,
    start_logits: Vec<f32>,
    end_logits: Vec<f32>,
    /// With the token types of question and context swapped.
    swapped_start_logits: Vec<f32>,
    swapped_end_logits: Vec<f32>,
}

impl Expected {
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string(fixture("expected.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) fn windows(&self) -> Vec<Window> {
        self.windows.iter().map(|w| w.window.clone()).collect()
    }

    /// The logits of all windows in the order of the model's output.
    fn logits(&self, sides: fn(&ExpectedWindow) -> [&Vec<f32>; 2]) -> Vec<f32> {
        let pairs = self.windows.iter().flat_map(|window| {
            let [start, end] = sides(window);
            start.iter().zip(end)
        });
        pairs.flat_map(|(start, end)| [*start, *end]).collect()
    }
}

/// The loss of windows, summed over them.
fn loss(model: &BertForQuestionAnswering, windows: &[Window]) -> f32 {
    let input = PackedInput::new(&batch(windows), &cpu());
    span_loss(model.forward(&input, None), &input).into_scalar()
}

#[test]
fn logits_match_transformers() {
    let (expected, model) = (Expected::read(), tiny().model);
    let reference = expected.logits(|w| [&w.start_logits, &w.end_logits]);
    let ours = logits(&model, &batch(&expected.windows()), None);
    let difference = largest_difference(&ours, &reference);
    assert!(difference < TOLERANCE, "{difference}");
}

/// Negative control.
#[test]
fn swapped_token_types_change_the_logits() {
    let (expected, model) = (Expected::read(), tiny().model);
    let mut windows = expected.windows();
    for kind in windows.iter_mut().flat_map(|w| &mut w.token_type_ids) {
        *kind = 1 - *kind;
    }
    let swapped = logits(&model, &batch(&windows), None);
    let reference = expected.logits(|w| [&w.start_logits, &w.end_logits]);
    let difference = largest_difference(&swapped, &reference);
    assert!(difference > WRONG, "{difference}");

    let reference = expected.logits(|w| [&w.swapped_start_logits, &w.swapped_end_logits]);
    let difference = largest_difference(&swapped, &reference);
    assert!(difference < TOLERANCE, "{difference}");
}

#[test]
fn the_loss_matches_without_padding() {
    let (expected, model) = (Expected::read(), tiny().model);
    for ExpectedWindow {
        window,
        loss: reference,
        ..
    } in &expected.windows
    {
        let ours = loss(&model, std::slice::from_ref(window));
        assert!(
            (ours - reference).abs() < TOLERANCE,
            "{ours} and {reference}"
        );
    }
    let windows = expected.windows();
    let mean = loss(&model, &windows) / windows.len() as f32;
    assert!(
        (mean - expected.loss).abs() < TOLERANCE,
        "{mean} and {}",
        expected.loss
    );
    // Negative control: a softmax over padding gives another loss.
    let difference = (mean - expected.padded_loss).abs();
    assert!(difference > WRONG, "{difference}");
}
