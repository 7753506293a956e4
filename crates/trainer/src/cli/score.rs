use std::collections::{HashMap, HashSet};
use std::path::Path;

use qa_metrics::NaProbs;
use serde::de::DeserializeOwned;
use squad_data::Dataset;
use trainer::Error;

use super::args::Score;
use super::{file_error, notice, print_object, read_text};

pub(super) fn run(args: &Score) -> Result<(), Error> {
    if args.na_prob_thresh.is_nan() {
        let message = "na_prob_thresh is NaN: must be a number";
        return Err(Error::Config(vec![message.into()]));
    }
    let dataset = Dataset::read(&args.dataset)?;
    let predictions: HashMap<String, String> = read_json(&args.predictions)?;
    let na_probs: Option<NaProbs> = args.na_probs.as_deref().map(read_json).transpose()?;
    let null_odds = na_probs.as_ref().map(|probs| (probs, args.na_prob_thresh));
    warn(&dataset, &predictions, null_odds.is_some());
    let scores =
        trainer::score(&dataset, &predictions, null_odds).map_err(|source| Error::Metrics {
            path: args.predictions.clone(),
            source,
        })?;
    print_object(&scores, args.json)
}

/// Warns about predictions that do not match the dataset.
fn warn(dataset: &Dataset, predictions: &HashMap<String, String>, with_odds: bool) {
    let is_v2 = dataset.has_unanswerable();
    let ids: HashSet<_> = dataset
        .examples
        .iter()
        .map(|example| &*example.id)
        .collect();
    let missing = ids
        .iter()
        .filter(|id| !predictions.contains_key(**id))
        .count();
    let extra = predictions
        .keys()
        .filter(|id| !ids.contains(id.as_str()))
        .count();
    if missing > 0 {
        let counted = if is_v2 {
            "left out of every average"
        } else {
            "counted as wrong"
        };
        let questions = match missing {
            1 => "1 question has".to_owned(),
            missing => format!("{missing} questions have"),
        };
        notice(&format!(
            "warning: {questions} no prediction: {counted}, as in the official script"
        ));
    }
    if extra > 0 {
        let predictions = match extra {
            1 => "1 prediction is".to_owned(),
            extra => format!("{extra} predictions are"),
        };
        notice(&format!(
            "warning: {predictions} of no question of the dataset"
        ));
    }
    if with_odds && !is_v2 {
        notice("warning: every question has an answer: --na-probs changes nothing");
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    serde_json::from_str(&read_text(path)?).map_err(|e| file_error(path, e))
}
