//! Numbers as text.

/// Stands for a missing figure.
pub(crate) const NONE: &str = "–";

/// A count with separated thousands: `12,345`.
pub(crate) fn count(number: u64) -> String {
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

/// A figure with `digits` decimals.
pub(crate) fn decimals(value: f64, digits: usize) -> String {
    if value.is_finite() {
        format!("{value:.digits$}")
    } else {
        NONE.into()
    }
}

/// As [`decimals`], of a figure that may be missing.
pub(crate) fn figure(value: Option<f64>, digits: usize) -> String {
    decimals(value.unwrap_or(f64::NAN), digits)
}

/// Seconds as hours and minutes, minutes and seconds, or seconds.
pub(crate) fn duration(seconds: f64) -> String {
    if !(seconds.is_finite() && seconds >= 0.0) {
        return NONE.into();
    }
    // From here on one decimal would be rounded to 60.0.
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match whole / 3600 {
        0 => format!("{} min {:02} s", whole / 60, whole % 60),
        hours => format!("{hours} h {:02} min", whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(decimals(2.0 / 3.0, 2), "0.67");
        assert_eq!(
            (decimals(f64::NAN, 2), figure(None, 1)),
            (NONE.into(), NONE.into())
        );
        let times = [0.04, 59.94, 59.96, 61.0, 3599.6, 7500.0, f64::INFINITY].map(duration);
        assert_eq!(
            times,
            [
                "0.0 s",
                "59.9 s",
                "1 min 00 s",
                "1 min 01 s",
                "1 h 00 min",
                "2 h 05 min",
                NONE
            ]
        );
    }
}
