use std::path::{Path, PathBuf};

use serde_json::Value;
use trainer::Error;

/// The figures that a run left in its folder, to be drawn; those of a run that was stopped and went on
/// are the figures of one run.
#[derive(Clone, Debug)]
pub struct RunCurves {
    lines: Vec<Value>,
}

impl RunCurves {
    /// Reads `metrics.jsonl` of a run's folder.
    ///
    /// # Errors
    /// If it is not there or damaged.
    pub fn read(run_dir: &Path) -> Result<Self, Error> {
        let path = run_dir.join("metrics.jsonl");
        let wrong = |path: PathBuf, message: String| Error::File { path, message };
        let text =
            std::fs::read_to_string(&path).map_err(|e| wrong(path.clone(), e.to_string()))?;
        let line = |(number, line): (usize, &str)| {
            let damaged = |e| wrong(path.clone(), format!("line {}: {e}", number + 1));
            serde_json::from_str(line).map_err(damaged)
        };
        let lines = text
            .lines()
            .enumerate()
            .map(line)
            .collect::<Result<_, _>>()?;
        Ok(Self { lines })
    }

    /// A figure of each optimizer step, such as `train/loss`, as (step, value).
    pub fn steps(&self, figure: &str) -> Vec<(f64, f64)> {
        self.points("step", figure)
    }

    /// A figure of each epoch, such as `epoch/train_loss` or `epoch/eval_f1`, as (epoch, value).
    pub fn epochs(&self, figure: &str) -> Vec<(f64, f64)> {
        self.points("epoch_end", figure)
    }

    /// The mean of a figure over so many steps around each.
    pub fn smoothed(&self, figure: &str, window: usize) -> Vec<(f64, f64)> {
        let raw = self.steps(figure);
        let mean = |index: usize| {
            let around =
                &raw[index.saturating_sub(window / 2)..(index + window / 2 + 1).min(raw.len())];
            let sum: f64 = around.iter().map(|point| point.1).sum();
            (raw[index].0, sum / around.len() as f64)
        };
        (0..raw.len()).map(mean).collect()
    }

    fn points(&self, x: &str, figure: &str) -> Vec<(f64, f64)> {
        let point = |line: &Value| Some((line.get(x)?.as_f64()?, line.get(figure)?.as_f64()?));
        self.lines.iter().filter_map(point).collect()
    }
}

/// The point with the lowest value: the epoch after which a model only learns its training set by heart, where the
/// values are an evaluation set's loss.
pub fn lowest(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    points.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_come_by_step_and_by_epoch() {
        let folder =
            std::env::temp_dir().join(format!("notebook-kit-curves-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let lines = "{\"step\":1,\"epoch\":1,\"train/loss\":4.0}\n{\"step\":2,\"epoch\":1,\"train/loss\":2.0}\n\
                     {\"epoch_end\":1,\"step\":2,\"epoch/eval_loss\":3.0}\n{\"epoch_end\":2,\"step\":4,\"epoch/eval_loss\":3.5}\n";
        std::fs::write(folder.join("metrics.jsonl"), lines).unwrap();
        let curves = RunCurves::read(&folder).unwrap();
        assert_eq!(curves.steps("train/loss"), [(1.0, 4.0), (2.0, 2.0)]);
        assert_eq!(curves.smoothed("train/loss", 2), [(1.0, 3.0), (2.0, 3.0)]);
        let epochs = curves.epochs("epoch/eval_loss");
        assert_eq!(epochs, [(1.0, 3.0), (2.0, 3.5)]);
        assert_eq!(lowest(&epochs), Some((1.0, 3.0)));
        assert_eq!((curves.steps("other"), lowest(&[])), (vec![], None));

        std::fs::write(folder.join("metrics.jsonl"), "{}\n{\"step\":").unwrap();
        let error = RunCurves::read(&folder).unwrap_err().to_string();
        assert!(error.contains("metrics.jsonl: line 2: "), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
