use std::sync::mpsc::sync_channel;
use std::thread::{Builder, Scope};

use squad_data::{BatchSampler, Feature, PackedBatch, SamplerState, Shard};

/// The number of steps that are packed in advance, at most.
const PREFETCH_STEPS: usize = 2;

/// The batches of one optimizer step.
#[derive(Debug, PartialEq)]
pub(crate) struct StepBatches {
    /// The indices of the step's features, of all ranks.
    pub(crate) feature_indices: Vec<usize>,
    /// This rank's part of each micro-batch, which may be empty.
    pub(crate) batches: Vec<PackedBatch>,
    /// The position in the epoch after this step.
    pub(crate) position: SamplerState,
}

/// Packs the batches of an epoch's optimizer steps in advance, on a thread of its own. A run of one thread, or one that can
/// start no more, packs them when it needs them.
pub(crate) struct Prefetcher<'a> {
    steps: Box<dyn Iterator<Item = StepBatches> + Send + 'a>,
}

impl<'a> Prefetcher<'a> {
    /// The rest of the sampler's epoch, `batches_per_step` batches for each step. The thread ends with the epoch, or soon after the
    /// prefetcher is dropped.
    pub(crate) fn new(
        scope: &'a Scope<'a, '_>,
        sampler: BatchSampler,
        features: &'a [Feature],
        batches_per_step: usize,
        shard: Shard,
    ) -> Self {
        let steps = move |mut sampler: BatchSampler| {
            std::iter::from_fn(move || {
                let global_batches: Vec<_> = sampler.by_ref().take(batches_per_step).collect();
                let own_batches = global_batches
                    .iter()
                    .map(|batch| PackedBatch::new(features, shard.of_batch(batch)));
                (!global_batches.is_empty()).then(|| StepBatches {
                    feature_indices: global_batches.concat(),
                    batches: own_batches.collect(),
                    position: sampler.state(),
                })
            })
        };
        let thread = (rayon::current_num_threads() > 1).then(Builder::new);
        let received = thread.and_then(|thread| receive(scope, thread, steps(sampler.clone())));
        Self {
            steps: received.unwrap_or_else(|| Box::new(steps(sampler))),
        }
    }

    /// The next step; `None` at the end of the epoch.
    pub(crate) fn next(&mut self) -> Option<StepBatches> {
        self.steps.next()
    }
}

/// The steps from a thread that is a few ahead; `None` if it cannot be started.
fn receive<'a>(
    scope: &'a Scope<'a, '_>,
    thread: Builder,
    mut steps: impl Iterator<Item = StepBatches> + Send + 'a,
) -> Option<Box<dyn Iterator<Item = StepBatches> + Send + 'a>> {
    let (sender, receiver) = sync_channel(PREFETCH_STEPS);
    let send = move || steps.try_for_each(|step| sender.send(step));
    thread.spawn_scoped(scope, send).ok()?;
    Some(Box::new(receiver.into_iter()))
}

#[cfg(test)]
mod tests {
    use squad_data::BatchSize;

    use super::*;
    use crate::data::test_feature;

    #[test]
    fn steps_are_the_rest_of_the_epoch_in_order_and_the_thread_ends_on_drop() {
        let features = vec![test_feature(vec![101, 7, 102], 1..=1); 23];
        let mut sampler = BatchSampler::new(vec![3; 23], BatchSize::Features(2), 1).unwrap();
        sampler.start_epoch(1);
        sampler.next();
        let expected: Vec<Vec<usize>> = sampler.clone().collect();
        let whole = Shard::new(0, 1).unwrap();
        let test = || {
            std::thread::scope(|scope| {
                let mut prefetcher = Prefetcher::new(scope, sampler.clone(), &features, 3, whole);
                let steps: Vec<_> = std::iter::from_fn(|| prefetcher.next()).collect();
                assert_eq!(steps.len(), 4); // 11 batches by three.
                let positions = steps.iter().map(|step| step.position.next_batch);
                assert!(positions.eq([4, 7, 10, 12]));
                let batches = steps.into_iter().flat_map(|step| step.batches);
                let batches = batches.map(|batch| batch.feature_indices);
                assert!(batches.eq(expected.clone()));
                // A prefetcher that is dropped early does not keep the scope alive.
                let mut prefetcher = Prefetcher::new(scope, sampler.clone(), &features, 1, whole);
                assert!(prefetcher.next().is_some());
            })
        };
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(test);
        }
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_thread_that_cannot_be_started_is_no_error() {
        std::thread::scope(|scope| {
            let received = |thread| receive(scope, thread, std::iter::empty()).is_some();
            // No address space has room for its stack.
            assert!(!received(Builder::new().stack_size(1 << 60)));
            assert!(received(Builder::new()));
        });
    }
}
