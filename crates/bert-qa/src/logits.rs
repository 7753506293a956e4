use std::convert::Infallible;

use burn::tensor::Device;
use squad_data::{Feature, PackedBatch, batches_by_tokens};

use crate::{BertForQuestionAnswering, PackedInput};

/// Tokens in one forward pass of evaluation: enough to keep every core busy, little enough that
/// the hidden states stay small beside the weights.
const EVALUATION_TOKENS: usize = 4096;

/// Start and end logits of every window, computed without dropout, in the order of `features`.
///
/// `done` is told after each batch how many windows are finished.
pub fn predict_logits(
    model: &BertForQuestionAnswering,
    features: &[Feature],
    device: &Device,
    done: &mut dyn FnMut(usize),
) -> Vec<[Vec<f32>; 2]> {
    let all: Vec<usize> = (0..features.len()).collect();
    let all = try_predict_logits(model, features, &all, device, &mut |finished| {
        done(finished);
        Ok::<(), Infallible>(())
    });
    match all {
        Ok(logits) => logits,
        Err(never) => match never {},
    }
}

/// As [`predict_logits`], of some of the windows, in their order, until `done` says that it is enough.
///
/// # Errors
/// What `done` gives; nothing else fails.
///
/// # Panics
/// If `windows` has an index that is not one of a feature.
pub fn try_predict_logits<E>(
    model: &BertForQuestionAnswering,
    features: &[Feature],
    windows: &[usize],
    device: &Device,
    done: &mut dyn FnMut(usize) -> Result<(), E>,
) -> Result<Vec<[Vec<f32>; 2]>, E> {
    let mut logits = vec![[Vec::new(), Vec::new()]; windows.len()];
    let lengths: Vec<usize> = windows.iter().map(|&w| features[w].len()).collect();
    let mut finished = 0;
    for indices in batches_by_tokens(&lengths, EVALUATION_TOKENS) {
        let batch: Vec<usize> = indices.iter().map(|&index| windows[index]).collect();
        let batch = PackedBatch::new(features, &batch);
        let input = PackedInput::new(&batch, device);
        let output = model.forward(&input, None).into_data();
        // The model's output is `[tokens, 2]` in row-major order: start, end, start, end, …
        let values: Vec<f32> = output.iter::<f32>().collect();
        for (index, range) in indices.iter().zip(input.lengths.ranges()) {
            let pairs = &values[2 * range.start..2 * range.end];
            logits[*index] =
                [0, 1].map(|side| pairs.iter().skip(side).step_by(2).copied().collect());
        }
        finished += indices.len();
        done(finished)?;
    }
    Ok(logits)
}
