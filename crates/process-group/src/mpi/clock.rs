use std::time::{Duration, Instant};

/// A clock that stands still while this process does: stopped, or suspended with the machine.
///
/// What was not heard in such a time is no other rank's fault.
pub(super) struct Clock {
    last: Instant,
    now: Duration,
}

/// A thread that polls is never away for so long of its own accord.
const LONGEST_STEP: Duration = Duration::from_secs(1);

impl Clock {
    pub(super) fn new() -> Self {
        let (last, now) = (Instant::now(), Duration::ZERO);
        Self { last, now }
    }

    /// The time since the clock was made. To be called at least once a second.
    pub(super) fn tick(&mut self) -> Duration {
        let now = Instant::now();
        self.now += (now - self.last).min(LONGEST_STEP);
        self.last = now;
        self.now
    }
}
