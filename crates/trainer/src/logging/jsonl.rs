//! `metrics.jsonl`: one line for each step, evaluation and epoch.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Error;
use crate::logging::observer::{
    EpochReport, EvaluationReport, LineKind, Observer, StepReport, line,
};
use crate::train::state::RunState;

/// The x value of a report, which is the epoch of an epoch's report and else the optimizer step, and its named figures.
pub(crate) type Points = (u32, Vec<(String, f64)>);

/// Appends a JSON line for each report.
#[derive(Debug)]
pub(crate) struct JsonlLogger {
    path: PathBuf,
    file: File,
}

impl JsonlLogger {
    /// Opens the file of a new run.
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        match file {
            Ok(file) => Ok(Self {
                path: path.into(),
                file,
            }),
            Err(e) => Err(Error::file(path, e)),
        }
    }

    /// Opens the file of a run that resumes from `state`. Removes the reports after `state`, which the run makes again, and
    /// returns those before it.
    pub(crate) fn resume(path: &Path, state: &RunState) -> Result<(Self, Vec<Points>), Error> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(Error::file(path, e)),
        };
        let mut kept = String::new();
        let mut points = Vec::new();
        for text in text.lines() {
            // A killed process may have left an incomplete last line.
            let parsed: Option<Value> = serde_json::from_str(text).ok();
            let report = parsed.as_ref().and_then(|line| before(line, state));
            if let Some(report) = report {
                kept.push_str(text);
                kept.push('\n');
                points.push(report);
            }
        }
        atomic_fs::write_file(path, &kept)?;
        Ok((Self::create(path)?, points))
    }

    fn push(&mut self, line: &Value) -> Result<(), Error> {
        // One call, so that concurrent readers see whole lines.
        let line = format!("{line}\n");
        self.file
            .write_all(line.as_bytes())
            .map_err(|e| Error::file(&self.path, e))
    }
}

/// The figures of a line that was written before `state`.
fn before(line: &Value, state: &RunState) -> Option<Points> {
    let number = |key: &str| u32::try_from(line.get(key)?.as_u64()?).ok();
    let step = number("step")?;
    let (x, is_behind) = if let Some(epoch) = number("epoch_end") {
        (epoch, epoch < state.epoch())
    } else if line.get("evaluation").is_some() {
        (step, step <= state.evaluated_step)
    } else {
        (step, true)
    };
    let figures = line.as_object()?.iter();
    let scalars = figures
        .filter(|(key, _)| key.contains('/'))
        .filter_map(|(key, value)| Some((key.clone(), value.as_f64()?)));
    (is_behind && step <= state.step).then(|| (x, scalars.collect()))
}

impl Observer for JsonlLogger {
    fn step(&mut self, report: &StepReport) -> Result<(), Error> {
        let StepReport { step, epoch, .. } = *report;
        self.push(&line(LineKind::Step, step, epoch, &report.scalars()))
    }

    fn evaluation(&mut self, report: &EvaluationReport) -> Result<(), Error> {
        let EvaluationReport { step, epoch, .. } = *report;
        self.push(&line(LineKind::Evaluation, step, epoch, &report.scalars()))
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<(), Error> {
        let EpochReport { step, epoch, .. } = *report;
        self.push(&line(LineKind::Epoch, step, epoch, &report.scalars()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_run_keeps_earlier_reports_and_removes_later_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let scalars = |name: &str, value: f64| vec![(name.to_owned(), value)];
        let lines = [
            line(LineKind::Step, 1, 1, &scalars("train/loss", 3.0)),
            line(LineKind::Step, 2, 1, &scalars("train/loss", 2.0)),
            line(LineKind::Evaluation, 2, 1, &scalars("eval/f1", 10.0)),
            line(LineKind::Epoch, 2, 1, &scalars("epoch/eval_f1", 10.0)),
            line(LineKind::Step, 3, 2, &scalars("train/loss", 1.0)),
            line(LineKind::Step, 4, 2, &scalars("train/loss", 0.5)),
            line(LineKind::Evaluation, 4, 2, &scalars("eval/f1", 20.0)),
        ];
        let mut text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        text.push_str("{\"step\": 5, \"tr");
        let resume = |state: &RunState| {
            std::fs::write(&path, &text).unwrap();
            let (_, points) = JsonlLogger::resume(&path, state).unwrap();
            let kept = std::fs::read_to_string(&path).unwrap().lines().count();
            assert_eq!(kept, points.len());
            points.iter().map(|(x, _)| *x).collect::<Vec<_>>()
        };
        let state = RunState::at;
        assert_eq!(resume(&state(1, 1, 0)), [1]);
        // The epoch's steps are complete, its evaluation is not.
        assert_eq!(resume(&state(2, 1, 0)), [1, 2]);
        assert_eq!(resume(&state(2, 2, 2)), [1, 2, 2, 1]);
        assert_eq!(resume(&state(4, 2, 2)), [1, 2, 2, 1, 3, 4]);
        assert_eq!(resume(&state(4, 2, 4)), [1, 2, 2, 1, 3, 4, 4]);
        std::fs::remove_file(&path).unwrap();
        assert!(
            JsonlLogger::resume(&path, &state(4, 2, 4))
                .unwrap()
                .1
                .is_empty()
        );
    }
}
