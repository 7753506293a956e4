use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::Error;
use crate::device::DeviceMemory;
use crate::logging::observer::{EpochReport, EvaluationReport, Observer, RunStart, StepReport};
use crate::logging::output::{escape_controls, print_log};
use crate::train::state::Smoothed;

/// A progress bar on standard error with epoch, loss, features per second and time left. If standard error is not a
/// terminal, one line for every 5 % of the run.
pub struct Progress {
    bar: ProgressBar,
    /// Whether standard error is no terminal.
    is_plain: bool,
    epochs: u32,
    total_steps: u32,
    loss: f64,
    smoothed: Smoothed,
    /// The average over about 50 steps.
    features_per_second: f64,
    device_memory: Option<DeviceMemory>,
}

impl Progress {
    /// A progress bar, which appears when the run starts.
    pub fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        Self {
            is_plain: bar.is_hidden(),
            bar,
            epochs: 0,
            total_steps: 0,
            loss: 0.0,
            smoothed: Smoothed::default(),
            features_per_second: 0.0,
            device_memory: None,
        }
    }

    fn set_style(&self, template: &'static str) {
        let style = ProgressStyle::with_template(template);
        self.bar
            .set_style(style.expect("the template is a constant"));
    }

    /// Prints a line above the bar.
    fn print(&self, line: &str) {
        if self.is_plain {
            print_log(line);
        } else {
            self.bar.println(escape_controls(line));
        }
    }

    fn message(&self, epoch: u32) -> String {
        let memory = self.device_memory.map_or(String::new(), |memory| {
            let gib = memory.peak as f64 / f64::from(1 << 30);
            format!(", peak {gib:.2} GiB on the device")
        });
        format!(
            "epoch {epoch}/{}, loss {:.3}, {:.1} features/s{memory}",
            self.epochs, self.loss, self.features_per_second
        )
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for Progress {
    fn tokenizing(&mut self, finished: usize, total: usize) {
        self.set_style("{bar:30} {pos}/{len} questions tokenized");
        self.bar.set_length(total as u64);
        self.bar.set_position(finished as u64);
        if finished == total {
            self.bar.reset();
        }
    }

    fn start(&mut self, start: &RunStart) {
        self.set_style("{bar:30} {pos}/{len} steps, {msg}, {elapsed} elapsed, {eta} left");
        self.bar.set_length(u64::from(start.total_steps));
        self.bar.set_position(u64::from(start.step));
        self.bar.reset_eta();
        (self.epochs, self.total_steps) = (start.epochs, start.total_steps);
    }

    fn step(&mut self, report: &StepReport) -> Result<(), Error> {
        self.loss = report.smoothed_loss;
        self.device_memory = report.device_memory;
        let features_per_second = report.features as f64 / report.seconds;
        self.features_per_second = self.smoothed.add(features_per_second);
        self.bar.set_message(self.message(report.epoch));
        self.bar.set_position(u64::from(report.step));
        if self.is_plain && report.step.is_multiple_of((self.total_steps / 20).max(1)) {
            let left = self.bar.eta().as_secs();
            let message = self.message(report.epoch);
            print_log(&format!(
                "step {}/{}, {message}, {left} s left",
                report.step, self.total_steps
            ));
        }
        Ok(())
    }

    fn evaluating(&mut self, finished: usize, total: usize) {
        self.bar
            .set_message(format!("evaluating, {finished}/{total} features"));
    }

    fn evaluation(&mut self, report: &EvaluationReport) -> Result<(), Error> {
        let figures = [
            "loss",
            "exact_match",
            "exact",
            "f1",
            "HasAns_f1",
            "NoAns_f1",
        ]
        .iter()
        .filter_map(|key| Some(format!("{key} {:.2}", report.metrics.get(key)?.as_f64()?)));
        self.print(&format!(
            "step {}: eval {} ({:.0} s)",
            report.step,
            figures.collect::<Vec<_>>().join(", "),
            report.seconds
        ));
        Ok(())
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<(), Error> {
        self.print(&format!(
            "epoch {}/{}: train loss {:.4}, {:.1} features/s",
            report.epoch, self.epochs, report.train_loss, report.features_per_second,
        ));
        if report.step == self.total_steps {
            self.bar.finish_and_clear();
        }
        Ok(())
    }
}
