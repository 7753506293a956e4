//! Gradients of every parameter against PyTorch's.

use bert_qa::{DropoutSeed, PackedInput, Pretrained, span_loss};
use burn::tensor::{Gradients, Tensor};

use crate::backends::Backend;
use crate::case::{CASES, Case, sample};
use crate::common::{
    OfParameter, Tensors, Window, batch, by_name, cpu, fixture, largest_difference, read_tensors,
};
use crate::forward::SEED;
use crate::parity::Expected;

/// Relative to the largest value of a parameter's gradient, because small values are sums in which larger ones cancel. `f32`
/// rounds at 6e-8; forward and backward, some 100 operations on sums over up to 150 tokens add up to 4e-6. For `f64`,
/// [`Backend::tolerance`] is a tenth.
const TOLERANCE: f32 = 1e-5;

on_every_backend!(gradients_match_pytorch, other_labels_change_every_gradient,);

on_the_gpu!(gradients_match_pytorch, other_labels_change_every_gradient);

struct Gradient(Gradients);

impl OfParameter for Gradient {
    fn take<const D: usize>(&self, parameter: Tensor<D>) -> Option<Tensor<D>> {
        parameter.grad(&self.0)
    }
}

/// Gradients of the mean loss over windows.
fn gradients(
    case: &Case,
    windows: &[Window],
    dropout: Option<DropoutSeed>,
    backend: &Backend,
) -> Tensors {
    let model = backend.load(case.model().path(), true);
    let input = PackedInput::new(&batch(windows), &backend.device().autodiff());
    let sum = span_loss(model.forward(&input, dropout), &input);
    let mean = sum / windows.len() as f32;
    let mut gradients = by_name(&model, Gradient(mean.backward()));
    for values in gradients.values_mut() {
        *values = sample(values);
    }
    gradients
}

fn largest(values: &[f32]) -> f32 {
    largest_difference(values, &vec![0.0; values.len()])
}

/// Parameters whose exact gradient is zero, because a softmax does not change when a constant is added to its inputs: a
/// key bias adds a constant to all scores of a query; the head's bias, and the last LayerNorm's through the head, to all
/// logits of a feature. PyTorch computes some 1e-17 in `f64`.
fn is_exactly_zero(reference: &[f32]) -> bool {
    largest(reference) < 1e-12
}

fn gradients_match_pytorch(backend: &Backend) {
    for name in CASES {
        let case = Case::read(name);
        for (start, dropout) in [("grad.", None), ("train.grad.", Some(SEED))] {
            let reference = case.all(start, "");
            if reference.is_empty() {
                assert_eq!((name, start), ("minilm", "train.grad."));
                continue;
            }
            let ours = gradients(&case, &case.windows, dropout, backend);
            // Every parameter has one.
            assert!(ours.keys().eq(reference.iter().map(|(name, _)| name)));
            let mut zeros = 0;
            for (parameter, reference) in reference {
                let ours = &ours[parameter];
                if is_exactly_zero(reference) {
                    // The terms of the sum, which are below 1, cancel up to their rounding.
                    assert!(
                        largest(ours) < 1e-6,
                        "{name} {parameter}: {}",
                        largest(ours)
                    );
                    zeros += 1;
                    continue;
                }
                let difference = largest_difference(ours, reference) / largest(reference);
                assert!(
                    difference < backend.tolerance,
                    "{name} {start}{parameter}: {difference}"
                );
            }
            // Each layer's key bias, the head's bias, and the last norm's unless dropout follows it or layers share it.
            // DeBERTa multiplies keys with queries of positions too, which differ from key to key; where keys of
            // positions have a projection of their own, its bias takes the place.
            let layers = case.all("layer.", "").len();
            let before_head = name == "distilbert" && dropout.is_some();
            // ModernBERT has no bias but the head's, or a last norm's too, which dropout follows.
            let expected = match name {
                "modernbert" => 1,
                "modernbert-bias" => 2 - usize::from(dropout.is_some()),
                "deberta-v3" | "deberta-v2-conv" => 2,
                // One group of layers, or two.
                "albert" => 2,
                "albert-groups" => 3,
                _ => layers + 2 - usize::from(before_head),
            };
            assert_eq!(zeros, expected, "{name}");
        }
    }
}

/// Negative control: with other labels, every gradient differs by far more than the tolerance.
fn other_labels_change_every_gradient(backend: &Backend) {
    for name in CASES {
        let case = Case::read(name);
        let mut windows = case.windows.clone();
        for window in &mut windows {
            let last = window.input_ids.len() - 1;
            window.start_position = last - window.start_position;
            window.end_position = last - window.end_position;
        }
        let others = gradients(&case, &windows, None, backend);
        for (parameter, reference) in case.all("grad.", "") {
            if !is_exactly_zero(reference) {
                let difference = largest_difference(&others[parameter], reference);
                let difference = difference / largest(reference);
                assert!(
                    difference > 100.0 * TOLERANCE,
                    "{name} {parameter}: {difference}"
                );
            }
        }
    }
}

/// With a weights file that transformers wrote.
#[test]
fn gradients_of_a_saved_model_match_pytorch() {
    let device = cpu().autodiff();
    let model = Pretrained::load(&fixture("tiny-bert"), 0, &device)
        .unwrap()
        .model;
    let windows = Expected::read().windows();
    let input = PackedInput::new(&batch(&windows), &device);
    let sum = span_loss(model.forward(&input, None), &input);
    let mean = sum / windows.len() as f32;
    let ours = by_name(&model, Gradient(mean.backward()));
    let reference = read_tensors(&fixture("gradients.safetensors"));
    assert!(ours.keys().eq(reference.keys()), "{:?}", ours.keys());
    for (name, reference) in &reference {
        if !is_exactly_zero(reference) {
            let difference = largest_difference(&ours[name], reference) / largest(reference);
            assert!(difference < TOLERANCE, "{name}: {difference}");
        }
    }
}
