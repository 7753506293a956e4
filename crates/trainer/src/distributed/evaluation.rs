use bert_qa::{BertForQuestionAnswering, try_predict_logits};
use burn::tensor::Device;
use process_group::ProcessGroup;
use squad_data::{Feature, Shard};

use crate::Error;
use crate::config::AnswerConfig;
use crate::data::FeaturizedDataset;
use crate::eval::{Evaluation, evaluate_logits};
use crate::train::stop::StopFlag;

/// Evaluates all features, of which each rank computes its share; then every rank scores the logits of all. Returns `None`
/// on every rank if one was asked to stop. `done` receives the number of finished features.
pub(crate) fn evaluate_together(
    model: &BertForQuestionAnswering,
    questions: &FeaturizedDataset,
    answers: &AnswerConfig,
    device: &Device,
    (group, stop): (&dyn ProcessGroup, &StopFlag),
    done: &mut dyn FnMut(usize),
) -> Result<Option<Evaluation>, Error> {
    let (features, world_size) = (&questions.features, group.world_size());
    let lengths: Vec<usize> = features.iter().map(Feature::len).collect();
    let windows = |rank| Ok::<_, Error>(Shard::new(rank, world_size)?.of_features(&lengths));
    let own = windows(group.rank())?;
    let logits = try_predict_logits(model, features, &own, device, &mut |finished| {
        done(finished * features.len() / own.len());
        if stop.is_set() { Err(()) } else { Ok(()) }
    });
    let mut all = vec![[Vec::new(), Vec::new()]; features.len()];
    for (rank, theirs) in group
        .all_gather_bytes(to_bytes(logits.ok()))?
        .iter()
        .enumerate()
    {
        let Some((&FINISHED, mut bytes)) = theirs.split_first() else {
            return Ok(None);
        };
        for window in windows(rank)? {
            all[window] = [0, 1].map(|_| {
                let (side, rest) = bytes.split_at(4 * lengths[window]);
                bytes = rest;
                let (numbers, _) = side.as_chunks();
                numbers
                    .iter()
                    .map(|number| f32::from_le_bytes(*number))
                    .collect()
            });
        }
    }
    evaluate_logits(questions, &all, answers).map(Some)
}

const FINISHED: u8 = 1;

/// The start and end logits of a rank's features, in order; empty if the rank was asked to stop.
fn to_bytes(logits: Option<Vec<[Vec<f32>; 2]>>) -> Vec<u8> {
    let Some(logits) = logits else {
        return Vec::new();
    };
    let numbers = logits.iter().flatten().flatten();
    let mut bytes = vec![FINISHED];
    bytes.extend(numbers.flat_map(|number| number.to_le_bytes()));
    bytes
}
