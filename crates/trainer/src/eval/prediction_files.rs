//! The files of an evaluation.

use std::path::Path;

use rayon::prelude::*;
use serde::{Serialize, Serializer};
use squad_data::Prediction;

use crate::Error;
use crate::artifacts::run_dir::check_writable;
use crate::eval::Evaluation;
use crate::predict::NBestEntry;

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
        let all = &self.predictions;
        let mut files = vec![
            (run_log::NBEST, n_best_json(all)),
            (run_log::PREDICTIONS, json_by_id(all, |p| p.text.as_str())),
            // As f64, so that a threshold found in this file equals the one in metrics.json.
            (
                run_log::NULL_ODDS,
                json_by_id(all, |p| f64::from(p.null_odds)),
            ),
        ];
        if let Some(threshold) = self.best_f1_threshold {
            let best = |p| text_at(p, threshold);
            files.push((run_log::PREDICTIONS_AT_BEST_F1, json_by_id(all, best)));
        }
        let write = |(name, text): &(&str, String)| atomic_fs::write_file(folder.join(name), text);
        files.par_iter().try_for_each(write)?;
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

const PLAIN: &str = "texts and numbers are plain JSON";

/// A JSON object with a value for each question, by its id.
fn json_by_id<'a, V, F>(predictions: &'a [Prediction], value: F) -> String
where
    V: Serialize,
    F: Fn(&'a Prediction) -> V,
{
    struct InOrder<'a, F>(&'a [Prediction], F);
    impl<'a, V: Serialize, F: Fn(&'a Prediction) -> V> Serialize for InOrder<'a, F> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().map(|p| (&p.id, self.1(p))))
        }
    }
    serde_json::to_string_pretty(&InOrder(predictions, value)).expect(PLAIN) + "\n"
}

/// A JSON object of lists by question id, one span on each line. Built in parallel: it is by far the largest file.
fn n_best_json(predictions: &[Prediction]) -> String {
    let list = |prediction: &Prediction| {
        let mut list = format!(
            "  {}: [",
            serde_json::to_string(&prediction.id).expect(PLAIN)
        );
        for (number, span) in prediction.n_best.iter().enumerate() {
            list.push_str(if number == 0 { "\n    " } else { ",\n    " });
            list.push_str(&serde_json::to_string(&NBestEntry::new(span)).expect(PLAIN));
        }
        list + "\n  ]"
    };
    let lists: Vec<String> = predictions.par_iter().map(list).collect();
    ["{\n", &lists.join(",\n"), "\n}\n"].concat()
}
