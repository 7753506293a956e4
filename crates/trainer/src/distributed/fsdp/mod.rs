mod segments;
mod shards;

use std::sync::Arc;
use std::time::Duration;

use bert_qa::{BertForQuestionAnswering, DropoutSeed};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use process_group::ProcessGroup;
use squad_data::PackedBatch;

use self::shards::Shards;
use super::collectives::{PendingTensor, TensorCollectives};
use super::layerwise::{self, CheckpointedLayers};
use super::units::cut;
use crate::Error;
use crate::config::ShardingStrategy;
use crate::optim::adamw::{Moments, Optimizer};
use crate::optim::parameters;
use crate::train::engine::{Engine, Pass};

/// Fully sharded data parallelism (Rajbhandari et al. 2020): gradients and moments of each unit are
/// divided evenly among the ranks, and so are its parameters with [`ShardingStrategy::FullShard`]: then they are
/// gathered when the unit is needed and released after it.
pub(crate) struct FsdpEngine {
    /// Its parameters have no elements where they are sharded and not gathered. Taken while they change.
    model: Option<BertForQuestionAnswering>,
    /// With the moments of this rank's parts.
    optimizer: Optimizer,
    /// With autodiff.
    device: Device,
    sharding: ShardingStrategy,
    group: Arc<dyn ProcessGroup>,
    shards: Shards,
}

impl FsdpEngine {
    /// `model` is on `device`, which has autodiff, and `optimizer` has its whole moments.
    pub(crate) fn new(
        model: BertForQuestionAnswering,
        mut optimizer: Optimizer,
        device: Device,
        sharding: ShardingStrategy,
        group: Arc<dyn ProcessGroup>,
        collectives: Arc<dyn TensorCollectives>,
    ) -> Self {
        let shards = Shards::of(&model, &*group, collectives, device.clone().inner());
        optimizer.moments = shards.of_moments(&optimizer.moments);
        let mut sharded = Self {
            model: Some(model),
            optimizer,
            device,
            sharding,
            group,
            shards,
        };
        if sharding == ShardingStrategy::FullShard {
            for unit in 0..sharded.shards.units.len() {
                let model = sharded.model.as_ref().expect("taken for a change only");
                sharded.shards.take_values(unit, model);
                sharded.fill(unit, None, false);
            }
        }
        sharded
    }

    fn module(&self) -> &BertForQuestionAnswering {
        self.model.as_ref().expect("taken for a change only")
    }

    /// Sets the parameters of a unit, or takes their elements away.
    fn fill(&mut self, unit: usize, flat: Option<&Tensor<1>>, with_grad: bool) {
        let unit = &self.shards.units[unit];
        let model = self.model.take();
        self.model = model.map(|model| unit.fill(model, flat, with_grad));
    }

    /// With parameters that are here for one unit at a time.
    fn backward_full_shard(
        &mut self,
        batch: &PackedBatch,
        dropout: Option<DropoutSeed>,
    ) -> Result<Option<Pass>, Error> {
        let mut own =
            (!batch.is_empty()).then(|| CheckpointedLayers::new(batch, dropout, &self.device));
        let (lowest, head) = (self.shards.lowest, self.shards.units.len() - 1);
        let order = (0..head).chain((lowest..=head).rev());
        let mut prefetch = Prefetch::new(order, &self.shards)?;
        for unit in 0..head {
            let flat = prefetch.gather(&self.shards)?;
            if let Some(own) = &mut own {
                self.fill(unit, Some(&flat), false);
                own.forward(self.module());
                self.fill(unit, None, false);
            }
        }
        let mut pass = None;
        for unit in (lowest..=head).rev() {
            let flat = prefetch.gather(&self.shards)?;
            let is_trained = self.shards.units[unit].is_trained;
            let mut gradients = Vec::new();
            if let Some(own) = &mut own {
                self.fill(unit, Some(&flat), is_trained);
                drop(flat);
                let (mut new, whole) = own.backward(self.module(), unit == lowest);
                pass = pass.or(whole);
                gradients = self.shards.units[unit].gradients(self.module(), &mut new);
                self.fill(unit, None, false);
            }
            if is_trained {
                let part = self.shards.start_reduce(unit, gradients)?.wait()?;
                self.shards.parts[unit].add_gradient(&part);
            }
        }
        Ok(pass)
    }

    /// With parameters that every rank has.
    fn backward_shard_grad_op(
        &mut self,
        batch: &PackedBatch,
        dropout: Option<DropoutSeed>,
    ) -> Result<Option<Pass>, Error> {
        let model = self.model.as_ref().expect("taken for a change only");
        let shards = &mut self.shards;
        if batch.is_empty() {
            for unit in shards.trained() {
                let pending = shards.start_reduce(unit, Vec::new())?;
                shards.parts[unit].add_gradient(&pending.wait()?);
            }
            return Ok(None);
        }
        // One unit's is on its way while the next is computed, and no more: each has a buffer.
        let mut before: Option<(usize, PendingTensor)> = None;
        let (on, lowest) = ((batch, &self.device), shards.lowest);
        let pass = layerwise::backward(model, lowest, on, dropout, &mut |unit, mut new| {
            if let Some((unit, pending)) = before.take() {
                shards.parts[unit].add_gradient(&pending.wait()?);
            }
            if shards.units[unit].is_trained {
                let gradients = shards.units[unit].gradients(model, &mut new);
                before = Some((unit, shards.start_reduce(unit, gradients)?));
            }
            Ok(())
        })?;
        if let Some((unit, pending)) = before {
            shards.parts[unit].add_gradient(&pending.wait()?);
        }
        Ok(Some(pass))
    }

