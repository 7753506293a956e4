use std::ops::Range;

/// The range of an axis and the labels of its ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// The range of the values.
    Tight,
    /// The range of the values with some room, from 0 if that is near.
    Loose,
    /// Whole numbers, from the first.
    Steps,
    /// Few whole numbers, with room on either side.
    Epochs,
    /// From 0.
    Amount,
    /// A learning rate, from 0; labels such as `2e-4`.
    Rate,
    /// Percentages: the range of the values with some room, within 0 and 100.
    Percent,
}

impl Axis {
    /// A range that holds all values that can be drawn, with room between its ends.
    pub(crate) fn range(self, values: impl Iterator<Item = f64>) -> Range<f64> {
        let drawn = values.filter(|value| can_be_drawn(*value));
        let (low, high) = drawn.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            return 0.0..1.0;
        }
        wide(self.around(low, high))
    }

    fn around(self, low: f64, high: f64) -> Range<f64> {
        match self {
            Self::Tight => not_empty(low, high),
            Self::Loose => {
                let room = 0.05 * (high - low);
                let start = if low >= 0.0 && low < 0.5 * high {
                    0.0
                } else {
                    low - room
                };
                not_empty(start, high + room)
            }
            Self::Steps => low..high.max(low + 1.0),
            Self::Epochs => low - 0.25..high + 0.25,
            Self::Amount | Self::Rate => low.min(0.0)..if high > 0.0 { 1.06 * high } else { 1.0 },
            Self::Percent => {
                let room = (0.12 * (high - low)).max(1.0);
                let (low, high) = ((low - room).max(0.0), (high + room).min(100.0));
                low..high.max(low + 1.0)
            }
        }
    }

    /// The label of a tick; empty between whole steps and epochs.
    pub(crate) fn label(self, value: f64, range: &Range<f64>) -> String {
        let span = range.end - range.start;
        match self {
            Self::Tight | Self::Loose => short(value, span),
            Self::Steps | Self::Epochs if value.fract().abs() > 1e-6 => String::new(),
            Self::Steps if span >= 20_000.0 => format!("{}k", value / 1000.0),
            Self::Steps | Self::Epochs => format!("{value:.0}"),
            Self::Rate if value == 0.0 => "0".into(),
            Self::Rate => format!("{value:.1e}").replace(".0e", "e"),
            Self::Amount | Self::Percent if span >= 1e5 => format!("{value:.0e}"),
            Self::Amount | Self::Percent if span >= 5.0 => format!("{value:.0}"),
            Self::Amount | Self::Percent if span >= 0.5 => format!("{value:.1}"),
            Self::Amount | Self::Percent => format!("{value:.3}"),
        }
    }
}

/// Whether a value is of a size that a chart can show: sums of a few are finite.
pub(crate) fn can_be_drawn(value: f64) -> bool {
    // False for NaN.
    value.abs() <= 1e60
}

/// A range whose ends differ by enough that ticks between them differ too.
fn wide(range: Range<f64>) -> Range<f64> {
    let size = range.start.abs().max(range.end.abs());
    let least = (1e-9 * size).max(1e-60);
    if range.end - range.start >= least {
        range
    } else {
        range.start - least..range.start.max(range.end) + least
    }
}

fn not_empty(low: f64, high: f64) -> Range<f64> {
    let least = 1e-9 * low.abs().max(1e-9);
    if high - low > least {
        low..high
    } else {
        low - 0.5..low + 0.5
    }
}

/// A number with the digits that matter in a range of this span, without zeros at its end.
pub(crate) fn short(value: f64, span: f64) -> String {
    if value.abs() < 1e-9 * span {
        return "0".into();
    }
    if !(1e-2..1e6).contains(&span) {
        return format!("{value:.1e}");
    }
    let digits = (1.0 - span.log10().floor()).clamp(0.0, 4.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        text
    }
}

#[cfg(test)]
impl Axis {
    pub(crate) const ALL: [Self; 7] = [
        Self::Tight,
        Self::Loose,
        Self::Steps,
        Self::Epochs,
        Self::Amount,
        Self::Rate,
        Self::Percent,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_values_and_are_never_empty() {
        for axis in Axis::ALL {
            for values in [
                &[][..],
                &[0.0],
                &[1.0, 1.0],
                &[3.0, 97.5],
                &[100.0, 100.0],
                &[90.0, 91.0],
                &[f64::NAN, 1e-12],
                &[1e60, -1e60],
                &[1e-320],
                &[1e20, 1e20],
                &[-1e30],
            ] {
                let range = axis.range(values.iter().copied());
                assert!(range.start < range.end, "{axis:?} {values:?} {range:?}");
                for value in values.iter().filter(|value| value.is_finite()) {
                    // Values that are no percentages are cut off.
                    let is_cut = axis == Axis::Percent && !(0.0..=100.0).contains(value);
                    let is_inside = is_cut || range.start <= *value && *value <= range.end;
                    assert!(is_inside, "{axis:?} {values:?} {range:?}");
                }
            }
        }
        assert_eq!(Axis::Amount.range([2.0, 4.0].into_iter()).start, 0.0);
        assert_eq!(Axis::Loose.range([2.0, 10.0].into_iter()).start, 0.0);
        assert!(Axis::Loose.range([90.0, 91.0].into_iter()).start > 80.0);
    }

    #[test]
    fn labels_are_short_and_those_of_steps_and_epochs_whole() {
        for (axis, value, range, label) in [
            (Axis::Epochs, 1.5, 0.75..3.25, ""),
            (Axis::Epochs, 2.0, 0.75..3.25, "2"),
            (Axis::Steps, 500.0, 0.0..1000.0, "500"),
            (Axis::Steps, 25_000.0, 0.0..30_000.0, "25k"),
            (Axis::Rate, 0.000_150_000_000_1, 0.0..2e-4, "1.5e-4"),
            (Axis::Rate, 2e-4, 0.0..2e-4, "2e-4"),
            (Axis::Rate, 0.0, 0.0..2e-4, "0"),
            (Axis::Amount, 2.0, 0.0..4.0, "2.0"),
            (Axis::Percent, 60.0, 40.0..90.0, "60"),
            (Axis::Loose, 20.0, 0.0..100.0, "20"),
            (Axis::Loose, 0.30000000000000004, 0.0..0.5, "0.3"),
            (Axis::Loose, 1e-17, 0.0..1.0, "0"),
            (Axis::Loose, 1.5e-4, 0.0..2e-4, "1.5e-4"),
            (Axis::Loose, 2.5, 0.0..5.0, "2.5"),
        ] {
            assert_eq!(axis.label(value, &range), label, "{axis:?} {value}");
        }
    }
}
