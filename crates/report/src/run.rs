//! The files of a run's folder.

use std::path::{Path, PathBuf};

use run_log::{Record, RecordKind};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, RunSettings};

/// What the folder of a run holds, finished or not.
pub(crate) struct Run {
    folder: PathBuf,
    pub(crate) config: RunSettings,
    pub(crate) steps: Vec<Record>,
    pub(crate) evaluations: Vec<Record>,
    pub(crate) epochs: Vec<Record>,
    /// `metrics.json`, which a run writes last.
    pub(crate) metrics: Option<Value>,
}

/// Exact match, whose name depends on the version of SQuAD; `prefix` is such as `eval/`.
pub(crate) fn exact(record: &Record, prefix: &str) -> Option<f64> {
    let names = ["exact", "exact_match"];
    names
        .iter()
        .find_map(|name| record.scalar(&format!("{prefix}{name}")))
}

impl Run {
    pub(crate) fn read(folder: &Path, config: RunSettings) -> Result<Self, Error> {
        let mut run = Self {
            folder: folder.into(),
            config,
            steps: Vec::new(),
            evaluations: Vec::new(),
            epochs: Vec::new(),
            metrics: read_json(&folder.join(run_log::METRICS))?,
        };
        let log = folder.join(run_log::METRICS_LOG);
        if log.exists() {
            for record in run_log::read_records(&log)? {
                let record = record?;
                match record.kind {
                    RecordKind::Step => run.steps.push(record),
                    RecordKind::Evaluation => run.evaluations.push(record),
                    RecordKind::Epoch => run.epochs.push(record),
                }
            }
        }
        Ok(run)
    }

    /// The folder's name, also if its path is `.`.
    pub(crate) fn name(&self) -> String {
        let whole = self.folder.canonicalize();
        let whole = whole.as_deref().unwrap_or(&self.folder);
        let name = whole.file_name().unwrap_or(whole.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// A setting of the run's configuration.
    pub(crate) fn setting(&self, section: &str, key: &str) -> Option<&toml::Value> {
        self.config
            .settings
            .get(section)
            .and_then(|keys| keys.get(key))
    }

    /// A figure of `metrics.json`.
    pub(crate) fn metric(&self, key: &str) -> Option<f64> {
        self.metrics.as_ref()?.get(key)?.as_f64()
    }

    /// The temperature and the threshold fitted after training, with their figures.
    pub(crate) fn calibration(&self) -> Option<&Value> {
        let fitted = self.metrics.as_ref()?.get("calibration")?;
        (!fitted.is_null()).then_some(fitted)
    }

    /// The scores of the last evaluation by the official keys.
    pub(crate) fn scores(&self) -> Vec<(String, f64)> {
        if let Some(metrics) = &self.metrics {
            let scores = metrics.get("eval").and_then(Value::as_object);
            let scores = scores.into_iter().flatten();
            return scores
                .filter_map(|(key, value)| Some((key.clone(), value.as_f64()?)))
                .collect();
        }
        let last = |records: &[Record], prefix: &str| -> Vec<(String, f64)> {
            let scored = records
                .iter()
                .rev()
                .find(|record| exact(record, prefix).is_some());
            let scalars = scored.into_iter().flat_map(|record| &record.scalars);
            scalars
                .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), *value)))
                .collect()
        };
        let scores = last(&self.evaluations, "eval/");
        if scores.is_empty() {
            last(&self.epochs, "epoch/eval_")
        } else {
            scores
        }
    }
}

/// A JSON file; `None` if there is no such file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    match atomic_fs::read_text(path) {
        Ok(text) => match serde_json::from_str(&text) {
            Ok(value) => Ok(Some(value)),
            Err(e) => Err(Error::file(path, e)),
        },
        Err(e) if e.source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::file(path, e.source)),
    }
}