    /// Updates this rank's part of a unit; `whole` has the parameters that the part has not.
    fn update(&mut self, unit: usize, whole: &[Tensor<1>]) {
        for segment in &mut self.shards.parts[unit].segments {
            let in_whole = || cut(&whole[segment.slot], &segment.range);
            let values = segment.values.take().unwrap_or_else(in_whole);
            let gradient = segment.gradient.take().expect("reduced before the step");
            let updated = self.optimizer.update(&segment.name, values, gradient);
            segment.values = Some(updated);
        }
    }
}

/// Gathers units one after the other: the next is on its way while one is computed.
struct Prefetch<U> {
    units: U,
    next: Option<PendingTensor>,
}

impl<U: Iterator<Item = usize>> Prefetch<U> {
    fn new(mut units: U, shards: &Shards) -> Result<Self, Error> {
        let next = units.next().map(|unit| shards.start_gather(unit));
        Ok(Self {
            units,
            next: next.transpose()?,
        })
    }

    /// The next unit's parameters.
    fn gather(&mut self, shards: &Shards) -> Result<Tensor<1>, Error> {
        let flat = self.next.take().expect("a unit is left").wait()?;
        let next = self.units.next().map(|unit| shards.start_gather(unit));
        self.next = next.transpose()?;
        Ok(flat)
    }
}

impl Engine for FsdpEngine {
    fn backward(
        &mut self,
        batch: &PackedBatch,
        dropout: Option<DropoutSeed>,
        _: bool,
    ) -> Result<Option<Pass>, Error> {
        match self.sharding {
            ShardingStrategy::FullShard => self.backward_full_shard(batch, dropout),
            ShardingStrategy::ShardGradOp => self.backward_shard_grad_op(batch, dropout),
        }
    }

    fn reduce(&mut self) -> Result<f32, Error> {
        self.shards.collectives.synchronize()?;
        let segments = self.shards.parts.iter().flat_map(|part| &part.segments);
        let gradients = segments.filter_map(|segment| segment.gradient.clone());
        let squares = gradients.map(fused_ops::sum_of_squares);
        let own = squares.reduce(|sum, squares| sum + squares);
        let own = own.map_or(0.0, |sum| sum.into_scalar::<f32>());
        let squared = self.group.sum(&[f64::from(own)])?[0];
        Ok(squared.sqrt() as f32)
    }

    fn step(&mut self, norm: f32, features: usize, learning_rate: f64) -> Result<(), Error> {
        let model = self.model.as_ref().expect("taken for a change only");
        self.optimizer.begin(model, norm, features, learning_rate);
        for unit in self.shards.trained() {
            if self.sharding == ShardingStrategy::FullShard {
                self.update(unit, &[]);
                continue;
            }
            let whole = self.shards.units[unit].values(self.module());
            self.update(unit, &whole);
            let flat = self.shards.gather(unit)?;
            self.fill(unit, Some(&flat), true);
            for segment in &mut self.shards.parts[unit].segments {
                segment.values = None;
            }
        }
        Ok(())
    }

    fn model(&mut self, wanted: bool) -> Result<Option<BertForQuestionAnswering>, Error> {
        let mut whole = wanted.then(|| self.module().valid());
        if self.sharding == ShardingStrategy::FullShard {
            for (index, unit) in self.shards.units.iter().enumerate() {
                let flat = self.shards.gather(index)?;
                whole = whole.map(|whole| unit.fill(whole, Some(&flat), false));
            }
        }
        self.shards.collectives.synchronize()?;
        Ok(whole)
    }

    fn moments(&mut self, wanted: bool) -> Result<Option<Moments>, Error> {
        let mut whole = Moments::new();
        for unit in self.shards.trained() {
            let [first, second] = self.shards.gather_moments(unit, &self.optimizer.moments)?;
            for slot in self.shards.units[unit].slots.iter().filter(|_| wanted) {
                let of = |flat| cut(flat, &slot.range);
                whole.insert(slot.name.clone(), (of(&first), of(&second)));
            }
        }
        self.shards.collectives.synchronize()?;
        Ok(wanted.then_some(whole))
    }

    fn digest(&self) -> Option<Vec<u8>> {
        match self.sharding {
            ShardingStrategy::FullShard => None,
            ShardingStrategy::ShardGradOp => Some(parameters::digest(self.module())),
        }
    }

    fn communication(&self) -> Option<Duration> {
        self.shards.collectives.waited()
    }
}
