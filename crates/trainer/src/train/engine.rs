use std::time::Duration;

use bert_qa::{BertForQuestionAnswering, DropoutSeed, PackedInput, WeightCache, span_loss};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use squad_data::PackedBatch;

use crate::Error;
use crate::optim::adamw::{Moments, Optimizer};
use crate::optim::gradients::{GradNorm, ParameterGradients, StepScale};

/// The invariant behind `expect`.
const MODEL: &str = "the model is taken only while it is updated";

/// The results of one micro-batch, without autodiff.
pub(crate) struct Pass {
    /// The micro-batch on the device.
    pub(crate) input: PackedInput,
    /// The loss summed over the features, `[1]`.
    pub(crate) loss_sum: Tensor<1>,
    /// Start and end logits, `[tokens, 2]`.
    pub(crate) logits: Tensor<2>,
}

/// The model and its optimizer: in one process, replicated or sharded. The training loop does not know which.
///
/// All ranks call the same methods in the same order.
pub(crate) trait Engine {
    /// Copies this rank's part of a micro-batch to the device, runs forward, loss and backward, and adds up the
    /// gradients. Returns `None` if the part has no features. `is_last`: the step has no further micro-batch.
    fn backward(
        &mut self,
        batch: &PackedBatch,
        dropout: Option<DropoutSeed>,
        is_last: bool,
    ) -> Result<Option<Pass>, Error>;

    /// Sums the gradients over the ranks. Returns their global norm, which is the same on all ranks. A single process
    /// leaves it on the device if the host would have to wait for it.
    fn reduce(&mut self) -> Result<GradNorm, Error>;

    /// Makes one optimizer step with the reduced gradients, each multiplied by `scale`.
    fn step(&mut self, scale: StepScale, learning_rate: f64) -> Result<(), Error>;

    /// The whole model without autodiff, on ranks where it is `wanted`.
    fn model(&mut self, wanted: bool) -> Result<Option<BertForQuestionAnswering>, Error>;

    /// The moments of all parameters, on ranks where they are `wanted`.
    fn moments(&mut self, wanted: bool) -> Result<Option<Moments>, Error>;

    /// SHA-256 of the parameters if every rank must have the same ones, else `None`.
    fn digest(&self) -> Option<Vec<u8>>;

    /// How long this rank has waited for collectives, copies included. `None` in a single process, and if they run
    /// asynchronously on the device.
    fn communication(&self) -> Option<Duration>;
}

/// Runs passes that take weights from a cache, if there is one.
pub(crate) fn scoped<T>(weights: Option<WeightCache>, passes: impl FnOnce() -> T) -> T {
    match weights {
        Some(weights) => weights.scope(passes),
        None => passes(),
    }
}

/// The engine of a single process.
pub(crate) struct SingleProcessEngine {
    /// `None` only while it is updated.
    model: Option<BertForQuestionAnswering>,
    optimizer: Optimizer,
    /// Of the step so far: sums over features.
    pub(crate) gradients: ParameterGradients,
    /// With autodiff.
    pub(crate) device: Device,
    /// Of the model in this step.
    weights: Option<WeightCache>,
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
            weights: None,
        }
    }

    /// Model, optimizer and device of an engine that has no gradients, for one that shards them.
    pub(crate) fn into_parts(self) -> (BertForQuestionAnswering, Optimizer, Device) {
        (self.model.expect(MODEL), self.optimizer, self.device)
    }

    /// The cache of weights that the passes of this step have cast or concatenated, for [`scoped`].
    pub(crate) fn weights(&mut self) -> Option<WeightCache> {
        if self.weights.is_none() {
            self.weights = self.module().weight_cache(&self.device);
        }
        self.weights.clone()
    }

    pub(crate) fn module(&self) -> &BertForQuestionAnswering {
        self.model.as_ref().expect(MODEL)
    }
}

impl Engine for SingleProcessEngine {
    fn backward(
        &mut self,
        batch: &PackedBatch,
        dropout: Option<DropoutSeed>,
        _: bool,
    ) -> Result<Option<Pass>, Error> {
        let input = PackedInput::new(batch, &self.device);
        let weights = self.weights();
        let model = self.model.as_ref().expect(MODEL);
        let logits = scoped(weights, || model.forward(&input, dropout));
        let loss_sum = span_loss(logits.clone(), &input);
        self.gradients.add(model, loss_sum.backward());
        Ok(Some(Pass {
            input,
            loss_sum: loss_sum.inner(),
            logits: logits.inner(),
        }))
    }

    fn reduce(&mut self) -> Result<GradNorm, Error> {
        Ok(self.gradients.norm(self.module()))
    }

    fn step(&mut self, scale: StepScale, learning_rate: f64) -> Result<(), Error> {
        // Only the model may hold its weights, so that the step can write them in place.
        self.weights = None;
        let model = self.model.take().expect(MODEL);
        let gradients = std::mem::take(&mut self.gradients);
        self.optimizer.begin(scale, learning_rate);
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
