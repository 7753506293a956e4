//! Forward and backward unit by unit: the gradients of a unit are there as soon as it is done, and
//! only one unit's parameters are needed at a time.

use bert_qa::{BertForQuestionAnswering, DropoutSeed, PackedInput, span_loss};
use burn::tensor::{Device, Gradients, Tensor};
use squad_data::PackedBatch;

use crate::Error;
use crate::train::engine::Pass;

/// A unit's forward pass; `hidden` is what the unit below gave, `[tokens, hidden_size]`, which the
/// embeddings have none of.
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
            layers[unit - 1].forward(hidden, &input.lengths, dropout)
        }
        Some(hidden) => model.head(hidden, dropout),
    }
}

/// A unit with a graph of its own, which begins where its input enters.
struct Graph {
    input: Option<Tensor<2>>,
    output: Tensor<2>,
}

impl Graph {
    /// `is_needed` says whether the gradient of the input is.
    fn of(
        hidden: Option<Tensor<2>>,
        is_needed: bool,
        unit: impl FnOnce(Option<Tensor<2>>) -> Tensor<2>,
    ) -> Self {
        let input = hidden.map(|hidden| match Tensor::from_inner(hidden.inner()) {
            leaf if is_needed => leaf.require_grad(),
            leaf => leaf,
        });
        let output = unit(input.clone());
        Self { input, output }
    }

    /// `upstream` is the gradient of the output. Gives the parameters' gradients, and the input's.
    fn backward(self, upstream: Tensor<2>) -> (Gradients, Option<Tensor<2>>) {
        // The gradient of this sum with respect to the output is `upstream`, exactly.
        let sum = (self.output * Tensor::from_inner(upstream)).sum();
        Self::end(self.input, sum.backward())
    }

    fn end(input: Option<Tensor<2>>, mut gradients: Gradients) -> (Gradients, Option<Tensor<2>>) {
        let below = input.and_then(|input| input.grad_remove(&mut gradients));
        (gradients, below)
    }

    /// The same of the head, from the loss of its output.
    fn backward_loss(
        self,
        batch: &PackedBatch,
        input: &PackedInput,
    ) -> (Pass, Gradients, Option<Tensor<2>>) {
        let loss_sum = span_loss(self.output.clone(), batch, &input.lengths);
        let (gradients, below) = Self::end(self.input, loss_sum.backward());
        let pass = Pass {
            loss_sum: loss_sum.inner(),
            logits: self.output.inner(),
        };
        (pass, gradients, below)
    }
}

/// The backward pass from the head down to the `lowest` unit that is trained, with the graphs of all
/// units kept from the forward pass. `done` gets each unit's gradients as soon as they are there.
pub(crate) fn backward(
    model: &BertForQuestionAnswering,
    lowest: usize,
    (batch, device): (&PackedBatch, &Device),
    dropout: Option<DropoutSeed>,
    done: &mut dyn FnMut(usize, Gradients) -> Result<(), Error>,
) -> Result<Pass, Error> {
    let input = PackedInput::new(batch, device);
    let head = model.layers().len() + 1;
    let (mut graphs, mut hidden) = (Vec::new(), None);
    for unit in 0..=head {
        let graph = Graph::of(hidden.take(), unit > lowest, |hidden| {
            forward(model, unit, hidden, &input, dropout)
        });
        hidden = Some(graph.output.clone());
        if unit >= lowest {
            graphs.push((unit, graph));
        }
    }
    drop(hidden);
    let (_, graph) = graphs.pop().expect("the head is always trained");
    let (pass, gradients, mut upstream) = graph.backward_loss(batch, &input);
    done(head, gradients)?;
    while let Some((unit, graph)) = graphs.pop() {
        let above = upstream
            .take()
            .expect("a unit above another has a gradient for it");
        let (gradients, below) = graph.backward(above);
        upstream = below;
        done(unit, gradients)?;
    }
    Ok(pass)
}

