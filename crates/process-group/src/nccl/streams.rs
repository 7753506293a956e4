//! Collectives on a stream of their own, beside that of the computation.

use crate::Error;

/// The two streams of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Computation,
    Communication,
}

/// What orders the work on two streams of a device. A trait, so that tests can do without a device.
pub(super) trait Streams {
    type Event;

    /// Marks the end of the work that is on a stream now.
    fn record(&self, stream: Stream) -> Result<Self::Event, Error>;

    /// Lets later work on a stream wait for an event. The host does not wait.
    fn block(&self, stream: Stream, event: &Self::Event) -> Result<(), Error>;
}

/// Enqueues a collective on the communication stream, after the work that is on the computation stream now. Later work on
/// the computation stream runs beside it until that stream waits for the collective's end.
pub(super) fn fork<S: Streams, T>(
    streams: &S,
    collective: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let ready = streams.record(Stream::Computation)?;
    streams.block(Stream::Communication, &ready)?;
    collective()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use super::*;

    /// For each stream, the work that ends before its next work begins.
    #[derive(Default)]
    struct Fake([RefCell<BTreeSet<&'static str>>; 2]);

    impl Fake {
        /// Enqueues work. Returns what has ended before it begins.
        fn enqueue(&self, stream: Stream, work: &'static str) -> BTreeSet<&'static str> {
            let mut ended = self.0[stream as usize].borrow_mut();
            let before = ended.clone();
            ended.insert(work);
            before
        }
    }

    impl Streams for Fake {
        type Event = BTreeSet<&'static str>;

        fn record(&self, stream: Stream) -> Result<Self::Event, Error> {
            Ok(self.0[stream as usize].borrow().clone())
        }

        fn block(&self, stream: Stream, event: &Self::Event) -> Result<(), Error> {
            self.0[stream as usize].borrow_mut().extend(event);
            Ok(())
        }
    }

    #[test]
    fn a_collective_runs_after_its_gradients_and_beside_the_rest_of_the_backward_pass() {
        let device = Fake::default();
        let all_reduce = |name| {
            fork(&device, || {
                let before = device.enqueue(Stream::Communication, name);
                Ok((before, device.record(Stream::Communication)?))
            })
            .unwrap()
        };
        device.enqueue(Stream::Computation, "layer 2");
        let (before, end_of_2) = all_reduce("sum of 2");
        assert_eq!(before, BTreeSet::from(["layer 2"]));
        let before = device.enqueue(Stream::Computation, "layer 1");
        assert!(!before.contains("sum of 2"), "the computation waits");
        let (before, end_of_1) = all_reduce("sum of 1");
        assert_eq!(before, BTreeSet::from(["layer 1", "layer 2", "sum of 2"]));
        device.block(Stream::Computation, &end_of_2).unwrap();
        let before = device.enqueue(Stream::Computation, "use of 2");
        assert!(before.contains("sum of 2") && !before.contains("sum of 1"));
        device.block(Stream::Computation, &end_of_1).unwrap();
        let before = device.enqueue(Stream::Computation, "step");
        assert!(before.contains("sum of 1"));
    }
}
