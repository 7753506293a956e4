use std::collections::HashMap;
use std::ops::Range;

use bert_qa::BertForQuestionAnswering;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Gradients, Shape, Tensor};

use crate::optim::parameters::{Depth, depth, parameters};

/// A part of the model whose parameters are needed together: the embeddings, a layer or the head. Its parameters are
/// treated as one flat vector.
#[derive(Debug, Default)]
pub(crate) struct Unit {
    /// In the model's order.
    pub(crate) parameters: Vec<FlatParameter>,
    /// Elements of all parameters.
    pub(crate) len: usize,
    /// Whether its parameters are trained: either all are or none is.
    pub(crate) is_trained: bool,
    /// Indices into `parameters`.
    index: HashMap<ParamId, usize>,
}

/// A parameter in the flat vector of its unit.
#[derive(Debug)]
pub(crate) struct FlatParameter {
    pub(crate) id: ParamId,
    /// Its Hugging Face name.
    pub(crate) name: String,
    /// Its elements in the flat vector.
    pub(crate) range: Range<usize>,
    shape: Shape,
}

/// The elements `range` of a flat tensor.
pub(crate) fn slice(flat: &Tensor<1>, range: &Range<usize>) -> Tensor<1> {
    flat.clone().narrow(0, range.start, range.len())
}

/// The units in the order of the forward pass.
pub(crate) fn units(model: &BertForQuestionAnswering) -> Vec<Unit> {
    let head = model.layers().len() + 1;
    let mut units: Vec<_> = (0..=head).map(|_| Unit::default()).collect();
    for parameter in parameters(model) {
        let unit = match depth(&parameter.name) {
            Depth::Embeddings => 0,
            Depth::Layer(layer) => layer + 1,
            Depth::Head => head,
        };
        let is_trained = parameter.is_trained;
        units[unit].push(parameter.id, parameter.name, parameter.shape, is_trained);
    }
    units
}

/// The lowest unit that is trained: no gradient is needed below it.
pub(crate) fn lowest_trained(units: &[Unit]) -> usize {
    units.iter().position(|unit| unit.is_trained).unwrap_or(0)
}

impl Unit {
    fn push(&mut self, id: ParamId, name: String, shape: Shape, is_trained: bool) {
        let start = self.len;
        self.len += shape.num_elements();
        self.is_trained |= is_trained;
        self.index.insert(id, self.parameters.len());
        self.parameters.push(FlatParameter {
            id,
            name,
            range: start..self.len,
            shape,
        });
    }

    /// The values of its parameters, each `[elements]`, without autodiff.
    pub(crate) fn values(&self, model: &BertForQuestionAnswering) -> Vec<Tensor<1>> {
        let values = self.visit(model, None).into_iter();
        values
            .map(|value| value.expect("the model has all parameters of the unit"))
            .collect()
    }

    /// Takes the gradients of its parameters, each `[elements]`, out of `gradients`.
    pub(crate) fn take_gradients(
        &self,
        model: &BertForQuestionAnswering,
        gradients: &mut Gradients,
    ) -> Vec<Option<Tensor<1>>> {
        self.visit(model, Some(gradients))
    }

    fn visit(
        &self,
        model: &BertForQuestionAnswering,
        gradients: Option<&mut Gradients>,
    ) -> Vec<Option<Tensor<1>>> {
        let mut reader = Reader {
            unit: self,
            gradients,
            found: self.parameters.iter().map(|_| None).collect(),
        };
        model.visit(&mut reader);
        reader.found
    }

    /// Sets its parameters in the model from `flat`, `[len]`, with or without gradients.
    pub(crate) fn load(
        &self,
        model: BertForQuestionAnswering,
        flat: &Tensor<1>,
        with_grad: bool,
    ) -> BertForQuestionAnswering {
        model.map(&mut Writer {
            unit: self,
            flat: Some(flat),
            with_grad,
        })
    }

    /// Removes all elements of its parameters from the model, which frees their memory.
    pub(crate) fn release(&self, model: BertForQuestionAnswering) -> BertForQuestionAnswering {
        model.map(&mut Writer {
            unit: self,
            flat: None,
            with_grad: false,
        })
    }
}

/// Reads the values or the gradients of a unit.
struct Reader<'a> {
    unit: &'a Unit,
    gradients: Option<&'a mut Gradients>,
    found: Vec<Option<Tensor<1>>>,
}

impl ModuleVisitor for Reader<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(index) = self.unit.index.get(&param.id) else {
            return;
        };
        let value = match &mut self.gradients {
            None => Some(param.val().inner()),
            Some(gradients) => param.val().grad_remove(gradients),
        };
        self.found[*index] = value.map(|value| {
            let elements = [value.shape().num_elements()];
            value.reshape(elements)
        });
    }
}

/// Sets the parameters of a unit.
struct Writer<'a> {
    unit: &'a Unit,
    /// Without it, parameters get no elements.
    flat: Option<&'a Tensor<1>>,
    with_grad: bool,
}

impl ModuleMapper for Writer<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(index) = self.unit.index.get(&param.id) else {
            return param;
        };
        let parameter = &self.unit.parameters[*index];
        let (id, before, mapper) = param.consume();
        let value = match self.flat {
            Some(flat) => slice(flat, &parameter.range).reshape(parameter.shape.clone()),
            None => Tensor::empty([0; D], &before.device().inner()),
        };
        let value = if self.with_grad {
            Tensor::from_inner(value).require_grad()
        } else {
            value
        };
        Param::from_mapped_value(id, value, mapper)
    }
}

#[cfg(test)]
impl Unit {
    /// A trained unit with parameters of these sizes.
    pub(crate) fn of_sizes(sizes: &[usize]) -> Self {
        let mut unit = Self::default();
        for size in sizes {
            let name = unit.len.to_string();
            unit.push(ParamId::new(), name, Shape::new([*size]), true);
        }
        unit
    }
}
