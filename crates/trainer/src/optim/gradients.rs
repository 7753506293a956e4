use std::collections::HashMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Gradients, Tensor};

/// The gradients of a model's parameters, flat, added up over the batches of one optimizer step.
#[derive(Debug, Default)]
pub struct ParameterGradients {
    /// `[elements]`, on the parameter's device.
    by_parameter: HashMap<ParamId, Tensor<1>>,
}

impl ParameterGradients {
    /// Adds what one backward pass gave.
    pub fn add<M: Module>(&mut self, model: &M, gradients: Gradients) {
        model.visit(&mut Add {
            sums: self,
            gradients,
        });
    }

    /// The global norm over all parameters: one number is read from the device.
    pub fn norm<M: Module>(&self, model: &M) -> f32 {
        // In the model's order, not the map's, which differs from run to run.
        let mut squares = SumOfSquares {
            gradients: self,
            sum: None,
        };
        model.visit(&mut squares);
        let squared = squares.sum.map_or(0.0, |sum| sum.into_scalar::<f32>());
        squared.sqrt()
    }

    /// Sets the gradient of one parameter, flat.
    pub(crate) fn set(&mut self, parameter: ParamId, gradient: Tensor<1>) {
        self.by_parameter.insert(parameter, gradient);
    }

    /// Takes the gradient of one parameter out; a frozen one has none.
    pub(crate) fn take(&mut self, parameter: ParamId) -> Option<Tensor<1>> {
        self.by_parameter.remove(&parameter)
    }
}

struct Add<'a> {
    sums: &'a mut ParameterGradients,
    gradients: Gradients,
}

impl ModuleVisitor for Add<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = param.val().grad_remove(&mut self.gradients) else {
            return;
        };
        let elements = [gradient.shape().num_elements()];
        let gradient = gradient.reshape(elements);
        let sums = &mut self.sums.by_parameter;
        let sum = match sums.remove(&param.id) {
            Some(sum) => sum + gradient,
            None => gradient,
        };
        sums.insert(param.id, sum);
    }
}

/// Sums the squares of all gradients on the device.
struct SumOfSquares<'a> {
    gradients: &'a ParameterGradients,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for SumOfSquares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.by_parameter.get(&param.id) {
            let squares = fused_ops::sum_of_squares(gradient.clone());
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + squares,
                None => squares,
            });
        }
    }
}