/// The same with no graph kept: each unit's forward pass is made again for its backward pass, with
/// the same dropout masks. What is kept are the inputs of units.
pub(crate) struct CheckpointedLayers<'a> {
    pub(crate) batch: &'a PackedBatch,
    pub(crate) dropout: Option<DropoutSeed>,
    /// Without autodiff, and with it.
    inputs: [PackedInput; 2],
    /// What each unit of the forward pass so far has given, without autodiff.
    outputs: Vec<Tensor<2>>,
    /// The gradient of the last one's output.
    upstream: Option<Tensor<2>>,
}

impl<'a> CheckpointedLayers<'a> {
    /// `device` has autodiff.
    pub(crate) fn new(
        batch: &'a PackedBatch,
        dropout: Option<DropoutSeed>,
        device: &Device,
    ) -> Self {
        Self {
            batch,
            dropout,
            inputs: [&device.clone().inner(), device].map(|on| PackedInput::new(batch, on)),
            outputs: Vec::new(),
            upstream: None,
        }
    }

    /// The next unit's forward pass, from the embeddings up to the last layer; `model` has its parameters.
    pub(crate) fn forward(&mut self, model: &BertForQuestionAnswering) {
        let (unit, hidden) = (self.outputs.len(), self.outputs.last().cloned());
        let output = forward(model, unit, hidden, &self.inputs[0], self.dropout);
        self.outputs.push(output);
    }

    /// The next unit's backward pass, from the head down; `model` has its parameters, with
    /// gradients. The head gives what the whole pass gives. `is_lowest` says that no other follows.
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
                let (pass, gradients, below) = graph.backward_loss(self.batch, &self.inputs[1]);
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
    use squad_data::Feature;

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
            context: 2..tokens as usize - 1,
            max_context: 2..tokens as usize - 1,
            offsets: Vec::new(),
            start_position: 2,
            end_position: 3,
        };
        PackedBatch::new(&[feature(9), feature(5), feature(12)], &[0, 1, 2])
    }

    /// The gradients of all parameters, by unit and slot, and the loss.
    type Found = (Vec<Vec<Option<Vec<f32>>>>, f32);

    fn numbers(gradients: Vec<Option<Tensor<1>>>) -> Vec<Option<Vec<f32>>> {
        let numbers = |gradient: Tensor<1>| gradient.into_data().iter::<f32>().collect();
        gradients.into_iter().map(|g| g.map(numbers)).collect()
    }

    fn whole(model: &BertForQuestionAnswering, device: &Device, seed: DropoutSeed) -> Found {
        let (loss, _) = model.loss(&batch(), device, Some(seed));
        let mut gradients = loss.backward();
        let units = units(model);
        let found = units
            .iter()
            .map(|unit| numbers(unit.gradients(model, &mut gradients)));
        (found.collect(), loss.into_scalar::<f32>())
    }

    fn kept(model: &BertForQuestionAnswering, device: &Device, seed: DropoutSeed) -> Found {
        let units = units(model);
        let mut found = vec![Vec::new(); units.len()];
        let done = &mut |unit: usize, mut new| {
            found[unit] = numbers(units[unit].gradients(model, &mut new));
            Ok(())
        };
        let pass = backward(model, 0, (&batch(), device), Some(seed), done).unwrap();
        (found, pass.loss_sum.into_scalar::<f32>())
    }

    fn recomputed(model: &BertForQuestionAnswering, device: &Device, seed: DropoutSeed) -> Found {
        let (units, batch) = (units(model), batch());
        let mut own = CheckpointedLayers::new(&batch, Some(seed), device);
        let plain = burn::module::Module::valid(model);
        (1..units.len()).for_each(|_| own.forward(&plain));
        let (mut found, mut loss) = (vec![Vec::new(); units.len()], f32::NAN);
        for unit in (0..units.len()).rev() {
            let (mut new, pass) = own.backward(model, unit == 0);
            found[unit] = numbers(units[unit].gradients(model, &mut new));
            loss = pass.map_or(loss, |pass| pass.loss_sum.into_scalar::<f32>());
        }
        (found, loss)
    }

    #[test]
    fn unit_by_unit_it_is_the_whole_backward_pass_bit_for_bit() {
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
        assert_eq!(kept(&model, &device, seed(0)), expected);
        assert_eq!(recomputed(&model, &device, seed(0)), expected);
        // Other masks make a difference.
        assert_ne!(recomputed(&model, &device, seed(1)), expected);
    }
}
