/// Min-max downsampling: the lowest and the highest point of each of `stretches` parts of a line, in order, so that the line
/// looks the same. Points are (x, y).
pub(crate) fn thinned(points: &[(f64, f64)], stretches: usize) -> Vec<(f64, f64)> {
    if points.len() <= 2 * stretches {
        return points.to_vec();
    }
    let mut kept = Vec::new();
    for stretch in points.chunks(points.len().div_ceil(stretches.max(1))) {
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let ends = [
            stretch.iter().min_by(by_value),
            stretch.iter().max_by(by_value),
        ];
        let mut ends: Vec<_> = ends.into_iter().flatten().copied().collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        ends.dedup();
        kept.extend(ends);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_order_and_the_extremes() {
        let value = |step: u32| (f64::from(step), f64::from(step * 7919 % 1000));
        let mut points: Vec<_> = (0..10_000).map(value).collect();
        (points[1234].1, points[5678].1) = (-5.0, 5000.0);
        let kept = thinned(&points, 400);
        assert!(kept.len() <= 800, "{}", kept.len());
        assert!(kept.is_sorted_by(|a, b| a.0 < b.0));
        assert!(kept.contains(&points[1234]) && kept.contains(&points[5678]));
        assert_eq!(thinned(&points[..800], 400), points[..800]);
    }
}
