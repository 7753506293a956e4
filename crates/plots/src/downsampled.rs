/// Min-max downsampling: the lowest and the highest point of each of `buckets` parts of a line, in order, so that the line
/// looks the same. Points are (x, y).
pub(crate) fn downsampled(points: &[(f64, f64)], buckets: usize) -> Vec<(f64, f64)> {
    if points.len() <= 2 * buckets {
        return points.to_vec();
    }
    let mut kept = Vec::new();
    for bucket in points.chunks(points.len().div_ceil(buckets.max(1))) {
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let ends = [
            bucket.iter().min_by(by_value),
            bucket.iter().max_by(by_value),
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
        let kept = downsampled(&points, 400);
        assert!(kept.len() <= 800, "{}", kept.len());
        assert!(kept.is_sorted_by(|a, b| a.0 < b.0));
        assert!(kept.contains(&points[1234]) && kept.contains(&points[5678]));
        assert_eq!(downsampled(&points[..800], 400), points[..800]);
    }
}
