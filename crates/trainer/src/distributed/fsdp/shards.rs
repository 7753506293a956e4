use std::sync::Arc;

use bert_qa::BertForQuestionAnswering;
use burn::tensor::{Device, Tensor};
use process_group::ProcessGroup;

use super::segments::UnitPart;
use crate::Error;
use crate::distributed::collectives::{PendingTensor, TensorCollectives};
use crate::distributed::units::{Unit, cut, lowest_trained, units};
use crate::optim::adamw::Moments;

/// The units of a model with this rank's parts of them, and what brings parts together.
pub(crate) struct Shards {
    pub(crate) units: Vec<Unit>,
    pub(crate) parts: Vec<UnitPart>,
    /// The lowest unit that is trained.
    pub(crate) lowest: usize,
    pub(crate) collectives: Arc<dyn TensorCollectives>,
    /// Without autodiff.
    device: Device,
}

impl Shards {
    /// Those of a whole model, without values.
    pub(crate) fn of(
        model: &BertForQuestionAnswering,
        group: &dyn ProcessGroup,
        collectives: Arc<dyn TensorCollectives>,
        device: Device,
    ) -> Self {
        let units = units(model);
        let part = |unit| UnitPart::of(unit, group.rank(), group.world_size());
        Self {
            parts: units.iter().map(part).collect(),
            lowest: lowest_trained(&units),
            units,
            collectives,
            device,
        }
    }

    /// Indices of the units that are trained, in the order of the backward pass.
    pub(crate) fn trained(&self) -> Vec<usize> {
        let all = (self.lowest..self.units.len()).rev();
        all.filter(|unit| self.units[*unit].is_trained).collect()
    }

    /// Takes this rank's parts of the values.
    pub(crate) fn take_values(&mut self, unit: usize, model: &BertForQuestionAnswering) {
        let values = self.units[unit].values(model);
        for segment in &mut self.parts[unit].segments {
            segment.values = Some(copy(cut(&values[segment.slot], &segment.range)));
        }
    }

    /// This rank's parts of whole moments.
    pub(crate) fn of_moments(&self, whole: &Moments) -> Moments {
        let segments = self.parts.iter().flat_map(|part| &part.segments);
        let own = segments.filter_map(|segment| {
            let (first, second) = whole.get(&segment.name)?;
            let own = |whole| copy(cut(whole, &segment.range));
            Some((segment.name.clone(), (own(first), own(second))))
        });
        own.collect()
    }

    /// All elements of a unit's parameters, from all ranks.
    pub(crate) fn gather(&self, unit: usize) -> Result<Tensor<1>, Error> {
        self.start_gather(unit)?.wait()
    }

    /// Starts to bring them together.
    pub(crate) fn start_gather(&self, unit: usize) -> Result<PendingTensor, Error> {
        let own = self.parts[unit].join(&self.device, |segment| segment.values.clone());
        self.collectives.start_all_gather(own)
    }

    /// The whole moments of a unit's parameters, in which this rank's parts are `own`, by slot.
    pub(crate) fn gather_moments(
        &self,
        unit: usize,
        own: &Moments,
    ) -> Result<[Tensor<1>; 2], Error> {
        let gather = |which: fn(&(Tensor<1>, Tensor<1>)) -> &Tensor<1>| {
            let own = self.parts[unit].join(&self.device, |segment| {
                own.get(&segment.name).map(|both| which(both).clone())
            });
            self.collectives.start_all_gather(own)?.wait()
        };
        Ok([gather(|both| &both.0)?, gather(|both| &both.1)?])
    }

    /// Starts to add a unit's gradients up over the ranks, by slot; none of this rank's are zeros.
    pub(crate) fn start_reduce(
        &self,
        unit: usize,
        gradients: Vec<Option<Tensor<1>>>,
    ) -> Result<PendingTensor, Error> {
        let zeros = |len: usize| Tensor::zeros([len], &self.device);
        let Unit { slots, len, .. } = &self.units[unit];
        let mut gradients = gradients.into_iter();
        let all = slots.iter().map(|slot| {
            let gradient = gradients.next().flatten();
            gradient.unwrap_or_else(|| zeros(slot.range.len()))
        });
        let mut all: Vec<_> = all.collect();
        let padding = self.parts[unit].padded - len;
        if padding > 0 {
            all.push(zeros(padding));
        }
        self.collectives.start_reduce_scatter(Tensor::cat(all, 0))
    }
}

/// Alone in its memory: what it was cut from can go.
fn copy(tensor: Tensor<1>) -> Tensor<1> {
    let device = tensor.device();
    Tensor::from_data(tensor.into_data(), &device)
}
