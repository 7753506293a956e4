mod shards;

use std::sync::Arc;
use std::time::Duration;

use bert_qa::{BertForQuestionAnswering, DropoutSeed, PackedInput};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use process_group::ProcessGroup;
use squad_data::PackedBatch;

use self::shards::Shards;
use super::collectives::{PendingTensor, TensorCollectives};
use super::layerwise::{self, CheckpointedLayers};
use super::units::{num_stages, slice};
use crate::Error;
use crate::config::ShardingStrategy;
use crate::optim::adamw::{Moments, Optimizer, Update};
use crate::optim::gradients::{GradNorm, ParameterGradients, StepScale};
use crate::optim::parameters;
use crate::train::engine::{Engine, Pass, SingleProcessEngine};

/// The invariant behind `expect`.
const MODEL: &str = "the model is taken only while its parameters change";

/// Fully sharded data parallelism (Rajbhandari et al. 2020, <https://arxiv.org/abs/1910.02054>).
///
/// Gradients and moments of each unit are divided evenly among the ranks. With [`ShardingStrategy::FullShard`] so are its
/// parameters: they are gathered before the unit is computed and released after it, and the backward pass computes each
/// unit's forward pass again.
pub(crate) struct FsdpEngine {
    /// `None` only while its parameters change. Under `FullShard`, a unit's parameters have no elements unless they are
    /// gathered.
    model: Option<BertForQuestionAnswering>,
    /// With the moments of this rank's shards.
    optimizer: Optimizer,
    /// With autodiff.
    device: Device,
    sharding: ShardingStrategy,
    group: Arc<dyn ProcessGroup>,
    shards: Shards,
}

impl FsdpEngine {
    /// Shards the model and the moments of `local`.
    pub(crate) fn new(
        local: SingleProcessEngine,
        sharding: ShardingStrategy,
        group: Arc<dyn ProcessGroup>,
        collectives: Arc<dyn TensorCollectives>,
    ) -> Self {
        let (model, mut optimizer, device) = local.into_parts();
        let shards = Shards::of(&model, &*group, collectives, device.clone().inner());
        optimizer.moments = shards.of_moments(&optimizer.moments);
        let mut engine = Self {
            model: Some(model),
            optimizer,
            device,
            sharding,
            group,
            shards,
        };
        if sharding == ShardingStrategy::FullShard {
            for unit in 0..engine.shards.units.len() {
                let model = engine.model.as_ref().expect(MODEL);
                engine.shards.copy_values(unit, model);
                engine.release(unit);
            }
        }
        engine
    }

    fn module(&self) -> &BertForQuestionAnswering {
        self.model.as_ref().expect(MODEL)
    }

    /// Sets the parameters of a unit in the model.
    fn load(&mut self, unit: usize, flat: &Tensor<1>, with_grad: bool) {
        let unit = &self.shards.units[unit];
        let model = self.model.take();
        self.model = model.map(|model| unit.load(model, flat, with_grad));
    }

    /// Frees the parameters of a unit in the model.
    fn release(&mut self, unit: usize) {
        let unit = &self.shards.units[unit];
        let model = self.model.take();
        self.model = model.map(|model| unit.release(model));
    }

    /// The backward pass with the parameters of one stage at a time. A rank without features takes part in the
    /// collectives only.
    fn backward_full_shard(
        &mut self,
        batch: &PackedBatch,
        dropout: Option<DropoutSeed>,
    ) -> Result<Option<Pass>, Error> {
        let has_features = !batch.is_empty();
        let mut layers = has_features.then(|| {
            let input = PackedInput::new(batch, &self.device);
            CheckpointedLayers::new(input, dropout)
        });
        let (lowest, head) = (self.shards.lowest, num_stages(&self.shards.units) - 1);
        let up = (0..head).flat_map(|stage| self.shards.beginning_at(stage));
        let down = (lowest..=head)
            .rev()
            .flat_map(|stage| self.shards.ending_at(stage));
        let order: Vec<_> = up.chain(down).collect();
        let mut prefetch = Prefetch::new(order.into_iter(), &self.shards)?;
        for stage in 0..head {
            for unit in self.shards.beginning_at(stage) {
                let flat = prefetch.gather(&self.shards)?;
                if has_features {
                    self.load(unit, &flat, false);
                }
            }
            if let Some(layers) = &mut layers {
                layers.forward(self.module());
                for unit in self.shards.ending_at(stage) {
                    self.release(unit);
                }
            }
        }
        let (mut pass, mut gradients) = (None, ParameterGradients::default());
        let mut in_flight = InFlight::default();
        for stage in (lowest..=head).rev() {
            for unit in self.shards.ending_at(stage) {
                let flat = prefetch.gather(&self.shards)?;
                if has_features {
                    let is_trained = self.shards.units[unit].is_trained;
                    self.load(unit, &flat, is_trained);
                }
            }
            if let Some(layers) = &mut layers {
                let (new, of_head) = layers.backward(self.module(), stage == lowest);
                pass = pass.or(of_head);
                gradients.add(self.module(), new);
            }
            for unit in self.shards.completed_at(stage) {
                if has_features {
                    self.release(unit);
                }
                if self.shards.units[unit].is_trained {
                    let gradients = self.shards.units[unit].take_gradients(&mut gradients);
                    in_flight.start_reduce(unit, gradients, &mut self.shards)?;
                }
            }
        }
        in_flight.complete(&mut self.shards)?;
        Ok(pass)
    }

