//! What a run's folder says about the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Config, Error};

/// A run as its folder tells it, finished or not.
pub(super) struct Run {
    pub(super) folder: PathBuf,
    pub(super) config: Config,
    pub(super) steps: Vec<Line>,
    pub(super) evaluations: Vec<Line>,
    pub(super) epochs: Vec<Line>,
    /// `metrics.json`, which a run writes last.
    pub(super) metrics: Option<Value>,
}

/// A line of `metrics.jsonl`.
pub(super) struct Line {
    /// Optimizer steps made by then.
    pub(super) step: u32,
    /// Counted from 1; 0 where the line does not tell it.
    pub(super) epoch: u32,
    figures: BTreeMap<String, f64>,
}

impl Line {
    /// A figure, where the line has it and it is a number.
    pub(super) fn figure(&self, key: &str) -> Option<f64> {
        self.figures.get(key).copied()
    }

    /// Exact match below a prefix such as `eval/`, whichever version of SQuAD it is of.
    pub(super) fn exact(&self, prefix: &str) -> Option<f64> {
        let keys = ["exact", "exact_match"];
        keys.iter()
            .find_map(|key| self.figure(&format!("{prefix}{key}")))
    }
}

impl Run {
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let config = folder.join("config.toml");
        if !config.is_file() {
            return Err(Error::file(
                folder,
                "is no run's folder: it has no config.toml",
            ));
        }
        let mut run = Self {
            folder: folder.into(),
            config: Config::resolve(&config, &[])?,
            steps: Vec::new(),
            evaluations: Vec::new(),
            epochs: Vec::new(),
            metrics: read_json(&folder.join("metrics.json"))?,
        };
        run.read_curves(&folder.join("metrics.jsonl"))?;
        Ok(run)
    }

    /// The folder's name, which `.` does not tell.
    pub(super) fn name(&self) -> String {
        let whole = self.folder.canonicalize();
        let whole = whole.as_deref().unwrap_or(&self.folder);
        let name = whole.file_name().unwrap_or(whole.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// A figure of `metrics.json`.
    pub(super) fn metric(&self, key: &str) -> Option<f64> {
        self.metrics.as_ref()?.get(key)?.as_f64()
    }

    /// The figures of the last evaluation by the official keys, in the order of their file.
    pub(super) fn scores(&self) -> Vec<(String, f64)> {
        if let Some(metrics) = &self.metrics {
            let eval = metrics.get("eval").and_then(Value::as_object);
            let eval = eval.into_iter().flatten();
            return eval
                .filter_map(|(key, value)| Some((key.clone(), value.as_f64()?)))
                .collect();
        }
        let last = |lines: &[Line], prefix: &str| -> Vec<(String, f64)> {
            let scored = lines.iter().rev().find(|line| line.exact(prefix).is_some());
            let figures = scored.into_iter().flat_map(|line| &line.figures);
            figures
                .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), *value)))
                .collect()
        };
        match last(&self.evaluations, "eval/") {
            scores if scores.is_empty() => last(&self.epochs, "epoch/eval_"),
            scores => scores,
        }
    }

    fn read_curves(&mut self, path: &Path) -> Result<(), Error> {
        let text = read_text(path)?.unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        for (index, text_line) in lines.iter().enumerate() {
            let is_last = index + 1 == lines.len();
            match parse(text_line) {
                Ok((kind, line)) => match kind {
                    Kind::Step => self.steps.push(line),
                    Kind::Evaluation => self.evaluations.push(line),
                    Kind::Epoch => self.epochs.push(line),
                },
                // A process that is writing, or was killed, may have left half a line.
                Err(_) if is_last && !text.ends_with('\n') => {}
                Err(message) => {
                    let message = format!("line {}: {message}", index + 1);
                    return Err(Error::file(path, message));
                }
            }
        }
        Ok(())
    }
}

enum Kind {
    Step,
    Evaluation,
    Epoch,
}

fn parse(text: &str) -> Result<(Kind, Line), String> {
    let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let object = value.as_object().ok_or("not a JSON object")?;
    let number = |key: &str| match object.get(key) {
        None => Ok(None),
        Some(value) => value
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .map(Some)
            .ok_or(format!("\"{key}\" is {value}, not a count")),
    };
    let step = number("step")?.ok_or("no \"step\"")?;
    let (kind, epoch) = match (number("epoch_end")?, object.get("evaluation")) {
        (Some(epoch), _) => (Kind::Epoch, Some(epoch)),
        (None, Some(_)) => (Kind::Evaluation, number("epoch")?),
        (None, None) => (Kind::Step, number("epoch")?),
    };
    let mut figures = BTreeMap::new();
    for (key, value) in object.iter().filter(|(key, _)| key.contains('/')) {
        // NaN stands as null.
        if !value.is_null() {
            let value = value
                .as_f64()
                .ok_or(format!("\"{key}\" is {value}, not a number"))?;
            figures.insert(key.clone(), value);
        }
    }
    let epoch = epoch.unwrap_or(0);
    Ok((
        kind,
        Line {
            step,
            epoch,
            figures,
        },
    ))
}

/// A file's text, or `None` where there is no such file.
fn read_text(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::file(path, e)),
    }
}

/// A JSON file, or `None` where there is no such file.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let parse = |text: String| serde_json::from_str(&text).map_err(|e| Error::file(path, e));
    read_text(path)?.map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart_and_damage_is_named() {
        let line = |text| parse(text).map(|(kind, line)| (kind, line.step, line.epoch));
        assert!(matches!(
            line(r#"{"step": 3, "epoch": 2, "train/loss": null}"#),
            Ok((Kind::Step, 3, 2))
        ));
        assert!(matches!(
            line(r#"{"step": 3, "epoch": 2, "evaluation": 3}"#),
            Ok((Kind::Evaluation, 3, 2))
        ));
        assert!(matches!(
            line(r#"{"step": 3, "epoch_end": 2}"#),
            Ok((Kind::Epoch, 3, 2))
        ));
        for (text, part) in [
            ("{", "EOF"),
            ("[1]", "not a JSON object"),
            ("{}", "no \"step\""),
            (r#"{"step": -1}"#, "\"step\" is -1"),
            (r#"{"step": 1, "train/loss": "x"}"#, "\"train/loss\""),
        ] {
            let message = parse(text).err().unwrap();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
