use std::collections::HashMap;
use std::ops::Range;

use bert_qa::BertForQuestionAnswering;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Gradients, Shape, Tensor};

use crate::optim::parameters::{Place, parameters, place};

/// A part of the model whose parameters are needed together: the embeddings, a layer or the head.
#[derive(Debug, Default)]
pub(crate) struct Unit {
    /// In the model's order.
    pub(crate) slots: Vec<Slot>,
    /// Elements of all parameters.
    pub(crate) len: usize,
    /// Whether its parameters get gradients: all of a unit's do, or none.
    pub(crate) is_trained: bool,
    index: HashMap<ParamId, usize>,
}

/// A parameter in its unit.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: ParamId,
    /// Hugging Face's.
    pub(crate) name: String,
    /// Where it stands among the unit's elements.
    pub(crate) range: Range<usize>,
    shape: Shape,
}

/// Some elements of a flat tensor.
pub(crate) fn cut(flat: &Tensor<1>, range: &Range<usize>) -> Tensor<1> {
    flat.clone().narrow(0, range.start, range.len())
}

/// The units in the order of the forward pass.
pub(crate) fn units(model: &BertForQuestionAnswering) -> Vec<Unit> {
    let head = model.layers().len() + 1;
    let mut units: Vec<_> = (0..=head).map(|_| Unit::default()).collect();
    for parameter in parameters(model) {
        let unit = &mut units[match place(&parameter.name) {
            Place::Embeddings => 0,
            Place::Layer(layer) => layer + 1,
            Place::Head => head,
        }];
        let start = unit.len;
        unit.len += parameter.shape.num_elements();
        unit.is_trained |= parameter.is_trained;
        unit.index.insert(parameter.id, unit.slots.len());
        unit.slots.push(Slot {
            id: parameter.id,
            name: parameter.name,
            range: start..unit.len,
            shape: parameter.shape,
        });
    }
    units
}

/// The lowest unit that is trained: no gradient is needed below it.
pub(crate) fn lowest_trained(units: &[Unit]) -> usize {
    units.iter().position(|unit| unit.is_trained).unwrap_or(0)
}

impl Unit {
    /// The values of the parameters without autodiff, flat, by slot.
    pub(crate) fn values(&self, model: &BertForQuestionAnswering) -> Vec<Tensor<1>> {
        let mut values = self.take(model, None);
        let all = values.iter_mut().map(Option::take);
        all.map(|value| value.expect("the model has the unit's parameters"))
            .collect()
    }

    /// Takes the gradients of the parameters out, flat, by slot.
    pub(crate) fn gradients(
        &self,
        model: &BertForQuestionAnswering,
        gradients: &mut Gradients,
    ) -> Vec<Option<Tensor<1>>> {
        self.take(model, Some(gradients))
    }

    fn take(
        &self,
        model: &BertForQuestionAnswering,
        gradients: Option<&mut Gradients>,
    ) -> Vec<Option<Tensor<1>>> {
        let mut take = Take {
            unit: self,
            gradients,
            found: self.slots.iter().map(|_| None).collect(),
        };
        model.visit(&mut take);
        take.found
    }

    /// The model with this unit's parameters taken from `flat`, all their elements; none has no
    /// elements, which is a unit that needs no memory. `with_grad` is for the backward pass.
    pub(crate) fn fill(
        &self,
        model: BertForQuestionAnswering,
        flat: Option<&Tensor<1>>,
        with_grad: bool,
    ) -> BertForQuestionAnswering {
        model.map(&mut Fill {
            unit: self,
            flat,
            with_grad,
        })
    }
}

struct Take<'a> {
    unit: &'a Unit,
    /// Instead of values.
    gradients: Option<&'a mut Gradients>,
    found: Vec<Option<Tensor<1>>>,
}

impl ModuleVisitor for Take<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(slot) = self.unit.index.get(&param.id) else {
            return;
        };
        let value = match &mut self.gradients {
            None => Some(param.val().inner()),
            Some(gradients) => param.val().grad_remove(gradients),
        };
        self.found[*slot] = value.map(|value| {
            let elements = [value.shape().num_elements()];
            value.reshape(elements)
        });
    }
}

struct Fill<'a> {
    unit: &'a Unit,
    flat: Option<&'a Tensor<1>>,
    with_grad: bool,
}

impl ModuleMapper for Fill<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(slot) = self.unit.index.get(&param.id) else {
            return param;
        };
        let (slot, (id, before, mapper)) = (&self.unit.slots[*slot], param.consume());
        let value = match self.flat {
            Some(flat) => cut(flat, &slot.range).reshape(slot.shape.clone()),
            None => Tensor::empty([0; D], &before.device().inner()),
        };
        let value = match self.with_grad {
            true => Tensor::from_inner(value).require_grad(),
            false => value,
        };
        Param::from_mapped_value(id, value, mapper)
    }
}

#[cfg(test)]
impl Unit {
    /// A unit that is trained, of parameters of these sizes.
    pub(crate) fn of_sizes(sizes: &[usize]) -> Self {
        let mut unit = Self {
            is_trained: true,
            ..Self::default()
        };
        for size in sizes {
            let range = unit.len..unit.len + size;
            unit.len = range.end;
            unit.slots.push(Slot {
                id: ParamId::new(),
                name: range.start.to_string(),
                range,
                shape: Shape::new([*size]),
            });
        }
        unit
    }
}
