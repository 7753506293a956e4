//! Gradients of every parameter against PyTorch's.

use bert_qa::Pretrained;
use burn::tensor::{Gradients, Tensor};

use crate::common::{
    OfParameter, Tensors, Window, batch, by_name, cpu, fixture, largest_difference, read_tensors,
};
use crate::parity::Expected;

/// Relative to the largest number of a parameter's gradient: its small ones are sums in which larger ones cancel, and
/// keep the rounding of those. Float32 rounds at 6e-8; there and back it is some 100 operations, on sums over up to 94
/// tokens, which were seen to add up to 2.4e-6.
const TOLERANCE: f32 = 1e-5;

/// Parameters whose gradient is zero in mathematics, because a softmax does not change when the same number is added to
/// all it runs over: a key bias adds one number to all scores of a query; the head's bias, and through the head the
/// bias of the last LayerNorm, one to all logits of a window.
fn is_zero_in_mathematics(name: &str) -> bool {
    let last_norm = "bert.encoder.layer.1.output.LayerNorm.bias";
    name.ends_with("self.key.bias") || name == last_norm || name == "qa_outputs.bias"
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
    let model = Pretrained::load(&fixture("tiny-bert"), 0, &device)
        .unwrap()
        .model;
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
            // Sums that cancel. What is left is the rounding of their terms, which are below 0.1: some 1e-8, where
            // the gradients of the others are 1e-2 to 1e-1.
            let ours = largest(&ours[name]);
            assert!(ours < 1e-7, "{name}: {ours}");
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
    for (name, reference) in reference
        .iter()
        .filter(|(name, _)| !is_zero_in_mathematics(name))
    {
        let difference = largest_difference(&others[name], reference) / largest(reference);
        assert!(difference > 100.0 * TOLERANCE, "{name}: {difference}");
    }
}
