use std::sync::Arc;
use std::time::Duration;

use bert_qa::{BertForQuestionAnswering, DropoutSeed};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use squad_data::PackedBatch;

use super::block_wise;
use super::collectives::{PendingTensor, TensorCollectives};
use super::units::{Unit, cut, units};
use crate::Error;
use crate::engine::{Engine, Pass};
use crate::gradients::ParameterGradients;
use crate::optimizer::{Moments, Optimizer};
use crate::parameters;

/// Data parallelism: every rank has the whole model and makes the same steps with it, from gradients
/// that are summed in flat buckets while the backward pass goes on.
pub(crate) struct DataParallel {
    /// Taken while it is updated.
    model: Option<BertForQuestionAnswering>,
    optimizer: Optimizer,
    /// With autodiff.
    device: Device,
    collectives: Arc<dyn TensorCollectives>,
    units: Vec<Unit>,
    sums: Sums,
    /// In the order in which the backward pass completes them.
    buckets: Vec<Bucket>,
    /// Buckets on their way, from the first.
    started: Vec<PendingTensor>,
    reduced: ParameterGradients,
}

/// Parameters whose gradients travel together, as unit and slot.
type Bucket = Vec<(usize, usize)>;

/// This rank's gradients, summed over the micro-batches so far, by unit and slot.
type Sums = Vec<Vec<Option<Tensor<1>>>>;

impl DataParallel {
    /// `model` is on `device`, which has autodiff; `capacity` is a bucket's, in bytes.
    pub(crate) fn new(
        model: BertForQuestionAnswering,
        optimizer: Optimizer,
        device: Device,
        capacity: f64,
        collectives: Arc<dyn TensorCollectives>,
    ) -> Self {
        let units = units(&model);
        Self {
            buckets: buckets(&units, capacity),
            sums: no_sums(&units),
            model: Some(model),
            optimizer,
            device,
            collectives,
            units,
            started: Vec::new(),
            reduced: ParameterGradients::default(),
        }
    }

    fn module(&self) -> &BertForQuestionAnswering {
        self.model.as_ref().expect("taken for an update only")
    }

    /// Starts the buckets that are complete when the backward pass has come down to `unit`.
    fn start(&mut self, unit: usize) -> Result<(), Error> {
        let next = &self.buckets[self.started.len()..];
        let complete = next
            .iter()
            .take_while(|bucket| bucket.iter().all(|(of, _)| *of >= unit));
        for bucket in complete {
            let flat = bucket.iter().map(|&(unit, slot)| {
                let zeros = || {
                    Tensor::zeros(
                        [self.units[unit].slots[slot].range.len()],
                        &self.device.clone().inner(),
                    )
                };
                self.sums[unit][slot].take().unwrap_or_else(zeros)
            });
            let flat = Tensor::cat(flat.collect(), 0);
            self.started.push(self.collectives.start_all_reduce(flat)?);
        }
        Ok(())
    }
}

fn no_sums(units: &[Unit]) -> Sums {
    let none = |unit: &Unit| unit.slots.iter().map(|_| None).collect();
    units.iter().map(none).collect()
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

impl Engine for DataParallel {
    fn backward(
        &mut self,
        batch: &PackedBatch,
        dropout: Option<DropoutSeed>,
        is_last: bool,
    ) -> Result<Option<Pass>, Error> {
        let mut pass = None;
        if !batch.is_empty() {
            let lowest = self.units.iter().position(|unit| unit.is_trained);
            let lowest = lowest.unwrap_or_default();
            let model = self.module().clone();
            let on = (batch, &self.device.clone());
            let whole = block_wise::backward(&model, lowest, on, dropout, &mut |unit, mut new| {
                let new = self.units[unit].gradients(&model, &mut new);
                for (sum, new) in self.sums[unit].iter_mut().zip(new) {
                    *sum = match (sum.take(), new) {
                        (Some(sum), Some(new)) => Some(sum + new),
                        (sum, new) => sum.or(new),
                    };
                }
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
                self.reduced.set(slot.id, cut(&flat, &(start..end)));
                start = end;
            }
        }
        Ok(self.reduced.norm(self.module()))
    }

    fn step(&mut self, norm: f32, features: usize, learning_rate: f64) -> Result<(), Error> {
        let model = self.model.take().expect("taken for an update only");
        let gradients = std::mem::take(&mut self.reduced);
        self.optimizer.begin(&model, norm, features, learning_rate);
        self.model = Some(self.optimizer.update_all(model, gradients));
        Ok(())
    }

    fn model(&mut self, wanted: bool) -> Result<Option<BertForQuestionAnswering>, Error> {
        Ok(wanted.then(|| self.module().valid()))
    }

    fn moments(&mut self, wanted: bool) -> Result<Option<Moments>, Error> {
        Ok(wanted.then(|| self.optimizer.moments.clone()))
    }

    fn digest(&self) -> Option<Vec<u8>> {
        Some(parameters::digest(self.module()))
    }

    fn communication(&self) -> Option<Duration> {
        Some(self.collectives.waited())
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
