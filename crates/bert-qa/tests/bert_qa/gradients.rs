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

/// Relative to the largest number of a parameter's gradient: its small ones are sums in which larger ones cancel, and
/// keep the rounding of those. Float32 rounds at 6e-8; there and back it is some 100 operations, on sums over up to 150
/// tokens, which were seen to add up to 4e-6. With `f64` it is a tenth of that, [`Backend::tolerance`].
const TOLERANCE: f32 = 1e-5;

on_every_backend!(
    gradients_are_those_of_pytorch,
    other_labels_give_every_parameter_another_gradient,
);

on_the_gpu!(
    gradients_are_those_of_pytorch,
    other_labels_give_every_parameter_another_gradient
);

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

/// Parameters whose gradient is zero in mathematics, because a softmax does not change when the same number is added to
/// all it runs over: a key bias adds one number to all scores of a query; the head's bias, and through the head the
/// bias of the last LayerNorm, one to all logits of a window. In float64 PyTorch finds some 1e-17.
fn is_zero_in_mathematics(reference: &[f32]) -> bool {
    largest(reference) < 1e-12
}

fn gradients_are_those_of_pytorch(backend: &Backend) {
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
                if is_zero_in_mathematics(reference) {
                    // Sums that cancel. What is left is the rounding of their terms, which are below 1.
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
            // A key's bias in each layer, the head's; the last norm's, if no dropout stands between it and the head.
            let layers = case.all("layer.", "").len();
            let before_head = name == "distilbert" && dropout.is_some();
            assert_eq!(zeros, layers + 2 - usize::from(before_head), "{name}");
        }
    }
}

/// The negative control: with other labels, every parameter's gradient fails the comparison by far.
fn other_labels_give_every_parameter_another_gradient(backend: &Backend) {
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
            if !is_zero_in_mathematics(reference) {
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

/// The same with a weights file that transformers wrote.
#[test]
fn gradients_of_a_saved_model_are_those_of_pytorch() {
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
        if !is_zero_in_mathematics(reference) {
            let difference = largest_difference(&ours[name], reference) / largest(reference);
            assert!(difference < TOLERANCE, "{name}: {difference}");
        }
    }
}
