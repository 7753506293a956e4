use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One line of `metrics.jsonl`: the figures of one optimizer step, evaluation or epoch.
///
/// In the file a record is one flat JSON object. An evaluation has the key `evaluation` besides
/// `step` and `epoch`, the end of an epoch has `epoch_end` in place of `epoch`:
///
/// ```json
/// {"step":40,"epoch":1,"train/loss":2.1,"train/learning_rate":4e-5}
/// {"evaluation":40,"step":40,"epoch":1,"eval/f1":61.5}
/// {"epoch_end":1,"step":72,"epoch/train_loss":3.2,"epoch/eval_f1":70.1}
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Line", into = "Line")]
pub struct Record {
    /// What the figures are of.
    pub kind: RecordKind,
    /// Optimizer steps made so far.
    pub step: u32,
    /// The epoch, counted from 1; 0 if the line does not name it.
    pub epoch: u32,
    /// The figures by name, such as `train/loss`. NaN and infinity stand in the file as `null`,
    /// which reads as NaN.
    pub scalars: BTreeMap<String, f64>,
}

/// What the figures of a [`Record`] are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// An optimizer step; names begin with `train/`.
    Step,
    /// An evaluation; names begin with `eval/`.
    Evaluation,
    /// The end of an epoch; names begin with `epoch/`.
    Epoch,
}

impl Record {
    /// A figure; `None` if the record does not have it or it is NaN.
    pub fn scalar(&self, name: &str) -> Option<f64> {
        self.scalars
            .get(name)
            .copied()
            .filter(|value| !value.is_nan())
    }

    /// Where the figures stand on the x axis of a curve: the epoch at the end of an epoch, the step otherwise.
    pub fn x(&self) -> u32 {
        match self.kind {
            RecordKind::Epoch => self.epoch,
            RecordKind::Step | RecordKind::Evaluation => self.step,
        }
    }

    /// The record as a line of JSON, without the line break.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names and numbers are plain JSON")
    }
}

/// A record as it stands in the file.
#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch_end: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evaluation: Option<u32>,
    step: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<u32>,
    #[serde(flatten)]
    scalars: BTreeMap<String, Option<f64>>,
}

impl From<Line> for Record {
    fn from(line: Line) -> Self {
        let kind = match (line.epoch_end, line.evaluation) {
            (Some(_), _) => RecordKind::Epoch,
            (None, Some(_)) => RecordKind::Evaluation,
            (None, None) => RecordKind::Step,
        };
        let scalars = line.scalars.into_iter();
        Self {
            kind,
            step: line.step,
            epoch: line.epoch_end.or(line.epoch).unwrap_or(0),
            scalars: scalars
                .map(|(name, value)| (name, value.unwrap_or(f64::NAN)))
                .collect(),
        }
    }
}

impl From<Record> for Line {
    fn from(record: Record) -> Self {
        let Record {
            kind,
            step,
            epoch,
            scalars,
        } = record;
        let is_epoch = kind == RecordKind::Epoch;
        Self {
            epoch_end: is_epoch.then_some(epoch),
            evaluation: (kind == RecordKind::Evaluation).then_some(step),
            step,
            epoch: (!is_epoch).then_some(epoch),
            scalars: scalars
                .into_iter()
                .map(|(name, value)| (name, Some(value)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_the_kind_of_a_record() {
        for (line, kind, step, epoch) in [
            (
                r#"{"step":3,"epoch":2,"train/loss":null}"#,
                RecordKind::Step,
                3,
                2,
            ),
            (
                r#"{"evaluation":3,"step":3,"epoch":2}"#,
                RecordKind::Evaluation,
                3,
                2,
            ),
            (
                r#"{"epoch_end":2,"step":3,"epoch/train_loss":1.5}"#,
                RecordKind::Epoch,
                3,
                2,
            ),
        ] {
            let record: Record = serde_json::from_str(line).unwrap();
            assert_eq!(
                (record.kind, record.step, record.epoch),
                (kind, step, epoch)
            );
            assert_eq!(record.to_json(), line);
        }
    }

    #[test]
    fn scalars_keep_every_bit_and_nan_is_no_figure() {
        let scalars = [("train/loss", 0.1 + 0.2), ("train/grad_norm", f64::NAN)];
        let record = Record {
            kind: RecordKind::Step,
            step: 1,
            epoch: 1,
            scalars: scalars.map(|(name, value)| (name.to_owned(), value)).into(),
        };
        let read: Record = serde_json::from_str(&record.to_json()).unwrap();
        assert_eq!(read.scalar("train/loss"), Some(0.1 + 0.2));
        assert_eq!(read.scalar("train/grad_norm"), None);
        assert_eq!(read.scalar("other"), None);
    }
}
