//! Training from a notebook: settings, printed progress and the curves of a run.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use plots::moving_average;
use run_log::{Record, RecordKind, read_records};
use squad_data::counted;
use trainer::{EpochReport, Error, EvaluationReport, Observer, RunStart, StepReport, Trainer};

use crate::data::{fresh_run_dir, quickstart, run_dir};
use crate::display::print_line;

/// The best device of this build and machine; prints its name.
///
/// # Errors
/// If there is none.
pub fn device() -> Result<Device, Error> {
    let (info, device) = trainer::device("auto")?;
    print_line(&format!("computing on {}: {}", info.name, info.description));
    Ok(device)
}

/// The name of the run of `04-fine-tuning` in `runs/notebooks/`, and its settings: the quick start's with `train.json`
/// alone and four epochs, so that overfitting shows. If `NOTEBOOKS_QUICK` is set, as `cargo xtask notebooks run --quick` does, a run of seconds.
pub fn fine_tuning() -> (&'static str, &'static [&'static str]) {
    match std::env::var_os("NOTEBOOKS_QUICK") {
        None => ("fine-tuning", &["train.num_train_epochs=4"]),
        Some(_) => (
            "fine-tuning-quick",
            &[
                "train.num_train_epochs=3",
                "train.max_train_samples=16",
                "train.per_device_train_batch_size=1",
                "eval.max_eval_samples=12",
                "checkpoints.every_epochs=0",
            ],
        ),
    }
}

/// The folder of the model that `04-fine-tuning` saves. If that notebook has not run yet, trains the model, which takes
/// minutes.
///
/// # Errors
/// If training fails.
pub fn trained_model() -> Result<PathBuf, Error> {
    let (name, settings) = fine_tuning();
    let folder = run_dir(name).join(run_log::MODEL_DIR);
    if folder.join("model.safetensors").is_file() {
        print_line(&format!(
            "the model that 04-fine-tuning saved: {}",
            folder.display()
        ));
        return Ok(folder);
    }
    print_line("04-fine-tuning has not run yet: training its model takes minutes");
    let trainer = Trainer::new(quickstart(settings)?)?;
    let outcome = trainer
        .run_dir(fresh_run_dir(name)?)
        .observer(PlainLines::every(10))
        .fit()?;
    let trained = outcome
        .finished()
        .ok_or_else(|| Error::Device("the run was stopped".into()))?;
    Ok(trained.model_folder)
}

/// An observer that prints a line after some steps and after each evaluation: a notebook cannot show a progress bar.
#[derive(Debug)]
pub struct PlainLines<W = std::io::Stdout> {
    every: u32,
    out: W,
    total_steps: u32,
    epochs: u32,
    /// Seconds of the steps since the start, and their number.
    spent: (f64, u32),
}

impl PlainLines {
    /// Prints a line after every `steps` steps, and after each evaluation and epoch.
    pub fn every(steps: u32) -> Self {
        Self::to(std::io::stdout(), steps)
    }
}

impl<W: std::io::Write> PlainLines<W> {
    fn to(out: W, every: u32) -> Self {
        Self {
            every: every.max(1),
            out,
            total_steps: 0,
            epochs: 0,
            spent: (0.0, 0),
        }
    }

    fn say(&mut self, line: &str) {
        // A closed output must not stop the run.
        let _ = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
    }
}

impl<W: std::io::Write + Send> Observer for PlainLines<W> {
    fn start(&mut self, start: &RunStart) {
        (self.total_steps, self.epochs) = (start.total_steps, start.epochs);
        self.say(&format!(
            "{}, {}, {}{}",
            counted(start.features, "feature"),
            counted(start.epochs as usize, "epoch"),
            counted(start.total_steps as usize, "step"),
            match start.step {
                0 => String::new(),
                step => format!(", resumed after step {step}"),
            }
        ));
    }

    fn step(&mut self, report: &StepReport) -> Result<(), Error> {
        self.spent = (self.spent.0 + report.seconds, self.spent.1 + 1);
        if report.step.is_multiple_of(self.every) {
            let left = f64::from(self.total_steps.saturating_sub(report.step));
            let left = left * self.spent.0 / f64::from(self.spent.1);
            self.say(&format!(
                "step {:>4}/{}  epoch {}/{}  loss {:.3}  {:.1} features/s  {left:.0} s left",
                report.step,
                self.total_steps,
                report.epoch,
                self.epochs,
                report.smoothed_loss,
                report.features as f64 / report.seconds,
            ));
        }
        Ok(())
    }

    fn evaluation(&mut self, report: &EvaluationReport) -> Result<(), Error> {
        let figure = |key: &str| report.metrics.get(key).and_then(serde_json::Value::as_f64);
        let exact = figure("exact").or_else(|| figure("exact_match"));
        let [exact, f1, loss] =
            [exact, figure("f1"), figure("loss")].map(|figure| figure.unwrap_or(f64::NAN));
        self.say(&format!(
            "  eval after step {}: EM {exact:.2}, F1 {f1:.2}, loss {loss:.3} ({:.0} s)",
            report.step, report.seconds
        ));
        Ok(())
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<(), Error> {
        self.say(&format!(
            "epoch {}/{}: train loss {:.3}, {:.1} features/s",
            report.epoch, self.epochs, report.train_loss, report.features_per_second
        ));
        Ok(())
    }
}

/// The figures of a run from its `metrics.jsonl`.
#[derive(Clone, Debug)]
pub struct RunCurves {
    records: Vec<Record>,
}

impl RunCurves {
    /// Reads `metrics.jsonl` of a run's folder.
    ///
    /// # Errors
    /// If the file is missing or a line is damaged.
    pub fn read(run_dir: &Path) -> Result<Self, Error> {
        let records = read_records(&run_dir.join(run_log::METRICS_LOG))?;
        Ok(Self {
            records: records.collect::<Result<_, _>>()?,
        })
    }

    /// A figure of each optimizer step, such as `train/loss`, as (step, value).
    pub fn steps(&self, name: &str) -> Vec<(f64, f64)> {
        self.points(RecordKind::Step, name)
    }

    /// A figure of each epoch, such as `epoch/train_loss` or `epoch/eval_f1`, as (epoch, value).
    pub fn epochs(&self, name: &str) -> Vec<(f64, f64)> {
        self.points(RecordKind::Epoch, name)
    }

    /// The moving average of a figure over a centred window of steps.
    pub fn smoothed(&self, name: &str, window: usize) -> Vec<(f64, f64)> {
        moving_average(&self.steps(name), window)
    }

    fn points(&self, kind: RecordKind, name: &str) -> Vec<(f64, f64)> {
        let records = self.records.iter().filter(|record| record.kind == kind);
        records
            .filter_map(|record| Some((f64::from(record.x()), record.scalar(name)?)))
            .collect()
    }
}

/// The point with the lowest value. For the loss on an evaluation set it is the epoch after which the model overfits.
pub fn lowest(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    points.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_come_by_step_and_by_epoch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(run_log::METRICS_LOG);
        let lines = [
            r#"{"step":1,"epoch":1,"train/loss":4.0}"#,
            r#"{"step":2,"epoch":1,"train/loss":2.0}"#,
            r#"{"epoch_end":1,"step":2,"epoch/eval_loss":3.0}"#,
            r#"{"epoch_end":2,"step":4,"epoch/eval_loss":3.5}"#,
        ];
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        let curves = RunCurves::read(folder.path()).unwrap();
        assert_eq!(curves.steps("train/loss"), [(1.0, 4.0), (2.0, 2.0)]);
        assert_eq!(curves.smoothed("train/loss", 2), [(1.0, 3.0), (2.0, 3.0)]);
        let epochs = curves.epochs("epoch/eval_loss");
        assert_eq!(epochs, [(1.0, 3.0), (2.0, 3.5)]);
        assert_eq!(lowest(&epochs), Some((1.0, 3.0)));
        assert_eq!((curves.steps("other"), lowest(&[])), (vec![], None));

        std::fs::write(&path, lines.join("\n") + "\n{}\n").unwrap();
        let error = RunCurves::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("metrics.jsonl: line 5: "), "{error}");
    }

    fn step(step: u32) -> StepReport {
        StepReport {
            step,
            epoch: 1,
            loss: 4.0,
            smoothed_loss: 3.5,
            grad_norm: 1.0,
            learning_rate: 1e-4,
            features: 8,
            tokens: 900,
            seconds: 2.0,
            device_memory: None,
        }
    }

    #[test]
    fn prints_a_line_every_few_steps() {
        let mut lines = PlainLines::to(Vec::new(), 2);
        lines.start(&RunStart {
            total_steps: 6,
            step: 1,
            features: 40,
            epochs: 3,
        });
        for number in 2..=5 {
            lines.step(&step(number)).unwrap();
        }
        lines
            .evaluation(&EvaluationReport {
                step: 5,
                epoch: 1,
                metrics: serde_json::json!({ "exact_match": 50.0, "f1": 62.5, "loss": 2.0 }),
                best: None,
                seconds: 1.0,
            })
            .unwrap();
        let text = String::from_utf8(lines.out).unwrap();
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "40 features, 3 epochs, 6 steps, resumed after step 1",
                "step    2/6  epoch 1/3  loss 3.500  4.0 features/s  8 s left",
                "step    4/6  epoch 1/3  loss 3.500  4.0 features/s  4 s left",
                "  eval after step 5: EM 50.00, F1 62.50, loss 2.000 (1 s)",
            ]
        );
    }
}
