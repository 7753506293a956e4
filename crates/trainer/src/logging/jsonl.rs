//! Writes `metrics.jsonl`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use run_log::{Record, RecordKind, read_records};

use crate::Error;
use crate::logging::observer::{EpochReport, EvaluationReport, Observer, StepReport};
use crate::train::state::RunState;

/// Appends a [`Record`] of each report to `metrics.jsonl`.
#[derive(Debug)]
pub(crate) struct JsonlLogger {
    path: PathBuf,
    file: File,
}

impl JsonlLogger {
    /// Opens the file of a new run.
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|e| Error::file(path, e))?;
        if let Some(folder) = path.parent() {
            atomic_fs::sync_folder(folder)?;
        }
        Ok(Self {
            path: path.into(),
            file,
        })
    }

    /// Opens the file of a run that resumes from `state`. Removes the records after `state`, so that no curve has the
    /// same step twice, and returns the records before it.
    pub(crate) fn resume(path: &Path, state: &RunState) -> Result<(Self, Vec<Record>), Error> {
        let mut kept = Vec::new();
        if path.exists() {
            for record in read_records(path)? {
                match record {
                    Ok(record) if is_before(&record, state) => kept.push(record),
                    // A crash may damage lines, which must not stop the run from being resumed.
                    Ok(_) | Err(run_log::Error::Line { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let text: String = kept.iter().map(|record| record.to_json() + "\n").collect();
        atomic_fs::write_file(path, &text)?;
        Ok((Self::create(path)?, kept))
    }

    fn push(&mut self, record: &Record) -> Result<(), Error> {
        // One call, so that a reader sees whole lines.
        let line = record.to_json() + "\n";
        let written = self.file.write_all(line.as_bytes());
        written.map_err(|e| Error::file(&self.path, e))
    }
}

/// Whether a run in this state has written the record.
fn is_before(record: &Record, state: &RunState) -> bool {
    record.step <= state.step
        && match record.kind {
            RecordKind::Step => true,
            RecordKind::Evaluation => record.step <= state.evaluated_step,
            RecordKind::Epoch => record.epoch < state.epoch(),
        }
}

impl Observer for JsonlLogger {
    fn step(&mut self, report: &StepReport) -> Result<(), Error> {
        self.push(&report.record())
    }

    fn evaluation(&mut self, report: &EvaluationReport) -> Result<(), Error> {
        self.push(&report.record())
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<(), Error> {
        self.push(&report.record())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resuming_keeps_the_records_before_the_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(run_log::METRICS_LOG);
        let records = [
            (RecordKind::Step, 1, 1),
            (RecordKind::Step, 2, 1),
            (RecordKind::Evaluation, 2, 1),
            (RecordKind::Epoch, 2, 1),
            (RecordKind::Step, 3, 2),
            (RecordKind::Step, 4, 2),
            (RecordKind::Evaluation, 4, 2),
        ];
        let records = records.map(|(kind, step, epoch)| {
            let scalars = [("train/loss".to_owned(), 1.0 / f64::from(step))].into();
            Record {
                kind,
                step,
                epoch,
                scalars,
            }
        });
        let mut text: String = records
            .iter()
            .map(|record| record.to_json() + "\n")
            .collect();
        text.push_str("{\"step\": 5, \"tr");
        let resume = |state: &RunState| {
            std::fs::write(&path, &text).unwrap();
            let (_, kept) = JsonlLogger::resume(&path, state).unwrap();
            let written: Result<Vec<_>, _> = read_records(&path).unwrap().collect();
            assert_eq!(written.unwrap(), kept);
            kept.iter()
                .map(|record| (record.kind, record.x()))
                .collect::<Vec<_>>()
        };
        let all = records.each_ref().map(|record| (record.kind, record.x()));
        let state = RunState::at;
        assert_eq!(resume(&state(1, 1, 0)), all[..1]);
        // The epoch's batches are over, its evaluation is not done.
        assert_eq!(resume(&state(2, 1, 0)), all[..2]);
        assert_eq!(resume(&state(2, 2, 2)), all[..4]);
        assert_eq!(resume(&state(4, 2, 2)), all[..6]);
        assert_eq!(resume(&state(4, 2, 4)), all);
        std::fs::remove_file(&path).unwrap();
        let (_, kept) = JsonlLogger::resume(&path, &state(4, 2, 4)).unwrap();
        assert_eq!(kept, []);
    }
}
