use std::ops::Range;
use std::sync::Arc;

use bert_qa::BertForQuestionAnswering;
use burn::module::ParamId;
use burn::tensor::{Device, Tensor};
use process_group::{ProcessGroup, ShardRange};

use crate::Error;
use crate::distributed::collectives::{PendingTensor, TensorCollectives};
use crate::distributed::units::{FlatParameter, Unit, lowest_trained, slice, units};
use crate::optim::adamw::Moments;

/// The units of a model, this rank's shard of each, and the collectives that gather and reduce shards.
pub(crate) struct Shards {
    pub(crate) units: Vec<Unit>,
    /// This rank's shard of each unit.
    pub(crate) own: Vec<UnitShard>,
    /// The lowest stage that is trained.
    pub(crate) lowest: usize,
    pub(crate) collectives: Arc<dyn TensorCollectives>,
    /// Without autodiff.
    device: Device,
}

/// This rank's shard of a unit's flat vector: whole parameters, of which the first and the last may be cut, and padding
/// that makes the shards of all ranks equally long.
pub(crate) struct UnitShard {
    pub(crate) segments: Vec<Segment>,
    /// Elements of this shard, padding included.
    len: usize,
    /// Elements of the shards of all ranks.
    padded: usize,
}

/// The elements of one parameter that lie in a shard.
pub(crate) struct Segment {
    pub(crate) id: ParamId,
    /// The parameter's Hugging Face name.
    pub(crate) name: String,
    /// The parameter's index in its unit.
    pub(crate) parameter: usize,
    /// The elements of the parameter.
    pub(crate) range: Range<usize>,
    /// The same elements in the shard.
    in_shard: Range<usize>,
    /// `[elements]`; `None` while the model has them.
    pub(crate) values: Option<Tensor<1>>,
    /// Summed over micro-batches and ranks, `[elements]`.
    pub(crate) gradient: Option<Tensor<1>>,
}

impl Shards {
    /// The shards of a model, still without values.
    pub(crate) fn of(
        model: &BertForQuestionAnswering,
        group: &dyn ProcessGroup,
        collectives: Arc<dyn TensorCollectives>,
        device: Device,
    ) -> Self {
        let units = units(model);
        let shard = |unit| UnitShard::of(unit, group.rank(), group.world_size());
        Self {
            own: units.iter().map(shard).collect(),
            lowest: lowest_trained(&units),
            units,
            collectives,
            device,
        }
    }

    /// Indices of the trained units, in the order of the backward pass.
    pub(crate) fn trained(&self) -> Vec<usize> {
        let units = (0..self.units.len()).rev();
        units.filter(|unit| self.units[*unit].is_trained).collect()
    }

    /// The units that `stage` needs and the stages below it do not.
    pub(crate) fn beginning_at(&self, stage: usize) -> Vec<usize> {
        let units = 0..self.units.len();
        units
            .filter(|unit| self.units[*unit].stages.start == stage)
            .collect()
    }

    /// The units that the backward pass is done with after `stage`.
    pub(crate) fn completed_at(&self, stage: usize) -> Vec<usize> {
        let units = (0..self.units.len()).rev();
        let is_done = |unit: &usize| {
            let stages = &self.units[*unit].stages;
            stages.start.max(self.lowest) == stage && stages.end > stage
        };
        units.filter(is_done).collect()
    }

    /// The units that `stage` needs and the stages above it do not.
    pub(crate) fn ending_at(&self, stage: usize) -> Vec<usize> {
        let units = (0..self.units.len()).rev();
        units
            .filter(|unit| self.units[*unit].stages.end == stage + 1)
            .collect()
    }

    /// Copies this rank's shard of a unit's values from the model.
    pub(crate) fn copy_values(&mut self, unit: usize, model: &BertForQuestionAnswering) {
        let values = self.units[unit].values(model);
        for segment in &mut self.own[unit].segments {
            let own = slice(&values[segment.parameter], &segment.range);
            segment.values = Some(copy(own));
        }
    }

    /// This rank's shards of whole moments.
    pub(crate) fn of_moments(&self, whole: &Moments) -> Moments {
        let segments = self.own.iter().flat_map(|shard| &shard.segments);
        let own = segments.filter_map(|segment| {
            let (first, second) = whole.get(&segment.name)?;
            let own = |whole| copy(slice(whole, &segment.range));
            Some((segment.name.clone(), (own(first), own(second))))
        });
        own.collect()
    }

    /// The flat values of a unit, `[padded]`, from all ranks.
    pub(crate) fn gather(&self, unit: usize) -> Result<Tensor<1>, Error> {
        self.start_gather(unit)?.wait()
    }

    /// Starts to gather the flat values of a unit.
    pub(crate) fn start_gather(&self, unit: usize) -> Result<PendingTensor, Error> {
        let own = self.own[unit].concat(&self.device, |segment| segment.values.clone());
        self.collectives.start_all_gather(own)
    }

