/// The linear schedule with warm-up of Hugging Face's `get_linear_schedule_with_warmup`: from 0 up
/// to the peak rate over the first steps, then down to 0 at the last.
#[derive(Clone, Copy, Debug)]
pub struct LinearSchedule {
    peak: f64,
    warmup_steps: u32,
    total_steps: u32,
}

impl LinearSchedule {
    /// `total_steps` counts optimizer steps; the warm-up takes `warmup_ratio` of them, rounded down.
    pub fn new(peak: f64, warmup_ratio: f64, total_steps: u32) -> Self {
        let warmup_steps = (warmup_ratio * f64::from(total_steps)) as u32;
        Self {
            peak,
            warmup_steps,
            total_steps,
        }
    }

    /// The learning rate of a step; the first step is step 0.
    pub fn rate(&self, step: u32) -> f64 {
        let Self {
            peak,
            warmup_steps,
            total_steps,
        } = *self;
        let factor = if step < warmup_steps {
            f64::from(step) / f64::from(warmup_steps)
        } else {
            let left = f64::from(total_steps.saturating_sub(step));
            left / f64::from((total_steps - warmup_steps).max(1))
        };
        peak * factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_to_the_peak_and_falls_to_zero() {
        let schedule = LinearSchedule::new(2.0, 0.1, 100);
        assert_eq!(schedule.rate(0), 0.0);
        assert_eq!(schedule.rate(5), 1.0);
        assert_eq!(schedule.rate(10), 2.0);
        assert_eq!(schedule.rate(55), 1.0);
        assert_eq!(schedule.rate(100), 0.0);
        assert_eq!(LinearSchedule::new(2.0, 0.0, 4).rate(0), 2.0);
    }
}
