/// The mean of the values in a window around each point, shorter at the ends of the line. Points are (x, y). An even
/// `window` is one value wider, so that the point stands in the middle.
pub fn moving_average(points: &[(f64, f64)], window: usize) -> Vec<(f64, f64)> {
    let side = window / 2;
    let mean = |index: usize| {
        let end = (index + side + 1).min(points.len());
        let around = &points[index.saturating_sub(side)..end];
        let sum: f64 = around.iter().map(|(_, y)| y).sum();
        (points[index].0, sum / around.len() as f64)
    };
    (0..points.len()).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_line_stays_where_it_is_but_for_its_ends() {
        let line: Vec<_> = (0..200)
            .map(|x| (f64::from(x), 3.0 * f64::from(x)))
            .collect();
        let means = moving_average(&line, 11);
        // Sums of whole numbers are exact.
        assert_eq!(means[5..195], line[5..195]);
        assert_eq!(means[0], (0.0, 7.5));
        let means = moving_average(&[(1.0, 0.0), (2.0, 6.0), (3.0, 0.0), (4.0, 0.0)], 5);
        assert_eq!(means, [(1.0, 2.0), (2.0, 1.5), (3.0, 1.5), (4.0, 2.0)]);
        assert_eq!(moving_average(&[], 5), []);
    }
}
