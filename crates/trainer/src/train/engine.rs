use std::time::Duration;

use bert_qa::{BertForQuestionAnswering, DropoutSeed, PackedInput, span_loss};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use squad_data::PackedBatch;

use crate::Error;
use crate::optim::adamw::{Moments, Optimizer};
use crate::optim::gradients::ParameterGradients;

/// What a micro-batch gave, without autodiff.
pub(crate) struct Pass {
    /// The loss summed over the windows, `[1]`.
    pub(crate) loss_sum: Tensor<1>,
    /// `[tokens, 2]`.
    pub(crate) logits: Tensor<2>,
}

/// The model and its optimizer, wherever they are: the training loop knows nothing of ranks.
///
/// All ranks call the same methods in the same order.
pub(crate) trait Engine {
    /// Forward and backward of this rank's part of a micro-batch, adding up gradients; nothing comes
    /// of one without windows. `is_last` is the step's last.
    fn backward(
        &mut self,
        batch: &PackedBatch,
        dropout: Option<DropoutSeed>,
        is_last: bool,
    ) -> Result<Option<Pass>, Error>;

    /// Adds up the gradients of all ranks; gives their norm, which is the same on all.
    fn reduce(&mut self) -> Result<f32, Error>;

    /// One optimizer step with these gradients, which are sums over `features` windows of all ranks.
    fn step(&mut self, norm: f32, features: usize, learning_rate: f64) -> Result<(), Error>;

    /// The whole model without autodiff, on ranks where it is `wanted`.
    fn model(&mut self, wanted: bool) -> Result<Option<BertForQuestionAnswering>, Error>;

    /// All moments whole, on ranks where they are `wanted`.
    fn moments(&mut self, wanted: bool) -> Result<Option<Moments>, Error>;

    /// A digest of the parameters, where every rank should have the same.
    fn digest(&self) -> Option<Vec<u8>>;

    /// The time in which this rank has waited for tensors of others, copies included; none without others, and
    /// none that could be told apart where a GPU brings them.
    fn communication(&self) -> Option<Duration>;
}

/// The engine of a process that has nobody to share with.
pub(crate) struct SingleProcessEngine {
    /// Taken while it is updated.
    model: Option<BertForQuestionAnswering>,
    optimizer: Optimizer,
    /// Of the step so far: sums over windows.
    pub(crate) gradients: ParameterGradients,
    /// With autodiff.
    pub(crate) device: Device,
}

impl SingleProcessEngine {
    /// `model` is on `device`, which has autodiff.
    pub(crate) fn new(
        model: BertForQuestionAnswering,
        optimizer: Optimizer,
        device: Device,
    ) -> Self {
        Self {
            model: Some(model),
            optimizer,
            gradients: ParameterGradients::default(),
            device,
        }
    }

    pub(crate) fn module(&self) -> &BertForQuestionAnswering {
        self.model.as_ref().expect("taken for an update only")
    }
}

impl Engine for SingleProcessEngine {
    fn backward(
        &mut self,
        batch: &PackedBatch,
        dropout: Option<DropoutSeed>,
        _: bool,
    ) -> Result<Option<Pass>, Error> {
        let model = self.model.as_ref().expect("taken for an update only");
        let input = PackedInput::new(batch, &self.device);
        let logits = model.forward(&input, dropout);
        let loss_sum = span_loss(logits.clone(), &input);
        self.gradients.add(model, loss_sum.backward());
        Ok(Some(Pass {
            loss_sum: loss_sum.inner(),
            logits: logits.inner(),
        }))
    }

    fn reduce(&mut self) -> Result<f32, Error> {
        Ok(self.gradients.norm(self.module()))
    }

    fn step(&mut self, norm: f32, features: usize, learning_rate: f64) -> Result<(), Error> {
        let model = self.model.take().expect("taken for an update only");
        let gradients = std::mem::take(&mut self.gradients);
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
        None
    }

    fn communication(&self) -> Option<Duration> {
        None
    }
}
