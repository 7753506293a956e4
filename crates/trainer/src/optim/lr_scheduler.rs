use std::f64::consts::PI;

use crate::config::{LrSchedulerType, TrainConfig};

/// A learning-rate schedule with warm-up, as transformers' `get_linear_schedule_with_warmup` and its counterparts for
/// `cosine` and `constant`: the rate rises linearly from 0 to its peak, then follows `lr_scheduler_type`.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    kind: LrSchedulerType,
    peak: f64,
    warmup_steps: u32,
    total_steps: u32,
}

impl Schedule {
    /// `total_steps` counts optimizer steps; the warm-up takes `warmup_ratio` of them, rounded down.
    pub fn new(config: &TrainConfig, total_steps: u32) -> Self {
        Self {
            kind: config.lr_scheduler_type,
            peak: config.learning_rate,
            warmup_steps: (config.warmup_ratio * f64::from(total_steps)) as u32,
            total_steps,
        }
    }

    /// The learning rate of a step; the first step is step 0.
    pub fn lr(&self, step: u32) -> f64 {
        if step < self.warmup_steps {
            return self.peak * (f64::from(step) / f64::from(self.warmup_steps));
        }
        let left = f64::from(self.total_steps.saturating_sub(step));
        let left = left / f64::from((self.total_steps - self.warmup_steps).max(1));
        self.peak
            * match self.kind {
                LrSchedulerType::Linear => left,
                LrSchedulerType::Cosine => 0.5 * (1.0 + (PI * (1.0 - left)).cos()),
                LrSchedulerType::Constant => 1.0,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates<const N: usize>(kind: LrSchedulerType, ratio: f64, steps: [u32; N]) -> [f64; N] {
        let config = TrainConfig {
            lr_scheduler_type: kind,
            learning_rate: 2.0,
            warmup_ratio: ratio,
            ..TrainConfig::default()
        };
        steps.map(|step| Schedule::new(&config, 100).lr(step))
    }

    #[test]
    fn the_rate_rises_to_its_peak_and_then_follows_the_type() {
        let steps = [0, 5, 10, 55, 100];
        let linear = rates(LrSchedulerType::Linear, 0.1, steps);
        assert_eq!(linear, [0.0, 1.0, 2.0, 1.0, 0.0]);
        let constant = rates(LrSchedulerType::Constant, 0.1, steps);
        assert_eq!(constant, [0.0, 1.0, 2.0, 2.0, 2.0]);
        let cosine = rates(LrSchedulerType::Cosine, 0.1, [0, 5, 10, 55, 100, 25]);
        // A sixth of the way down the half wave: 1 + cos(30°).
        let expected = [0.0, 1.0, 2.0, 1.0, 0.0, 1.0 + 0.75_f64.sqrt()];
        for (rate, expected) in cosine.iter().zip(expected) {
            // A few operations in f64.
            assert!((rate - expected).abs() < 1e-15, "{cosine:?}");
        }
        assert_eq!(rates(LrSchedulerType::Linear, 0.0, [0]), [2.0]);
    }
}
