use std::hint::black_box;
use std::time::Instant;

use squad_data::Feature;

/// The time and memory of a measured function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Median of the repetitions, in seconds.
    pub seconds: f64,
    /// Peak memory of the process during the measurement, if the system reports it.
    pub peak_bytes: Option<u64>,
}

/// Calls a function once to warm up, then `repetitions` times with a clock.
pub fn measure<T>(repetitions: usize, mut work: impl FnMut() -> T) -> Measured {
    // The compiler may not remove work whose result is unused.
    let mut once = || drop(black_box(work()));
    let is_reset = reset_peak();
    once();
    let mut seconds: Vec<f64> = (0..repetitions.max(1))
        .map(|_| {
            let started = Instant::now();
            once();
            started.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    Measured {
        seconds: seconds[seconds.len() / 2],
        peak_bytes: trainer::peak_memory_bytes().filter(|_| is_reset),
    }
}

impl Measured {
    /// The time in milliseconds, for a table.
    pub fn ms(&self) -> String {
        format!("{:.1}", 1000.0 * self.seconds)
    }

    /// The peak memory in MB, for a table.
    pub fn mb(&self) -> String {
        self.peak_bytes
            .map_or("–".into(), |bytes| format!("{:.0}", bytes as f64 / 1e6))
    }
}

/// Resets the peak memory of the process; only Linux can.
fn reset_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// Features padded to `length` with token 0, `[PAD]`. For measuring the cost of padding: without a mask, the model reads
/// padding like any token.
pub fn padded(features: &[Feature], length: usize) -> Vec<Feature> {
    let pad = |feature: &Feature| {
        let mut feature = feature.clone();
        feature.input_ids.resize(length.max(feature.len()), 0);
        feature
    };
    features.iter().map(pad).collect()
}

#[cfg(test)]
mod tests {
    use squad_data::PairTemplate;

    use super::*;

    #[test]
    fn measures_time_and_peak_memory() {
        let mut calls = 0;
        let small = measure(3, || calls += 1);
        assert_eq!(calls, 4);
        let slow = measure(3, || {
            std::thread::sleep(std::time::Duration::from_millis(5))
        });
        assert!(
            slow.seconds >= 0.005 && small.seconds < 0.005,
            "{slow:?} {small:?}"
        );
        // Written, so that the system provides the pages.
        let large = measure(1, || vec![1u8; 64 << 20]);
        if let Some(bytes) = large.peak_bytes {
            assert!(bytes >= 64 << 20, "{large:?}");
        }
    }

    #[test]
    fn padding_never_truncates() {
        let feature = Feature {
            example_index: 0,
            input_ids: vec![1, 2, 3],
            template: PairTemplate::bert(101, 102).into(),
            context: 1..2,
            max_context: 1..2,
            offsets: vec![(0, 1)],
            word_starts: Vec::new(),
            start_position: 0,
            end_position: 0,
        };
        let lengths = |length| padded(std::slice::from_ref(&feature), length)[0].len();
        assert_eq!((lengths(8), lengths(2)), (8, 3));
        assert_eq!(
            padded(std::slice::from_ref(&feature), 5)[0].input_ids,
            [1, 2, 3, 0, 0]
        );
    }
}
