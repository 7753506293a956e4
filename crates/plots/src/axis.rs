//! The axes of a chart: their ranges and the texts at their ticks.

use std::ops::Range;

use super::format::rate;

/// How an axis is cut and lettered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    /// Whole numbers, from the first.
    Steps,
    /// Few whole numbers, with room on either side.
    Epochs,
    /// From 0.
    Amount,
    /// A learning rate, from 0.
    Rate,
    /// Percentages, as near as the values allow.
    Percent,
}

impl Axis {
    /// What its numbers count, where the chart does not say it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Steps => "optimizer step",
            Self::Epochs => "epoch",
            Self::Amount | Self::Rate | Self::Percent => "",
        }
    }

    /// A range that is never empty, whatever the values.
    pub(super) fn range(self, low: f64, high: f64) -> Range<f64> {
        if !(low.is_finite() && high.is_finite()) {
            return 0.0..1.0;
        }
        match self {
            Self::Steps => low..high.max(low + 1.0),
            Self::Epochs => low - 0.25..high + 0.25,
            Self::Amount | Self::Rate => match high > 0.0 {
                true => low.min(0.0)..1.06 * high,
                false => low.min(0.0)..1.0,
            },
            Self::Percent => {
                let room = (0.12 * (high - low)).max(1.0);
                let (low, high) = ((low - room).max(0.0), (high + room).min(100.0));
                low..high.max(low + 1.0)
            }
        }
    }

    /// The text at a tick; nothing between whole steps and epochs.
    pub(super) fn label(self, value: f64, range: &Range<f64>) -> String {
        let span = range.end - range.start;
        match self {
            Self::Steps | Self::Epochs if value.fract().abs() > 1e-6 => String::new(),
            Self::Steps if span >= 20_000.0 => format!("{}k", value / 1000.0),
            Self::Steps | Self::Epochs => format!("{value:.0}"),
            Self::Rate => rate(value),
            Self::Amount | Self::Percent if span >= 1e5 => format!("{value:.0e}"),
            Self::Amount | Self::Percent => {
                let digits = if span >= 5.0 {
                    0
                } else if span >= 0.5 {
                    1
                } else {
                    3
                };
                format!("{value:.digits$}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short_and_steps_and_epochs_whole() {
        let label = |axis: Axis, value, range| axis.label(value, &range);
        assert_eq!(label(Axis::Epochs, 1.5, 0.75..3.25), "");
        assert_eq!(label(Axis::Epochs, 2.0, 0.75..3.25), "2");
        assert_eq!(label(Axis::Steps, 500.0, 0.0..1000.0), "500");
        assert_eq!(label(Axis::Steps, 25_000.0, 0.0..30_000.0), "25k");
        assert_eq!(label(Axis::Rate, 0.000_150_000_000_1, 0.0..2e-4), "1.5e-4");
        assert_eq!(label(Axis::Amount, 2.0, 0.0..4.0), "2.0");
        assert_eq!(label(Axis::Percent, 60.0, 40.0..90.0), "60");
    }

    #[test]
    fn ranges_hold_their_values_and_are_never_empty() {
        for axis in [
            Axis::Steps,
            Axis::Epochs,
            Axis::Amount,
            Axis::Rate,
            Axis::Percent,
        ] {
            for (low, high) in [(0.0, 0.0), (1.0, 1.0), (3.0, 97.5), (100.0, 100.0)] {
                let range = axis.range(low, high);
                assert!(range.start < range.end, "{low} {high} {range:?}");
                assert!(
                    range.start <= low && high <= range.end,
                    "{low} {high} {range:?}"
                );
            }
        }
        assert_eq!(
            Axis::Amount.range(f64::INFINITY, f64::NEG_INFINITY),
            0.0..1.0
        );
        assert_eq!(Axis::Amount.range(2.0, 4.0).start, 0.0);
    }
}
