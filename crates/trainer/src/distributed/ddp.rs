use std::sync::Arc;
use std::time::Duration;

use bert_qa::{BertForQuestionAnswering, DropoutSeed};
use burn::tensor::Tensor;
use squad_data::PackedBatch;

use super::collectives::{PendingTensor, TensorCollectives};
use super::layerwise;
use super::units::{Unit, cut, lowest_trained, units};
use crate::Error;
use crate::optim::adamw::Moments;
use crate::optim::parameters;
use crate::train::engine::{Alone, Engine, Pass};

/// Data parallelism: every rank has the whole model and makes the same steps with it, from gradients
/// that are summed in flat buckets while the backward pass goes on.
pub(crate) struct DdpEngine {
    /// With this rank's gradients, summed over the micro-batches so far; then with those of all.
    alone: Alone,
    collectives: Arc<dyn TensorCollectives>,
    units: Vec<Unit>,
    /// In the order in which the backward pass completes them.
    buckets: Vec<Bucket>,
    /// Buckets on their way, from the first.
    started: Vec<PendingTensor>,
}

/// Parameters whose gradients travel together, as unit and slot.
type Bucket = Vec<(usize, usize)>;

impl DdpEngine {
    /// `capacity` is a bucket's, in bytes.
    pub(crate) fn new(
        alone: Alone,
        capacity: f64,
        collectives: Arc<dyn TensorCollectives>,
    ) -> Self {
        let units = units(alone.module());
        Self {
            alone,
            collectives,
            buckets: buckets(&units, capacity),
            units,
            started: Vec::new(),
        }
    }

    /// Starts the buckets that are complete when the backward pass has come down to `unit`.
    fn start(&mut self, unit: usize) -> Result<(), Error> {
        let next = &self.buckets[self.started.len()..];
        let complete = next
            .iter()
            .take_while(|bucket| bucket.iter().all(|(of, _)| *of >= unit));
        for bucket in complete {
            let flat = bucket.iter().map(|&(unit, slot)| {
                let slot = &self.units[unit].slots[slot];
                let gradient = self.alone.gradients.take(slot.id);
                let device = || self.alone.device.clone().inner();
                gradient.unwrap_or_else(|| Tensor::zeros([slot.range.len()], &device()))
            });
            let flat = Tensor::cat(flat.collect(), 0);
            self.started.push(self.collectives.start_all_reduce(flat)?);
        }
        Ok(())
    }
}

/// From the head down, as the backward pass goes, and in the model's order within a unit. A parameter
/// that is larger than a bucket has one for itself.
fn buckets(units: &[Unit], capacity: f64) -> Vec<Bucket> {
    let (mut buckets, mut bytes) = (Vec::<Bucket>::new(), 0.0);
    for (index, unit) in units.iter().enumerate().rev().filter(|(_, u)| u.is_trained) {
        for (slot, parameter) in unit.slots.iter().enumerate() {
            let size = (parameter.range.len() * size_of::<f32>()) as f64;
            match buckets.last_mut().filter(|_| bytes + size <= capacity) {
                Some(bucket) => bucket.push((index, slot)),
                None => {
                    buckets.push(vec![(index, slot)]);
                    bytes = 0.0;
                }
            }
            bytes += size;
        }
    }
    buckets
}

impl Engine for DdpEngine {
    fn backward(
        &mut self,
        batch: &PackedBatch,
        dropout: Option<DropoutSeed>,
        is_last: bool,
    ) -> Result<Option<Pass>, Error> {
        let mut pass = None;
        if !batch.is_empty() {
            let lowest = lowest_trained(&self.units);
            let model = self.alone.module().clone();
            let on = (batch, &self.alone.device.clone());
            let whole = layerwise::backward(&model, lowest, on, dropout, &mut |unit, new| {
                self.alone.gradients.add(&model, new);
                match is_last {
                    true => self.start(unit),
                    false => Ok(()),
                }
            })?;
            pass = Some(whole);
        }
        if is_last {
            self.start(0)?;
        }
        Ok(pass)
    }

    fn reduce(&mut self) -> Result<f32, Error> {
        for (bucket, pending) in self.buckets.iter().zip(self.started.drain(..)) {
            let flat = pending.wait()?;
            let mut start = 0;
            for &(unit, slot) in bucket {
                let slot = &self.units[unit].slots[slot];
                let end = start + slot.range.len();
                self.alone.gradients.set(slot.id, cut(&flat, &(start..end)));
                start = end;
            }
        }
        self.collectives.synchronize()?;
        self.alone.reduce()
    }

    fn step(&mut self, norm: f32, features: usize, learning_rate: f64) -> Result<(), Error> {
        self.alone.step(norm, features, learning_rate)
    }

    fn model(&mut self, wanted: bool) -> Result<Option<BertForQuestionAnswering>, Error> {
        self.alone.model(wanted)
    }

    fn moments(&mut self, wanted: bool) -> Result<Option<Moments>, Error> {
        self.alone.moments(wanted)
    }

    fn digest(&self) -> Option<Vec<u8>> {
        Some(parameters::digest(self.alone.module()))
    }

    fn communication(&self) -> Option<Duration> {
        self.collectives.waited()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_filled_before_the_next_and_a_large_parameter_has_its_own() {
        let units = [[1, 9], [2, 2], [3, 1]].map(|sizes| Unit::of_sizes(&sizes));
        let names = |capacity: f64| buckets(&units, capacity * 4.0);
        assert_eq!(
            names(5.0),
            [
                vec![(2, 0), (2, 1)],
                vec![(1, 0), (1, 1), (0, 0)],
                vec![(0, 1)]
            ]
        );
        assert_eq!(names(100.0).len(), 1);
        assert_eq!(names(0.1).len(), 6);
    }
}
