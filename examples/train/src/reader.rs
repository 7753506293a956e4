//! The model and its batches in types of this crate, so that they can have the traits of Burn's loader and loop.

use std::sync::atomic::{AtomicU32, Ordering};

use bert_qa::{BertForQuestionAnswering, DropoutSeed, PackedInput, span_loss};
use burn::backend::ExecutionError;
use burn::data::dataloader::batcher::Batcher;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn::train::metric::{Adaptor, LossInput};
use burn::train::{InferenceStep, ItemLazy, TrainOutput, TrainStep};
use squad_data::{Feature, PackedBatch};

/// Packs features on a device, and numbers the batches, so that each has a dropout mask of its own.
#[derive(Default)]
pub struct Packer {
    num_batches: AtomicU32,
}

#[derive(Clone, Debug)]
pub struct Batch {
    input: PackedInput,
    number: u32,
}

impl Batcher<Feature, Batch> for Packer {
    fn batch(&self, features: Vec<Feature>, device: &Device) -> Batch {
        let indices: Vec<usize> = (0..features.len()).collect();
        let packed = PackedBatch::new(&features, &indices);
        Batch {
            input: PackedInput::new(&packed, device),
            number: self.num_batches.fetch_add(1, Ordering::Relaxed),
        }
    }
}

/// The mean loss of a batch, `[1]`.
pub struct Loss(Tensor<1>);

impl ItemLazy for Loss {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(Self(self.0.without_autodiff()))
    }
}

impl Adaptor<LossInput> for Loss {
    fn adapt(&self) -> LossInput {
        LossInput::new(self.0.clone())
    }
}

#[derive(Module, Debug)]
pub struct Reader {
    pub model: BertForQuestionAnswering,
}

impl Reader {
    fn loss(&self, input: &PackedInput, dropout: Option<DropoutSeed>) -> Tensor<1> {
        span_loss(self.model.forward(input, dropout), input) / input.len() as f64
    }
}

impl TrainStep for Reader {
    type Input = Batch;
    type Output = Loss;

    fn step(&self, batch: Batch) -> TrainOutput<Loss> {
        let dropout = DropoutSeed {
            seed: 0,
            rank: 0,
            step: batch.number,
            micro_batch: 0,
        };
        let loss = self.loss(&batch.input, Some(dropout));
        TrainOutput::new(self, loss.backward(), Loss(loss))
    }
}

impl InferenceStep for Reader {
    type Input = Batch;
    type Output = Loss;

    fn step(&self, batch: Batch) -> Loss {
        Loss(self.loss(&batch.input, None))
    }
}
