//! Ranges of axes and the texts at their ticks.

use std::ops::Range;

/// A range that holds the values and is never empty; with some room, and from 0 where that is near.
pub(super) fn range(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = ends(values);
    let room = 0.05 * (high - low);
    let bottom = match low >= 0.0 && low < 0.5 * high {
        true => 0.0,
        false => low - room,
    };
    not_empty(bottom, high + room)
}

/// The same without room, for steps and lengths.
pub(super) fn tight_range(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = ends(values);
    not_empty(low, high)
}

fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    match low <= high {
        true => (low, high),
        false => (0.0, 1.0),
    }
}

fn not_empty(low: f64, high: f64) -> Range<f64> {
    let least = 1e-9 * low.abs().max(1e-9);
    match high - low > least {
        true => low..high,
        false => low - 0.5..low + 0.5,
    }
}

/// Short: no digits that say nothing.
pub(super) fn label(value: f64, range: &Range<f64>) -> String {
    let span = range.end - range.start;
    if value.abs() < 1e-9 * span {
        return "0".into();
    }
    if !(1e-2..1e6).contains(&span) {
        return format!("{value:.1e}");
    }
    let digits = (1.0 - span.log10().floor()).clamp(0.0, 4.0) as usize;
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_values_and_are_never_empty() {
        for values in [
            &[][..],
            &[0.0],
            &[5.0, 5.0],
            &[-3.0, 8.0],
            &[f64::NAN, 1e-12],
            &[90.0, 91.0],
        ] {
            for range in [
                range(values.iter().copied()),
                tight_range(values.iter().copied()),
            ] {
                assert!(range.start < range.end, "{values:?} {range:?}");
                for value in values.iter().filter(|value| value.is_finite()) {
                    assert!(
                        range.start <= *value && *value <= range.end,
                        "{values:?} {range:?}"
                    );
                }
            }
        }
        assert_eq!(range([2.0, 10.0].into_iter()).start, 0.0);
        assert!(range([90.0, 91.0].into_iter()).start > 80.0);
    }

    #[test]
    fn labels_are_short() {
        assert_eq!(label(20.0, &(0.0..100.0)), "20");
        assert_eq!(label(0.30000000000000004, &(0.0..0.5)), "0.3");
        assert_eq!(label(1e-17, &(0.0..1.0)), "0");
        assert_eq!(label(1.5e-4, &(0.0..2e-4)), "1.5e-4");
        assert_eq!(label(2.5, &(0.0..5.0)), "2.5");
    }
}