    /// The flat moments of a unit, each `[padded]`, from all ranks; `own` are this rank's.
    pub(crate) fn gather_moments(
        &self,
        unit: usize,
        own: &Moments,
    ) -> Result<[Tensor<1>; 2], Error> {
        let gather = |which: fn(&(Tensor<1>, Tensor<1>)) -> &Tensor<1>| {
            let own = self.own[unit].concat(&self.device, |segment| {
                own.get(&segment.name).map(|both| which(both).clone())
            });
            self.collectives.start_all_gather(own)?.wait()
        };
        Ok([gather(|both| &both.0)?, gather(|both| &both.1)?])
    }

    /// Starts to sum the gradients of a unit's parameters over the ranks, to this rank's shard. Missing gradients count
    /// as zeros.
    pub(crate) fn start_reduce(
        &self,
        unit: usize,
        gradients: Vec<Option<Tensor<1>>>,
    ) -> Result<PendingTensor, Error> {
        let zeros = |len: usize| Tensor::zeros([len], &self.device);
        let mut gradients = gradients.into_iter();
        let flat = self.units[unit].parameters.iter().map(|parameter| {
            let gradient = gradients.next().flatten();
            gradient.unwrap_or_else(|| zeros(parameter.range.len()))
        });
        let mut flat: Vec<_> = flat.collect();
        let padding = self.own[unit].padded - self.units[unit].len;
        if padding > 0 {
            flat.push(zeros(padding));
        }
        self.collectives.start_reduce_scatter(Tensor::cat(flat, 0))
    }
}

impl UnitShard {
    fn of(unit: &Unit, rank: usize, world_size: usize) -> Self {
        let shard = ShardRange::of(unit.len, rank, world_size).range;
        let segment = |(index, parameter): (usize, &FlatParameter)| {
            let start = parameter.range.start.max(shard.start);
            let end = parameter.range.end.min(shard.end);
            (start < end).then(|| Segment {
                id: parameter.id,
                name: parameter.name.clone(),
                parameter: index,
                range: start - parameter.range.start..end - parameter.range.start,
                in_shard: start - shard.start..end - shard.start,
                values: None,
                gradient: None,
            })
        };
        let parameters = unit.parameters.iter().enumerate();
        Self {
            segments: parameters.filter_map(segment).collect(),
            len: shard.len(),
            padded: ShardRange::padded(unit.len, world_size),
        }
    }

    /// Concatenates a tensor of each segment to `[len]`; missing tensors and padding are zeros.
    fn concat(
        &self,
        device: &Device,
        mut of: impl FnMut(&Segment) -> Option<Tensor<1>>,
    ) -> Tensor<1> {
        let zeros = |len: usize| Tensor::zeros([len], device);
        let mut all: Vec<_> = self
            .segments
            .iter()
            .map(|segment| of(segment).unwrap_or_else(|| zeros(segment.range.len())))
            .collect();
        let used = self.segments.last().map_or(0, |last| last.in_shard.end);
        if used < self.len {
            all.push(zeros(self.len - used));
        }
        Tensor::cat(all, 0)
    }

    /// Adds the gradients of this shard, `[len]`, to those of its segments.
    pub(crate) fn add_gradient(&mut self, shard: &Tensor<1>) {
        for segment in &mut self.segments {
            let new = slice(shard, &segment.in_shard);
            segment.gradient = Some(match segment.gradient.take() {
                Some(sum) => sum + new,
                None => new,
            });
        }
    }
}

/// A copy in memory of its own, so that the memory of the whole tensor can be freed.
fn copy(slice: Tensor<1>) -> Tensor<1> {
    let device = slice.device();
    Tensor::from_data(slice.into_data(), &device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_of_all_ranks_cover_every_element_once() {
        // 17 elements in 4 shards of 5: three are padding.
        let unit = Unit::of_sizes(&[3, 9, 1, 4]);
        let segments = |rank| -> Vec<_> {
            let shard = UnitShard::of(&unit, rank, 4);
            assert_eq!((shard.len, shard.padded), (5, 20));
            let segments = shard.segments.into_iter();
            segments
                .map(|segment| (segment.parameter, segment.range, segment.in_shard))
                .collect()
        };
        assert_eq!(segments(0), [(0, 0..3, 0..3), (1, 0..2, 3..5)]);
        assert_eq!(segments(1), [(1, 2..7, 0..5)]);
        assert_eq!(
            segments(2),
            [(1, 7..9, 0..2), (2, 0..1, 2..3), (3, 0..2, 3..5)]
        );
        assert_eq!(segments(3), [(3, 2..4, 0..2)]);
        // With more ranks than elements, the last ranks have padding only.
        let shard = UnitShard::of(&Unit::of_sizes(&[2]), 3, 4);
        assert!(shard.segments.is_empty());
    }
}
