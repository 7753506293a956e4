use std::collections::HashMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Gradients, Tensor};
use fused_ops::GradientScale;

/// Sums over the features of one optimizer step, of all micro-batches and ranks. Only its methods make means of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepSums {
    /// Of the loss.
    pub(crate) loss: f64,
    /// The global norm of the summed gradients.
    pub(crate) grad_norm: f32,
    pub(crate) num_features: usize,
}

impl StepSums {
    /// The mean loss of a feature.
    pub(crate) fn mean_loss(&self) -> f32 {
        (self.loss / self.num_features as f64) as f32
    }

    /// The global norm of the mean gradients, before clipping.
    pub(crate) fn mean_grad_norm(&self) -> f32 {
        self.grad_norm / self.num_features as f32
    }

    /// The factor that makes clipped means of the summed gradients.
    pub(crate) fn gradient_scale(&self, max_grad_norm: f64) -> f64 {
        gradient_scale(self.grad_norm, self.num_features, max_grad_norm)
    }
}

/// The global norm of summed gradients.
#[derive(Debug)]
pub(crate) enum GradNorm {
    Host(f32),
    /// `[1]`, on the device; the host does not wait for it.
    Device(Tensor<1>),
}

impl GradNorm {
    /// Waits for the number.
    pub(crate) fn to_host(&self) -> f32 {
        match self {
            Self::Host(norm) => *norm,
            Self::Device(norm) => norm.clone().into_scalar::<f32>(),
        }
    }
}

/// The factor of the gradients in a step.
#[derive(Debug)]
pub(crate) enum StepScale {
    Host(f64),
    Device(Box<GradientScale>),
}

/// [`StepSums::gradient_scale`] on the device; `loss` and `norm` are sums, `[1]`. A loss or norm that is NaN or infinite
/// cancels the step.
pub(crate) fn gradient_scale_on_device(
    loss: Tensor<1>,
    norm: Tensor<1>,
    num_features: usize,
    max_grad_norm: f64,
) -> GradientScale {
    let found_inf = ((loss + norm.clone()) * 0.0).is_nan().float();
    let factor = if max_grad_norm > 0.0 {
        let mean = norm / num_features as f64;
        ((mean + 1e-6).recip() * max_grad_norm).clamp_max(1.0)
    } else {
        norm.ones_like()
    };
    GradientScale {
        divisor: factor.recip() * num_features as f64,
        found_inf,
    }
}

/// The factor that makes clipped means of gradients that are sums over `num_features` features and whose global norm is `norm`.
pub(crate) fn gradient_scale(norm: f32, num_features: usize, max_grad_norm: f64) -> f64 {
    let num_features = num_features as f64;
    clip_factor(f64::from(norm) / num_features, max_grad_norm) / num_features
}

/// As PyTorch's `clip_grad_norm_`: `max / (norm + 1e-6)`, at most 1; a maximum of 0 does not clip.
fn clip_factor(norm: f64, max_norm: f64) -> f64 {
    if max_norm > 0.0 {
        (max_norm / (norm + 1e-6)).min(1.0)
    } else {
        1.0
    }
}

/// The gradients of a model's parameters, flat, summed over the micro-batches of one optimizer step.
#[derive(Debug, Default)]
pub(crate) struct ParameterGradients {
    /// `[elements]`, on the parameter's device.
    by_parameter: HashMap<ParamId, Tensor<1>>,
}

impl ParameterGradients {
    /// Adds the gradients of one backward pass.
    pub(crate) fn add<M: Module>(&mut self, model: &M, gradients: Gradients) {
        model.visit(&mut AddGradients {
            sums: self,
            gradients,
        });
    }

    /// The global norm over all parameters.
    pub(crate) fn norm<M: Module>(&self, model: &M) -> GradNorm {
        // In the model's order, not the map's, which differs from run to run.
        let mut all = GradientsInOrder {
            gradients: self,
            found: Vec::new(),
        };
        model.visit(&mut all);
        match fused_ops::total_sum_of_squares(all.found) {
            Some(sum) if fused_ops::runs_asynchronously(&sum.device()) => {
                GradNorm::Device(sum.sqrt())
            }
            Some(sum) => GradNorm::Host(sum.into_scalar::<f32>().sqrt()),
            None => GradNorm::Host(0.0),
        }
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

struct AddGradients<'a> {
    sums: &'a mut ParameterGradients,
    gradients: Gradients,
}

impl ModuleVisitor for AddGradients<'_> {
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

/// Lists all gradients in the model's order.
struct GradientsInOrder<'a> {
    gradients: &'a ParameterGradients,
    found: Vec<Tensor<1>>,
}

impl ModuleVisitor for GradientsInOrder<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = self.gradients.by_parameter.get(&param.id);
        self.found.extend(gradient.cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_never_enlarges_gradients() {
        assert_eq!(clip_factor(0.5, 1.0), 1.0);
        assert!((clip_factor(4.0, 1.0) - 0.25).abs() < 1e-6);
        assert_eq!(clip_factor(4.0, 0.0), 1.0);
    }

    #[test]
    #[cfg(feature = "cpu")]
    fn the_scale_on_the_device_is_that_on_the_host() {
        let (_, device) = crate::device::device("ndarray").unwrap();
        let number = |value: f32| Tensor::<1>::from_floats([value], &device);
        let read = |number: Tensor<1>| number.into_scalar::<f32>();
        for (norm, max_grad_norm) in [(4.0, 1.0), (16.0, 1.0), (16.0, 0.0), (0.0, 1.0)] {
            let scale = gradient_scale_on_device(number(2.0), number(norm), 8, max_grad_norm);
            let expected = gradient_scale(norm, 8, max_grad_norm);
            let ours = 1.0 / f64::from(read(scale.divisor));
            // A few roundings in f32.
            assert!((ours / expected - 1.0).abs() < 1e-6, "{ours} {expected}");
            assert_eq!(read(scale.found_inf), 0.0);
        }
        for (loss, norm) in [
            (f32::NAN, 1.0),
            (1.0, f32::INFINITY),
            (f32::INFINITY, f32::NAN),
        ] {
            let scale = gradient_scale_on_device(number(loss), number(norm), 8, 1.0);
            assert_eq!(read(scale.found_inf), 1.0, "{loss} {norm}");
        }
    }

    #[test]
    fn means_are_clipped_not_sums() {
        // The mean's norm is 0.5: nothing to clip.
        assert_eq!(gradient_scale(4.0, 8, 1.0), 1.0 / 8.0);
        // It is 2: halved. The tolerance covers the 1e-6 of the formula.
        assert!((gradient_scale(16.0, 8, 1.0) - 1.0 / 16.0).abs() < 1e-6);
    }
}
