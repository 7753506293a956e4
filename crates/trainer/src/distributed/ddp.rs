use std::sync::Arc;
use std::time::Duration;

use bert_qa::{BertForQuestionAnswering, DropoutSeed, PackedInput};
use burn::tensor::{Gradients, Tensor};
use squad_data::PackedBatch;

use super::collectives::{PendingTensor, TensorCollectives};
use super::layerwise;
use super::units::{Unit, lowest_trained, slice, units};
use crate::Error;
use crate::optim::adamw::Moments;
use crate::optim::gradients::{GradNorm, StepScale};
use crate::optim::parameters;
use crate::train::engine::{Engine, Pass, SingleProcessEngine, scoped};

/// Distributed data parallelism: every rank has the whole model and makes the same optimizer steps. Gradients are summed
/// over the ranks in flat buckets while the backward pass goes on.
pub(crate) struct DdpEngine {
    /// Its gradients are this rank's sums over micro-batches, and those of all ranks after `reduce`.
    local: SingleProcessEngine,
    collectives: Arc<dyn TensorCollectives>,
    units: Vec<Unit>,
    /// In the order in which the backward pass completes them, from the head down.
    buckets: Vec<Bucket>,
    /// The buckets in flight: the first of `buckets`.
    started: Vec<PendingTensor>,
}

/// Parameters whose gradients are summed together, as indices of the unit and of the parameter in it.
type Bucket = Vec<(usize, usize)>;

impl DdpEngine {
    /// `capacity` is the size of a bucket in bytes.
    pub(crate) fn new(
        local: SingleProcessEngine,
        capacity: f64,
        collectives: Arc<dyn TensorCollectives>,
    ) -> Self {
        let units = units(local.module());
        Self {
            local,
            collectives,
            buckets: buckets(&units, capacity),
            units,
            started: Vec::new(),
        }
    }

    /// Starts the buckets that are complete after the backward pass of `stage`.
    pub(super) fn start_buckets(&mut self, stage: usize) -> Result<(), Error> {
        let next = &self.buckets[self.started.len()..];
        let is_complete = |&(unit, _): &(usize, usize)| self.units[unit].stages.start >= stage;
        let complete = next
            .iter()
            .take_while(|bucket| bucket.iter().all(is_complete));
        for bucket in complete {
            let flat = bucket.iter().map(|&(unit, index)| {
                let parameter = &self.units[unit].parameters[index];
                let gradient = self.local.gradients.take(parameter.id);
                let device = || self.local.device.clone().inner();
                gradient.unwrap_or_else(|| Tensor::zeros([parameter.range.len()], &device()))
            });
            let flat = Tensor::cat(flat.collect(), 0);
            self.started.push(self.collectives.start_all_reduce(flat)?);
        }
        Ok(())
    }
}

/// Divides the trained parameters into buckets: from the head down, as the backward pass goes, and in the model's order
/// within a unit. A parameter that is larger than `capacity` gets a bucket of its own.
fn buckets(units: &[Unit], capacity: f64) -> Vec<Bucket> {
    let (mut buckets, mut bytes) = (Vec::<Bucket>::new(), 0.0);
    for (index, unit) in units.iter().enumerate().rev().filter(|(_, u)| u.is_trained) {
        for (parameter_index, parameter) in unit.parameters.iter().enumerate() {
            let size = (parameter.range.len() * size_of::<f32>()) as f64;
            match buckets.last_mut().filter(|_| bytes + size <= capacity) {
                Some(bucket) => bucket.push((index, parameter_index)),
                None => {
                    buckets.push(vec![(index, parameter_index)]);
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
            let model = self.local.module().clone();
            let input = PackedInput::new(batch, &self.local.device);
            let weights = self.local.weights();
            let done = &mut |stage: usize, new: Gradients| -> Result<(), Error> {
                self.local.gradients.add(&model, new);
                if is_last {
                    self.start_buckets(stage)?;
                }
                Ok(())
            };
            pass = Some(scoped(weights, || {
                layerwise::backward(&model, lowest, &input, dropout, done)
            })?);
        }
        if is_last {
            self.start_buckets(0)?;
        }
        Ok(pass)
    }

    fn reduce(&mut self) -> Result<GradNorm, Error> {
        for (bucket, pending) in self.buckets.iter().zip(self.started.drain(..)) {
            let flat = pending.wait()?;
            let mut start = 0;
            for &(unit, index) in bucket {
                let parameter = &self.units[unit].parameters[index];
                let end = start + parameter.range.len();
                let gradient = slice(&flat, &(start..end));
                self.local.gradients.set(parameter.id, gradient);
                start = end;
            }
        }
        self.collectives.synchronize()?;
        Ok(GradNorm::Host(self.local.reduce()?.to_host()))
    }

    fn step(&mut self, scale: StepScale, learning_rate: f64) -> Result<(), Error> {
        self.local.step(scale, learning_rate)
    }

    fn model(&mut self, wanted: bool) -> Result<Option<BertForQuestionAnswering>, Error> {
        self.local.model(wanted)
    }

    fn moments(&mut self, wanted: bool) -> Result<Option<Moments>, Error> {
        self.local.moments(wanted)
    }

    fn digest(&self) -> Option<Vec<u8>> {
        Some(parameters::digest(self.local.module()))
    }

    fn communication(&self) -> Option<Duration> {
        self.collectives.waited()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_filled_in_order_and_a_large_parameter_gets_its_own() {
        let units = [[1, 9], [2, 2], [3, 1]].map(|sizes| Unit::of_sizes(&sizes));
        let buckets = |capacity: f64| super::buckets(&units, capacity * 4.0);
        assert_eq!(
            buckets(5.0),
            [
                vec![(2, 0), (2, 1)],
                vec![(1, 0), (1, 1), (0, 0)],
                vec![(0, 1)]
            ]
        );
        assert_eq!(buckets(100.0).len(), 1);
        assert_eq!(buckets(0.1).len(), 6);
    }
}
