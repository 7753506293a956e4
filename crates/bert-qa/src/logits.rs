use std::convert::Infallible;

use burn::tensor::Device;
use squad_data::{Example, Feature, PackedBatch, batches_by_tokens, counted};

use crate::error::{Error, list};
use crate::model::{BertForQuestionAnswering, PackedInput};
use crate::{Precision, WeightCache};

/// Tokens per forward pass: enough to keep every core busy, and few enough that hidden states need
/// less memory than the weights.
pub(crate) const TOKENS_PER_BATCH: usize = 4096;

/// Start and end logits of every feature, `[tokens]` each, without dropout, in the order of `features`.
///
/// Calls `progress` after each batch with the number of features done. Weights that `autocast`'s precision packs are kept in
/// the caller's [`WeightCache`], or else for this call. With a cache, fuse the model's projections once:
/// [`BertForQuestionAnswering::fuse_qkv_projections`].
///
/// # Panics
/// If a feature has more tokens than the model has positions, or a token that its vocabulary does not have.
pub fn predict_logits(
    model: &BertForQuestionAnswering,
    features: &[Feature],
    device: &Device,
    progress: &mut dyn FnMut(usize),
) -> Vec<[Vec<f32>; 2]> {
    predict_logits_in_batches(model, features, TOKENS_PER_BATCH, device, progress)
}

/// As [`predict_logits`], in batches of at most `max_tokens` tokens; a longer feature is a batch of its own.
pub(crate) fn predict_logits_in_batches(
    model: &BertForQuestionAnswering,
    features: &[Feature],
    max_tokens: usize,
    device: &Device,
    progress: &mut dyn FnMut(usize),
) -> Vec<[Vec<f32>; 2]> {
    let indices: Vec<usize> = (0..features.len()).collect();
    let progress = &mut |done| {
        progress(done);
        Ok::<(), Infallible>(())
    };
    match in_batches(model, features, &indices, max_tokens, device, progress) {
        Ok(logits) => logits,
        Err(never) => match never {},
    }
}

/// As [`predict_logits`], for `features[i]` for each `i` of `indices`, in that order. Stops when
/// `progress` returns an error.
///
/// # Errors
/// The error of `progress`; nothing else fails.
///
/// # Panics
/// As [`predict_logits`], and if an index is out of range.
pub fn try_predict_logits<E>(
    model: &BertForQuestionAnswering,
    features: &[Feature],
    indices: &[usize],
    device: &Device,
    progress: &mut dyn FnMut(usize) -> Result<(), E>,
) -> Result<Vec<[Vec<f32>; 2]>, E> {
    in_batches(model, features, indices, TOKENS_PER_BATCH, device, progress)
}

fn in_batches<E>(
    model: &BertForQuestionAnswering,
    features: &[Feature],
    indices: &[usize],
    max_tokens: usize,
    device: &Device,
    progress: &mut dyn FnMut(usize) -> Result<(), E>,
) -> Result<Vec<[Vec<f32>; 2]>, E> {
    let current = WeightCache::current();
    let fuses = current.is_none() && Precision::current() != Precision::F32;
    let fused = fuses.then(|| model.clone().fuse_qkv_projections());
    let (weights, model) = (current.unwrap_or_default(), fused.as_ref().unwrap_or(model));
    let mut logits = vec![[Vec::new(), Vec::new()]; indices.len()];
    let lengths: Vec<usize> = indices.iter().map(|&index| features[index].len()).collect();
    let mut done = 0;
    for positions in batches_by_tokens(&lengths, max_tokens) {
        let batch: Vec<usize> = positions
            .iter()
            .map(|&position| indices[position])
            .collect();
        let batch = PackedBatch::new(features, &batch);
        let input = PackedInput::new(&batch, device);
        let output = weights.scope(|| model.forward(&input, None));
        // `[tokens, 2]` in row-major order: start, end, start, end, …
        let values: Vec<f32> = output.into_data().iter::<f32>().collect();
        let (pairs, _) = values.as_chunks();
        for (position, pairs) in positions.iter().zip(batch.unpack::<[f32; 2]>(pairs)) {
            logits[*position] = [0, 1].map(|side| pairs.iter().map(|pair| pair[side]).collect());
        }
        done += positions.len();
        progress(done)?;
    }
    Ok(logits)
}

/// Checks that no logit is NaN, infinite, or too large to be added to another: answers from such
/// logits mean nothing. `logits` are the start and end logits of each feature, `[tokens]` each.
///
/// # Errors
/// With the ids of the questions that have such logits.
pub fn check_finite_logits(
    examples: &[Example],
    features: &[Feature],
    logits: &[[Vec<f32>; 2]],
) -> Result<(), Error> {
    /// A score is a sum of two logits, and odds are the difference of two scores.
    const LARGEST: f32 = f32::MAX / 8.0;
    // Also refuses NaN.
    let is_wrong = |logit: &f32| !(-LARGEST..=LARGEST).contains(logit);
    let wrong = features
        .iter()
        .zip(logits)
        .filter(|(_, logits)| logits.iter().flatten().any(is_wrong))
        .filter_map(|(feature, _)| Some(&*examples.get(feature.example_index)?.id));
    let mut ids: Vec<&str> = wrong.collect();
    ids.dedup();
    if ids.is_empty() {
        return Ok(());
    }
    Err(Error::NotFinite {
        what: format!(
            "the model's logits are not finite for {} ({}): its weights are too large or damaged",
            counted(ids.len(), "question"),
            list(&ids)
        ),
    })
}
