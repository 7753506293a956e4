use std::collections::{HashMap, HashSet};

use qa_metrics::{DEFAULT_NA_PROB_THRESH, NaProbs};
use serde_json::json;
use squad_data::{Dataset, Example, NoAnswerProbabilities, PredictedAnswers, ReadOptions};
use trainer::{Error, read_scorable_and_unlabelled};

use super::args::Score;
use super::{config_error, file_error, print_object, warn_about_metric};

pub(super) fn run(args: &Score) -> Result<(), Error> {
    if args.na_prob_thresh.is_some_and(f64::is_nan) {
        return Err(config_error("--na-prob-thresh is NaN: give a number"));
    }
    let options = ReadOptions {
        keep_empty: true,
        ..ReadOptions::default()
    };
    let (dataset, unlabelled) = read_scorable_and_unlabelled(&args.dataset, &options)
        .map_err(|error| exchanged(args).unwrap_or(error))?;
    let predicted = PredictedAnswers::read(&args.predictions)?;
    let mut duplicates = predicted.num_duplicates;
    let na_probs = match &args.na_probs {
        Some(path) => {
            let read = NoAnswerProbabilities::read(path)?;
            duplicates += read.num_duplicates;
            Some(read.values)
        }
        // `evaluate`'s list has them beside the answers.
        None if predicted.no_answer_probabilities.is_empty() => None,
        None => Some(predicted.no_answer_probabilities),
    };
    let na_probs: Option<NaProbs> = na_probs.map(NaProbs::from_iter);
    if args.na_prob_thresh.is_some() && na_probs.is_none() {
        let message =
            "--na-prob-thresh needs --na-probs, or predictions with no_answer_probability";
        return Err(config_error(message));
    }
    let threshold = args.na_prob_thresh.unwrap_or(DEFAULT_NA_PROB_THRESH);
    let null_odds = na_probs.as_ref().map(|probs| (probs, threshold));
    warn_about_metric(&dataset, args.metric.metric);
    let counts = Mismatches::new(&dataset, &unlabelled, &predicted.texts, duplicates);
    counts.warn(dataset.has_unanswerable());
    if args.na_probs.is_some() && !dataset.has_unanswerable() {
        tracing::warn!("every question has an answer: --na-probs changes nothing");
    }
    if are_odds(&dataset, &predicted.texts) {
        tracing::warn!(
            "{}: every prediction is a number with a fraction, and no gold answer is: are these the odds for --na-probs?",
            args.predictions.display()
        );
    }
    let scored = trainer::score(&dataset, &predicted.texts, null_odds, args.metric.metric);
    let mut scores = scored.map_err(|source| Error::Metrics {
        path: match (&source, &args.na_probs) {
            (
                qa_metrics::Error::MissingNaProb { .. } | qa_metrics::Error::NanNaProb { .. },
                Some(path),
            ) => path.clone(),
            _ => args.predictions.clone(),
        },
        source,
    })?;
    for (key, count) in counts.by_key() {
        if count > 0 {
            scores[key] = json!(count);
        }
    }
    print_object(&scores, args.json)
}

/// The error of a data set and predictions that stand in each other's place.
fn exchanged(args: &Score) -> Option<Error> {
    let are_predictions = PredictedAnswers::read(&args.dataset).is_ok();
    let is_exchanged = are_predictions && Dataset::read(&args.predictions).is_ok();
    is_exchanged.then(|| {
        let message = "has predictions, and --predictions names a data set: exchange the two";
        file_error(&args.dataset, message)
    })
}

/// Whether the predictions look like null odds, whose file lies beside that of the predictions.
fn are_odds(dataset: &Dataset, predictions: &HashMap<String, String>) -> bool {
    let is_fraction = |text: &str| text.contains('.') && text.parse::<f64>().is_ok();
    let mut gold = dataset.examples.iter().flat_map(Example::answers);
    !predictions.is_empty()
        && predictions.values().all(|text| is_fraction(text))
        && !gold.any(|answer| is_fraction(&answer.text))
}

/// How predictions do not match the dataset.
struct Mismatches {
    missing: usize,
    /// Predictions of questions whose gold answers are not known.
    unlabelled: usize,
    extra: usize,
    duplicates: usize,
}

impl Mismatches {
    fn new(
        dataset: &Dataset,
        unlabelled: &HashSet<String>,
        predictions: &HashMap<String, String>,
        duplicates: usize,
    ) -> Self {
        let ids: HashSet<_> = dataset.examples.iter().map(|e| e.id.as_str()).collect();
        let is_missing = |id: &&&str| !predictions.contains_key(**id);
        let not_scored = predictions.keys().filter(|id| !ids.contains(id.as_str()));
        let (of_unlabelled, extra): (Vec<_>, Vec<_>) =
            not_scored.partition(|id| unlabelled.contains(*id));
        Self {
            missing: ids.iter().filter(is_missing).count(),
            unlabelled: of_unlabelled.len(),
            extra: extra.len(),
            duplicates,
        }
    }

    fn by_key(&self) -> [(&'static str, usize); 4] {
        [
            ("num_missing", self.missing),
            ("num_unlabelled", self.unlabelled),
            ("num_extra", self.extra),
            ("num_duplicates", self.duplicates),
        ]
    }

    fn warn(&self, is_v2: bool) {
        let counted = if is_v2 {
            "left out of every average"
        } else {
            "counted as wrong"
        };
        for (count, one, several, what) in [
            (
                self.missing,
                "question has",
                "questions have",
                format!("no prediction: {counted}, as in the official script"),
            ),
            (
                self.unlabelled,
                "prediction is",
                "predictions are",
                "not scored, for want of gold answers".to_owned(),
            ),
            (
                self.extra,
                "prediction is",
                "predictions are",
                "of no question of the dataset".to_owned(),
            ),
            (
                self.duplicates,
                "id occurs",
                "ids occur",
                "again: the last one counts".to_owned(),
            ),
        ] {
            match count {
                0 => {}
                1 => tracing::warn!("1 {one} {what}"),
                count => tracing::warn!("{count} {several} {what}"),
            }
        }
    }
}
