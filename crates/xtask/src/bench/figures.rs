//! Figures of several rounds.

/// # Panics
/// If there are none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() % 2 {
        1 => sorted[half],
        _ => (sorted[half - 1] + sorted[half]) / 2.0,
    }
}

/// One side against another, round by round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ratio {
    /// Of the medians.
    pub(super) median: f64,
    /// Of any single round.
    pub(super) lowest: f64,
    /// Of any single round.
    pub(super) highest: f64,
}

impl Ratio {
    /// Round `i` of one side belongs to round `i` of the other: they ran in the same minutes.
    pub(super) fn new(ours: &[f64], theirs: &[f64]) -> Self {
        let rounds = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs);
        let (lowest, highest) = rounds.fold((f64::INFINITY, 0.0), |(lowest, highest), ratio| {
            (ratio.min(lowest), ratio.max(highest))
        });
        Self {
            median: median(ours) / median(theirs),
            lowest,
            highest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_numbers_of_rounds() {
        assert_eq!(median(&[3.0, 1.0, 8.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0, 8.0, 2.0]), 3.0);
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let ratio = Ratio::new(&[8.0, 4.0, 10.0], &[4.0, 1.0, 2.0]);
        assert_eq!((ratio.median, ratio.lowest, ratio.highest), (4.0, 2.0, 5.0));
        // The slowest of one against the quickest of the other would be 1.0.
        let even = Ratio::new(&[4.0, 8.0], &[2.0, 4.0]);
        assert_eq!((even.median, even.lowest, even.highest), (2.0, 2.0, 2.0));
    }
}
