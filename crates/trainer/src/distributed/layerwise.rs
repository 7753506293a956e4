//! Forward and backward passes unit by unit: a unit's gradients are available as soon as its backward pass is done, and
//! only one unit's parameters are needed at a time.

use bert_qa::{BertForQuestionAnswering, DropoutSeed, PackedInput, span_loss};
use burn::tensor::{Gradients, Tensor};

use crate::Error;
use crate::train::engine::Pass;

/// The forward pass of a unit. `hidden` is the output of the unit below, `[tokens, hidden_size]`; `None` for the
/// embeddings.
pub(crate) fn forward(
    model: &BertForQuestionAnswering,
    unit: usize,
    hidden: Option<Tensor<2>>,
    input: &PackedInput,
    dropout: Option<DropoutSeed>,
) -> Tensor<2> {
    let layers = model.layers();
    match hidden {
        None => model.embed(input, dropout),
        Some(hidden) if unit <= layers.len() => {
            layers[unit - 1].forward(hidden, &input.cu_seqlens, dropout)
        }
        Some(hidden) => model.head(hidden, dropout),
    }
}

/// The autodiff graph of one unit: it ends at the unit's input.
struct Graph {
    input: Option<Tensor<2>>,
    output: Tensor<2>,
}

impl Graph {
    /// Runs the forward pass `unit`. With `input_grad`, the graph also gives the gradient of the input.
    fn of(
        hidden: Option<Tensor<2>>,
        input_grad: bool,
        unit: impl FnOnce(Option<Tensor<2>>) -> Tensor<2>,
    ) -> Self {
        let input = hidden.map(|hidden| match Tensor::from_inner(hidden.inner()) {
            leaf if input_grad => leaf.require_grad(),
            leaf => leaf,
        });
        let output = unit(input.clone());
        Self { input, output }
    }

    /// Backpropagates the gradient of the output. Returns the gradients of the parameters and of the input.
    fn backward(self, upstream: Tensor<2>) -> (Gradients, Option<Tensor<2>>) {
        // The gradient of this sum with respect to the output is exactly `upstream`.
        let sum = (self.output * Tensor::from_inner(upstream)).sum();
        Self::split(self.input, sum.backward())
    }

    fn split(input: Option<Tensor<2>>, mut gradients: Gradients) -> (Gradients, Option<Tensor<2>>) {
        let below = input.and_then(|input| input.grad_remove(&mut gradients));
        (gradients, below)
    }

    /// Computes the loss from the output of the head and backpropagates it.
    fn backward_loss(self, input: &PackedInput) -> (Pass, Gradients, Option<Tensor<2>>) {
        let loss_sum = span_loss(self.output.clone(), input);
        let (gradients, below) = Self::split(self.input, loss_sum.backward());
        let pass = Pass {
            input: input.clone(),
            loss_sum: loss_sum.inner(),
            logits: self.output.inner(),
        };
        (pass, gradients, below)
    }
}

/// Forward and backward pass, from the head down to the `lowest` trained unit. The graphs of all units are kept from the
/// forward pass. `done` receives each unit's gradients as soon as they are available.
pub(crate) fn backward(
    model: &BertForQuestionAnswering,
    lowest: usize,
    input: &PackedInput,
    dropout: Option<DropoutSeed>,
    done: &mut dyn FnMut(usize, Gradients) -> Result<(), Error>,
) -> Result<Pass, Error> {
    let head = model.layers().len() + 1;
    let (mut graphs, mut hidden) = (Vec::new(), None);
    for unit in 0..=head {
        let graph = Graph::of(hidden.take(), unit > lowest, |hidden| {
            forward(model, unit, hidden, input, dropout)
        });
        hidden = Some(graph.output.clone());
        if unit >= lowest {
            graphs.push((unit, graph));
        }
    }
    drop(hidden);
    let (_, graph) = graphs.pop().expect("the head is trained");
    let (pass, gradients, mut upstream) = graph.backward_loss(input);
    done(head, gradients)?;
    while let Some((unit, graph)) = graphs.pop() {
        let above = upstream
            .take()
            .expect("the unit above gives the gradient of its input");
        let (gradients, below) = graph.backward(above);
        upstream = below;
        done(unit, gradients)?;
    }
    Ok(pass)
}

/// Forward and backward pass with activation checkpointing: only the outputs of units are kept. The backward pass computes
/// each unit's forward pass again, with the same dropout masks.
pub(crate) struct CheckpointedLayers {
    dropout: Option<DropoutSeed>,
    /// Without and with autodiff.
    inputs: [PackedInput; 2],
    /// Of the units so far, without autodiff.
    outputs: Vec<Tensor<2>>,
    /// The gradient of the last output.
    upstream: Option<Tensor<2>>,
}

impl CheckpointedLayers {
    /// `input` is on a device with autodiff.
    pub(crate) fn new(input: PackedInput, dropout: Option<DropoutSeed>) -> Self {
        Self {
            dropout,
            inputs: [input.inner(), input],
            outputs: Vec::new(),
            upstream: None,
        }
    }

    /// The forward pass of the next unit, from the embeddings up to the last layer. `model` has that unit's parameters.
    pub(crate) fn forward(&mut self, model: &BertForQuestionAnswering) {
        let (unit, hidden) = (self.outputs.len(), self.outputs.last().cloned());
        let output = forward(model, unit, hidden, &self.inputs[0], self.dropout);
        self.outputs.push(output);
    }

