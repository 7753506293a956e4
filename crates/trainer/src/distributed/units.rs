use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use bert_qa::{BertForQuestionAnswering, ModelUnit};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Shape, Tensor};

use crate::optim::gradients::ParameterGradients;
use crate::optim::parameters::parameters;

/// The parameters of a [`ModelUnit`], treated as one flat vector.
///
/// The forward pass has stages: the embeddings, each layer, the head. The backward pass goes through them from the last
/// to the first.
#[derive(Debug, Default)]
pub(crate) struct Unit {
    /// In the model's order.
    pub(crate) parameters: Vec<FlatParameter>,
    /// Elements of all parameters.
    pub(crate) len: usize,
    /// Whether its parameters are trained: either all are or none is.
    pub(crate) is_trained: bool,
    /// The stages that need it: one, or several where layers share parameters.
    pub(crate) stages: Range<usize>,
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

/// The units, in the order in which the forward pass needs them first.
pub(crate) fn units(model: &BertForQuestionAnswering) -> Vec<Unit> {
    let mut units = BTreeMap::<ModelUnit, Unit>::new();
    for parameter in parameters(model) {
        let stages = stages(model, parameter.unit);
        let unit = units.entry(parameter.unit).or_insert_with(|| Unit {
            stages,
            ..Unit::default()
        });
        let is_trained = parameter.is_trained;
        unit.push(parameter.id, parameter.name, parameter.shape, is_trained);
    }
    units.into_values().collect()
}

/// The stages that need a unit.
fn stages(model: &BertForQuestionAnswering, unit: ModelUnit) -> Range<usize> {
    let layers = model.layers();
    let head = layers.len() + 1;
    match unit {
        ModelUnit::Embeddings => 0..1,
        ModelUnit::AllLayers => 1..head,
        ModelUnit::Layer(_) => {
            let mut stages = (1..head)
                .zip(layers)
                .filter(|(_, layer)| layer.unit() == unit);
            let first = stages.next().map_or(0, |(stage, _)| stage);
            first..stages.last().map_or(first, |(stage, _)| stage) + 1
        }
        ModelUnit::Head => head..head + 1,
    }
}

/// The number of stages.
pub(crate) fn num_stages(units: &[Unit]) -> usize {
    units.iter().map(|unit| unit.stages.end).max().unwrap_or(0)
}

/// The lowest stage that is trained: no gradient is needed below it.
pub(crate) fn lowest_trained(units: &[Unit]) -> usize {
    let trained = units.iter().filter(|unit| unit.is_trained);
    trained.map(|unit| unit.stages.start).min().unwrap_or(0)
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
        let mut reader = Reader {
            unit: self,
            found: self.parameters.iter().map(|_| None).collect(),
        };
        model.visit(&mut reader);
        let values = reader.found.into_iter();
        values
            .map(|value| value.expect("the model has all parameters of the unit"))
            .collect()
    }

    /// Takes the gradients of its parameters out of `gradients`; frozen ones have none.
    pub(crate) fn take_gradients(
        &self,
        gradients: &mut ParameterGradients,
    ) -> Vec<Option<Tensor<1>>> {
        let parameters = self.parameters.iter();
        parameters
            .map(|parameter| gradients.take(parameter.id))
            .collect()
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

/// Reads the values of a unit.
struct Reader<'a> {
    unit: &'a Unit,
    found: Vec<Option<Tensor<1>>>,
}

impl ModuleVisitor for Reader<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(index) = self.unit.index.get(&param.id) else {
            return;
        };
        let value = param.val().inner();
        let elements = [value.shape().num_elements()];
        self.found[*index] = Some(value.reshape(elements));
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
