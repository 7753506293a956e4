//! Gradients of every parameter against PyTorch's.

use bert_qa::Pretrained;
use burn::tensor::{Gradients, Tensor};

use crate::common::{
    OfParameter, Tensors, Window, batch, by_name, cpu, fixture, largest_difference, read_tensors,
};
use crate::parity::Expected;

/// Relative to the largest number of a parameter's gradient: its small ones are sums in which larger ones cancel, and
/// keep the rounding of those. Float32 rounds at 6e-8; the way back is twice as long as the way to the logits, and sums
/// over up to 94 tokens, for which a hundred roundings are allowed.
const TOLERANCE: f32 = 1e-5;

/// Parameters whose gradient is zero in mathematics. A key bias adds the same number to all scores of a query, and the
/// head's bias the same number to all logits of a window: the softmax over them does not change.
fn is_zero_in_mathematics(name: &str) -> bool {
    name.ends_with("self.key.bias") || name == "qa_outputs.bias"
}

struct Gradient(Gradients);

impl OfParameter for Gradient {
    fn take<const D: usize>(&self, parameter: Tensor<D>) -> Option<Tensor<D>> {
        parameter.grad(&self.0)
    }
}

/// Gradients of the mean loss over windows, without dropout.
fn gradients(windows: &[Window]) -> Tensors {
    let device = cpu().autodiff();
    let model = Pretrained::load(&fixture("tiny-bert"), 0, &device).unwrap().model;
    let (sum, _) = model.loss(&batch(windows), &device, None);
    let mean = sum / windows.len() as f32;
    by_name(&model, Gradient(mean.backward()))
}

fn largest(values: &[f32]) -> f32 {
    largest_difference(values, &vec![0.0; values.len()])
}

#[test]
fn gradients_are_those_of_pytorch() {
    let reference = read_tensors(&fixture("gradients.safetensors"));
    let ours = gradients(&Expected::read().windows());
    // Every parameter has one.
    assert!(ours.keys().eq(reference.keys()), "{:?}", ours.keys());
    for (name, reference) in &reference {
        if is_zero_in_mathematics(name) {
            // Sums of numbers up to 1 that cancel: what is left is rounding, 6e-8 each.
            let ours = largest(&ours[name]);
            assert!(ours < 1e-6, "{name}: {ours}");
            continue;
        }
        let difference = largest_difference(&ours[name], reference) / largest(reference);
        assert!(difference < TOLERANCE, "{name}: {difference}");
    }
}

/// The negative control: with other labels, every parameter's gradient fails the comparison by far.
#[test]
fn other_labels_give_every_parameter_another_gradient() {
    let reference = read_tensors(&fixture("gradients.safetensors"));
    let mut windows = Expected::read().windows();
    for window in &mut windows {
        let last = window.input_ids.len() - 1;
        window.start_position = last - window.start_position;
        window.end_position = last - window.end_position;
    }
    let others = gradients(&windows);
    for (name, reference) in reference.iter().filter(|(name, _)| !is_zero_in_mathematics(name)) {
        let difference = largest_difference(&others[name], reference) / largest(reference);
        assert!(difference > 100.0 * TOLERANCE, "{name}: {difference}");
    }
}
