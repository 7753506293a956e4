//! The files of an evaluation.

use std::path::Path;

use rayon::prelude::*;
use squad_data::Prediction;

use crate::Error;
use crate::artifacts::predictions::{Layout, PredictionRecord, write_predictions};
use crate::artifacts::run_dir::check_writable;
use crate::eval::Evaluation;

impl Evaluation {
    /// Creates the folder for [`Evaluation::write`] and checks that it is writable.
    ///
    /// # Errors
    /// If it cannot be created or written to, or holds a run, whose `metrics.json` would be overwritten.
    pub fn check_folder(folder: &Path) -> Result<(), Error> {
        if folder.join(run_log::CONFIG).exists() {
            let message = "holds a run, whose metrics.json would be lost: give another folder";
            return Err(Error::file(folder, message));
        }
        std::fs::create_dir_all(folder)
            .and_then(|()| check_writable(folder))
            .map_err(|e| Error::file(folder, format!("cannot write into this folder: {e}")))
    }

    /// Writes `predictions.json`, `nbest.json`, `null_odds.json` and `metrics.json`, and for SQuAD
    /// 2.0 `predictions_best.json`, the answers at the threshold with the highest F1.
    ///
    /// Each file appears whole or not at all. The keys are those of transformers' `run_qa.py`, plus `offsets` in characters
    /// of the context; the questions are in the order of the dataset.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
        let mut files = vec![
            (run_log::NBEST, Layout::NBestById, None),
            (run_log::PREDICTIONS, Layout::ById, None),
            (run_log::NULL_ODDS, Layout::NullOddsById, None),
        ];
        if let Some(threshold) = self.best_f1_threshold {
            let name = run_log::PREDICTIONS_AT_BEST_F1;
            files.push((name, Layout::ById, Some(threshold)));
        }
        files
            .into_par_iter()
            .try_for_each(|(name, layout, threshold)| {
                let records = self.predictions.iter().map(|prediction| {
                    let mut record = PredictionRecord::new(prediction);
                    if let Some(threshold) = threshold {
                        record.prediction_text = text_at(prediction, threshold).to_owned();
                    }
                    Ok(record)
                });
                write_predictions(&folder.join(name), layout, true, records)
            })?;
        let metrics = format!("{:#}\n", self.metrics);
        Ok(atomic_fs::write_file(
            folder.join(run_log::METRICS),
            metrics,
        )?)
    }
}

/// The answer at a threshold of the null odds: empty above it.
fn text_at(prediction: &Prediction, threshold: f64) -> &str {
    if f64::from(prediction.null_odds) > threshold {
        ""
    } else {
        prediction.best_text()
    }
}
