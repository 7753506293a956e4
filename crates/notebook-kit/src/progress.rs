use trainer::{EpochReport, Error, EvaluationReport, Observer, RunStart, StepReport};

/// Tells how a run goes, a line at a time: a notebook shows lines as they come, and no progress bar.
#[derive(Debug)]
pub struct PlainLines<W = std::io::Stdout> {
    every: u32,
    out: W,
    total_steps: u32,
    epochs: u32,
    /// Seconds of steps since the start, and how many these were.
    spent: (f64, u32),
}

impl PlainLines {
    /// A line after every so many steps, and after each evaluation.
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
        // A reader who is gone does not stop a run.
        let _ = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
    }
}

impl<W: std::io::Write + Send> Observer for PlainLines<W> {
    fn start(&mut self, start: &RunStart) {
        (self.total_steps, self.epochs) = (start.total_steps, start.epochs);
        self.say(&format!(
            "{} windows, {} epochs, {} steps{}",
            start.features,
            start.epochs,
            start.total_steps,
            match start.step {
                0 => String::new(),
                step => format!(", going on after step {step}"),
            }
        ));
    }

    fn step(&mut self, report: &StepReport) -> Result<(), Error> {
        self.spent = (self.spent.0 + report.seconds, self.spent.1 + 1);
        if report.step.is_multiple_of(self.every) {
            let left = f64::from(self.total_steps.saturating_sub(report.step));
            let left = left * self.spent.0 / f64::from(self.spent.1);
            self.say(&format!(
                "step {:>4}/{}  epoch {}/{}  loss {:.3}  {:.1} windows/s  {left:.0} s left",
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
            "epoch {}/{}: training loss {:.3}, {:.1} windows/s",
            report.epoch, self.epochs, report.train_loss, report.features_per_second
        ));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        }
    }

    #[test]
    fn a_line_every_so_many_steps_and_none_between() {
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
                "40 windows, 3 epochs, 6 steps, going on after step 1",
                "step    2/6  epoch 1/3  loss 3.500  4.0 windows/s  8 s left",
                "step    4/6  epoch 1/3  loss 3.500  4.0 windows/s  4 s left",
                "  eval after step 5: EM 50.00, F1 62.50, loss 2.000 (1 s)",
            ]
        );
    }
}
