//! Forward and backward passes stage by stage: gradients are available as soon as the backward pass of their stage is
//! done, and only one stage's parameters are needed at a time. Stages are the embeddings, each layer, and the head.

use bert_qa::{BertForQuestionAnswering, DropoutSeed, PackedInput, span_loss};
use burn::tensor::{Gradients, Tensor};

use crate::Error;
use crate::train::engine::Pass;

/// The forward pass of a stage. `hidden` is the output of the stage below, `[tokens, hidden_size]`; `None` for the
/// embeddings.
pub(crate) fn forward(
    model: &BertForQuestionAnswering,
    stage: usize,
    hidden: Option<Tensor<2>>,
    input: &PackedInput,
    dropout: Option<DropoutSeed>,
) -> Tensor<2> {
    let Some(hidden) = hidden else {
        return model.embed(input, dropout);
    };
    match model.layers().nth(stage - 1) {
        Some(layer) => layer.forward(hidden, input, dropout),
        None => model.head(hidden, dropout),
    }
}

/// The autodiff graph of one stage: it ends at the stage's input.
struct Graph {
    input: Option<Tensor<2>>,
    output: Tensor<2>,
}

impl Graph {
    /// Runs the forward pass `stage`. With `input_grad`, the graph also gives the gradient of the input.
    fn of(
        hidden: Option<Tensor<2>>,
        input_grad: bool,
        stage: impl FnOnce(Option<Tensor<2>>) -> Tensor<2>,
    ) -> Self {
        let input = hidden.map(|hidden| match Tensor::from_inner(hidden.inner()) {
            leaf if input_grad => leaf.require_grad(),
            leaf => leaf,
        });
        let output = stage(input.clone());
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

/// Forward and backward pass, from the head down to the `lowest` trained stage. The graphs of all stages are kept from
/// the forward pass. `done` receives each stage's gradients as soon as they are available.
pub(crate) fn backward(
    model: &BertForQuestionAnswering,
    lowest: usize,
    input: &PackedInput,
    dropout: Option<DropoutSeed>,
    done: &mut dyn FnMut(usize, Gradients) -> Result<(), Error>,
) -> Result<Pass, Error> {
    let head = model.layers().len() + 1;
    let (mut graphs, mut hidden) = (Vec::new(), None);
    for stage in 0..=head {
        let graph = Graph::of(hidden.take(), stage > lowest, |hidden| {
            forward(model, stage, hidden, input, dropout)
        });
        hidden = Some(graph.output.clone());
        if stage >= lowest {
            graphs.push((stage, graph));
        }
    }
    drop(hidden);
    let (_, graph) = graphs.pop().expect("the head is trained");
    let (pass, gradients, mut upstream) = graph.backward_loss(input);
    done(head, gradients)?;
    while let Some((stage, graph)) = graphs.pop() {
        let above = upstream
            .take()
            .expect("the stage above gives the gradient of its input");
        let (gradients, below) = graph.backward(above);
        upstream = below;
        done(stage, gradients)?;
    }
    Ok(pass)
}

/// Forward and backward pass with activation checkpointing: only the outputs of stages are kept. The backward pass
/// computes each stage's forward pass again, with the same dropout masks.
pub(crate) struct CheckpointedLayers {
    dropout: Option<DropoutSeed>,
    /// Without and with autodiff.
    inputs: [PackedInput; 2],
    /// Of the stages so far, without autodiff.
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

    /// The forward pass of the next stage, from the embeddings up to the last layer. `model` has that stage's parameters.
    pub(crate) fn forward(&mut self, model: &BertForQuestionAnswering) {
        let (stage, hidden) = (self.outputs.len(), self.outputs.last().cloned());
        let output = forward(model, stage, hidden, &self.inputs[0], self.dropout);
        self.outputs.push(output);
    }

    /// The backward pass of the next stage, from the head down. `model` has that stage's parameters, with gradients. The
    /// head returns the loss and the logits. `is_lowest`: no stage follows.
    pub(crate) fn backward(
        &mut self,
        model: &BertForQuestionAnswering,
        is_lowest: bool,
    ) -> (Gradients, Option<Pass>) {
        let stage = self.outputs.len();
        let hidden = self.outputs.pop();
        let graph = Graph::of(hidden, !is_lowest, |hidden| {
            forward(model, stage, hidden, &self.inputs[1], self.dropout)
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
    use burn::module::Module;
    use burn::tensor::Device;
    use squad_data::PackedBatch;

    use super::*;
    use crate::data::test_feature;
    use crate::distributed::units::{num_stages, units};
    use crate::optim::gradients::ParameterGradients;

    pub(crate) fn model(fixture: &str, device: &Device) -> BertForQuestionAnswering {
        let fixtures = test_support::workspace_path("crates/bert-qa/tests/fixtures");
        let fixture = fixtures.join(fixture).join("config.json");
        let config = bert_qa::BertConfig::read(&fixture).unwrap();
        BertForQuestionAnswering::new(&config, 3, device)
    }

    pub(crate) fn batch() -> PackedBatch {
        let features = [9, 5, 12].map(|tokens| test_feature((0..tokens).collect(), 2..=3));
        PackedBatch::new(&features, &[0, 1, 2])
    }

    /// The gradients of all parameters, by unit, and the loss.
    type Found = (Vec<Vec<Option<Vec<f32>>>>, f32);

    fn numbers(
        model: &BertForQuestionAnswering,
        mut gradients: ParameterGradients,
    ) -> Vec<Vec<Option<Vec<f32>>>> {
        let numbers = |gradient: Tensor<1>| gradient.into_data().iter::<f32>().collect();
        let units = units(model);
        let found = units.iter().map(|unit| {
            let gradients = unit.take_gradients(&mut gradients).into_iter();
            gradients.map(|g| g.map(numbers)).collect()
        });
        found.collect()
    }

    fn whole(model: &BertForQuestionAnswering, device: &Device, seed: DropoutSeed) -> Found {
        let input = PackedInput::new(&batch(), device);
        let loss = span_loss(model.forward(&input, Some(seed)), &input);
        let mut gradients = ParameterGradients::default();
        gradients.add(model, loss.backward());
        (numbers(model, gradients), loss.into_scalar::<f32>())
    }

    fn with_kept_graphs(
        model: &BertForQuestionAnswering,
        device: &Device,
        seed: DropoutSeed,
    ) -> Found {
        let mut gradients = ParameterGradients::default();
        let done = &mut |_, new| {
            gradients.add(model, new);
            Ok(())
        };
        let input = PackedInput::new(&batch(), device);
        let pass = backward(model, 0, &input, Some(seed), done).unwrap();
        let loss = pass.loss_sum.into_scalar::<f32>();
        (numbers(model, gradients), loss)
    }

    fn with_checkpointing(
        model: &BertForQuestionAnswering,
        device: &Device,
        seed: DropoutSeed,
    ) -> Found {
        let stages = num_stages(&units(model));
        let input = PackedInput::new(&batch(), device);
        let mut layers = CheckpointedLayers::new(input, Some(seed));
        let plain = model.valid();
        (1..stages).for_each(|_| layers.forward(&plain));
        let (mut gradients, mut loss) = (ParameterGradients::default(), f32::NAN);
        for stage in (0..stages).rev() {
            let (new, pass) = layers.backward(model, stage == 0);
            gradients.add(model, new);
            loss = pass.map_or(loss, |pass| pass.loss_sum.into_scalar::<f32>());
        }
        (numbers(model, gradients), loss)
    }

    const SEED: DropoutSeed = DropoutSeed {
        seed: 1,
        rank: 0,
        step: 0,
        micro_batch: 0,
    };

    #[test]
    fn layerwise_gradients_have_the_same_bits_as_those_of_one_graph() {
        let (_, device) = crate::device::device("ndarray").unwrap();
        let device = device.autodiff();
        let model = model("tiny-bert", &device);
        let expected = whole(&model, &device, SEED);
        assert!(expected.0.iter().flatten().all(Option::is_some));
        assert_eq!(with_kept_graphs(&model, &device, SEED), expected);
        assert_eq!(with_checkpointing(&model, &device, SEED), expected);
        // Negative control: other dropout masks give other gradients.
        let other = DropoutSeed { step: 1, ..SEED };
        assert_ne!(with_checkpointing(&model, &device, other), expected);
    }

    /// ALBERT's layers share their parameters, those of MPNet and DeBERTa the embeddings of distances. Burn adds the
    /// gradients of the layers in another order.
    #[test]
    fn gradients_of_shared_parameters_equal_those_of_one_graph() {
        let (_, device) = crate::device::device("ndarray").unwrap();
        let device = device.autodiff();
        for (fixture, units) in [
            ("parity/albert", 3),
            ("parity/albert-groups", 4),
            ("parity/mpnet", 5),
            ("parity/deberta-v2", 5),
            ("parity/deberta-v3", 5),
            ("parity/deberta-v2-conv", 5),
            ("parity/modernbert", 6),
        ] {
            let model = model(fixture, &device);
            let expected = whole(&model, &device, SEED).0;
            assert_eq!(expected.len(), units, "{fixture}");
            assert!(expected.iter().flatten().all(Option::is_some), "{fixture}");
            let distance = |(found, _): Found| {
                let pairs = found.iter().flatten().zip(expected.iter().flatten());
                let pairs = pairs.flat_map(|(a, b)| a.iter().flatten().zip(b.iter().flatten()));
                pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
            };
            // Gradients are below 10, where neighbouring numbers are 1e-6 apart.
            assert!(distance(with_kept_graphs(&model, &device, SEED)) < 1e-5);
            assert!(distance(with_checkpointing(&model, &device, SEED)) < 1e-5);
            // Negative control: these fixtures have dropout.
            let other = DropoutSeed { step: 1, ..SEED };
            let wrong = distance(with_checkpointing(&model, &device, other));
            assert!(wrong > 1e-3, "{fixture}: {wrong}");
        }
    }
}