    /// The backward pass of the next unit, from the head down. `model` has that unit's parameters, with gradients. The head
    /// returns the loss and the logits. `is_lowest`: no unit follows.
    pub(crate) fn backward(
        &mut self,
        model: &BertForQuestionAnswering,
        is_lowest: bool,
    ) -> (Gradients, Option<Pass>) {
        let unit = self.outputs.len();
        let hidden = self.outputs.pop();
        let graph = Graph::of(hidden, !is_lowest, |hidden| {
            forward(model, unit, hidden, &self.inputs[1], self.dropout)
        });
        let (pass, gradients, below) = match self.upstream.take() {
            None => {
                let (pass, gradients, below) = graph.backward_loss(&self.inputs[1]);
                (Some(pass), gradients, below)
            }
            Some(upstream) => {
                let (gradients, below) = graph.backward(upstream);
                (None, gradients, below)
            }
        };
        self.upstream = below;
        (gradients, pass)
    }
}

#[cfg(all(test, feature = "cpu"))]
pub(crate) mod tests {
    use super::*;
    use crate::distributed::units::units;
    use burn::tensor::Device;
    use squad_data::{Feature, PackedBatch, PairTemplate};

    pub(crate) fn model(device: &Device) -> BertForQuestionAnswering {
        let fixture = "/../bert-qa/tests/fixtures/tiny-bert/config.json";
        let fixture = format!("{}{fixture}", env!("CARGO_MANIFEST_DIR"));
        let config = bert_qa::BertConfig::read(fixture.as_ref()).unwrap();
        BertForQuestionAnswering::new(&config, 3, device)
    }

    pub(crate) fn batch() -> PackedBatch {
        let feature = |tokens: u32| Feature {
            example_index: 0,
            input_ids: (0..tokens).collect(),
            template: PairTemplate::bert(101, 102).into(),
            context: 2..tokens as usize - 1,
            max_context: 2..tokens as usize - 1,
            offsets: Vec::new(),
            start_position: 2,
            end_position: 3,
        };
        PackedBatch::new(&[feature(9), feature(5), feature(12)], &[0, 1, 2])
    }

    /// The gradients of all parameters, by unit, and the loss.
    type Found = (Vec<Vec<Option<Vec<f32>>>>, f32);

    fn numbers(gradients: Vec<Option<Tensor<1>>>) -> Vec<Option<Vec<f32>>> {
        let numbers = |gradient: Tensor<1>| gradient.into_data().iter::<f32>().collect();
        gradients.into_iter().map(|g| g.map(numbers)).collect()
    }

    fn whole(model: &BertForQuestionAnswering, device: &Device, seed: DropoutSeed) -> Found {
        let input = PackedInput::new(&batch(), device);
        let loss = span_loss(model.forward(&input, Some(seed)), &input);
        let mut gradients = loss.backward();
        let units = units(model);
        let found = units
            .iter()
            .map(|unit| numbers(unit.take_gradients(model, &mut gradients)));
        (found.collect(), loss.into_scalar::<f32>())
    }

    fn with_kept_graphs(
        model: &BertForQuestionAnswering,
        device: &Device,
        seed: DropoutSeed,
    ) -> Found {
        let units = units(model);
        let mut found = vec![Vec::new(); units.len()];
        let done = &mut |unit: usize, mut new| {
            found[unit] = numbers(units[unit].take_gradients(model, &mut new));
            Ok(())
        };
        let input = PackedInput::new(&batch(), device);
        let pass = backward(model, 0, &input, Some(seed), done).unwrap();
        (found, pass.loss_sum.into_scalar::<f32>())
    }

    fn with_checkpointing(
        model: &BertForQuestionAnswering,
        device: &Device,
        seed: DropoutSeed,
    ) -> Found {
        let units = units(model);
        let input = PackedInput::new(&batch(), device);
        let mut layers = CheckpointedLayers::new(input, Some(seed));
        let plain = burn::module::Module::valid(model);
        (1..units.len()).for_each(|_| layers.forward(&plain));
        let (mut found, mut loss) = (vec![Vec::new(); units.len()], f32::NAN);
        for unit in (0..units.len()).rev() {
            let (mut new, pass) = layers.backward(model, unit == 0);
            found[unit] = numbers(units[unit].take_gradients(model, &mut new));
            loss = pass.map_or(loss, |pass| pass.loss_sum.into_scalar::<f32>());
        }
        (found, loss)
    }

    #[test]
    fn layerwise_gradients_have_the_same_bits_as_those_of_one_graph() {
        let (_, device) = crate::device::device("ndarray").unwrap();
        let device = device.autodiff();
        let model = model(&device);
        let seed = |step| DropoutSeed {
            seed: 1,
            rank: 0,
            step,
            micro_batch: 0,
        };
        let expected = whole(&model, &device, seed(0));
        assert!(expected.0.iter().flatten().all(Option::is_some));
        assert_eq!(with_kept_graphs(&model, &device, seed(0)), expected);
        assert_eq!(with_checkpointing(&model, &device, seed(0)), expected);
        // Negative control: other dropout masks give other gradients.
        assert_ne!(with_checkpointing(&model, &device, seed(1)), expected);
    }
}
