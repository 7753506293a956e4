//! Numbers as people read them.

/// What stands for a figure that there is none of.
pub(super) const NONE: &str = "–";

/// A count with its thousands apart: `12,345`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A figure with so many decimals.
pub(super) fn decimals(value: f64, digits: usize) -> String {
    match value.is_finite() {
        true => format!("{value:.digits$}"),
        false => NONE.into(),
    }
}

/// The same of a figure that may be missing.
pub(super) fn figure(value: Option<f64>, digits: usize) -> String {
    decimals(value.unwrap_or(f64::NAN), digits)
}

/// Seconds as hours and minutes, minutes and seconds, or seconds.
pub(super) fn duration(seconds: f64) -> String {
    if !(seconds.is_finite() && seconds >= 0.0) {
        return NONE.into();
    }
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match whole / 3600 {
        0 => format!("{} min {:02} s", whole / 60, whole % 60),
        hours => format!("{hours} h {:02} min", whole % 3600 / 60),
    }
}

/// A learning rate, as configurations write it: `2e-4`.
pub(super) fn rate(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        _ => format!("{value:.1e}").replace(".0e", "e"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(decimals(2.0 / 3.0, 2), "0.67");
        assert_eq!(
            (decimals(f64::NAN, 2), figure(None, 1)),
            (NONE.into(), NONE.into())
        );
        let times = [0.04, 59.94, 61.0, 3599.6, 7500.0, f64::INFINITY].map(duration);
        assert_eq!(
            times,
            [
                "0.0 s",
                "59.9 s",
                "1 min 01 s",
                "1 h 00 min",
                "2 h 05 min",
                NONE
            ]
        );
        assert_eq!(
            [0.0, 2e-4, 1.5e-5, 1.0].map(rate),
            ["0", "2e-4", "1.5e-5", "1e0"]
        );
    }
}