    /// The backward pass with whole parameters on every rank.
    fn backward_shard_grad_op(
        &mut self,
        batch: &PackedBatch,
        dropout: Option<DropoutSeed>,
    ) -> Result<Option<Pass>, Error> {
        let model = self.model.as_ref().expect(MODEL);
        let shards = &mut self.shards;
        if batch.is_empty() {
            for unit in shards.trained() {
                let pending = shards.start_reduce(unit, Vec::new())?;
                shards.own[unit].add_gradient(&pending.wait()?);
            }
            return Ok(None);
        }
        let mut in_flight = InFlight::default();
        let mut gradients = ParameterGradients::default();
        let (input, lowest) = (PackedInput::new(batch, &self.device), shards.lowest);
        let pass = layerwise::backward(model, lowest, &input, dropout, &mut |stage, new| {
            gradients.add(model, new);
            for unit in shards.completed_at(stage) {
                if shards.units[unit].is_trained {
                    let gradients = shards.units[unit].take_gradients(&mut gradients);
                    in_flight.start_reduce(unit, gradients, shards)?;
                }
            }
            Ok(())
        })?;
        in_flight.complete(shards)?;
        Ok(Some(pass))
    }

    /// Updates this rank's shards of units. `whole` are the values of the only unit where the shards have none.
    fn update(&mut self, units: &[usize], whole: &[Tensor<1>]) {
        let mut updates = Vec::new();
        for unit in units {
            for segment in &mut self.shards.own[*unit].segments {
                let in_whole = || slice(&whole[segment.parameter], &segment.range);
                updates.push(Update {
                    id: segment.id,
                    parameter: segment.values.take().unwrap_or_else(in_whole),
                    gradient: segment.gradient.take().expect("reduced before the step"),
                });
            }
        }
        let mut updated = self.optimizer.update(updates).into_iter();
        for unit in units {
            for segment in &mut self.shards.own[*unit].segments {
                segment.values = updated.next().map(|(_, values)| values);
            }
        }
    }
}

/// The reduce-scatter of a unit, in flight while the next unit is computed; more would need more memory.
#[derive(Default)]
struct InFlight(Option<(usize, PendingTensor)>);

impl InFlight {
    /// Completes the unit before, and starts to reduce the gradients of this one.
    fn start_reduce(
        &mut self,
        unit: usize,
        gradients: Vec<Option<Tensor<1>>>,
        shards: &mut Shards,
    ) -> Result<(), Error> {
        self.complete(shards)?;
        self.0 = Some((unit, shards.start_reduce(unit, gradients)?));
        Ok(())
    }

    /// Adds the sums to the gradients of this rank's shard.
    fn complete(&mut self, shards: &mut Shards) -> Result<(), Error> {
        if let Some((unit, pending)) = self.0.take() {
            shards.own[unit].add_gradient(&pending.wait()?);
        }
        Ok(())
    }
}

/// Gathers units one after the other; the next is in flight while one is computed.
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

    /// The flat values of the next unit.
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

    fn reduce(&mut self) -> Result<GradNorm, Error> {
        self.shards.collectives.synchronize()?;
        let segments = self.shards.own.iter().flat_map(|shard| &shard.segments);
        let gradients = segments.filter_map(|segment| segment.gradient.clone());
        let own = fused_ops::total_sum_of_squares(gradients.collect());
        let own = own.map_or(0.0, |sum| sum.into_scalar::<f32>());
        let squared = self.group.sum(&[f64::from(own)])?[0];
        Ok(GradNorm::Host(squared.sqrt() as f32))
    }

    fn step(&mut self, scale: StepScale, learning_rate: f64) -> Result<(), Error> {
        self.optimizer.begin(scale, learning_rate);
        if self.sharding == ShardingStrategy::FullShard {
            self.update(&self.shards.trained(), &[]);
            return Ok(());
        }
        for unit in self.shards.trained() {
            let whole = self.shards.units[unit].values(self.module());
            self.update(&[unit], &whole);
            let flat = self.shards.gather(unit)?;
            self.load(unit, &flat, true);
            for segment in &mut self.shards.own[unit].segments {
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
                whole = whole.map(|whole| unit.load(whole, &flat, false));
            }
        }
        self.shards.collectives.synchronize()?;
        Ok(whole)
    }

    fn moments(&mut self, wanted: bool) -> Result<Option<Moments>, Error> {
        let mut whole = Moments::new();
        for unit in self.shards.trained() {
            let [first, second] = self.shards.gather_moments(unit, &self.optimizer.moments)?;
            for parameter in self.shards.units[unit].parameters.iter().filter(|_| wanted) {
                let of = |flat| slice(flat, &parameter.range);
                whole.insert(parameter.name.clone(), (of(&first), of(&second)));
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
